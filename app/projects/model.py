"""Projects, members and invites, and the limits of their fields."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

DEFAULT_FPS = 30  # frames a second
MAX_FPS = 120
MAX_TITLE_CHARACTERS = 200
DEFAULT_TITLE = "Untitled video"  # the title of a project that is given none
DEFAULT_INVITE_HOURS = 72  # until an invite expires
MAX_INVITE_HOURS = 720

Format = Literal["landscape", "portrait", "square"]
FRAME_SIZES: dict[Format, tuple[int, int]] = {
    "landscape": (1920, 1080),
    "portrait": (1080, 1920),
    "square": (1080, 1080),
}  # pixels, width and height

Role = Literal["viewer", "editor", "owner"]

Title = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=MAX_TITLE_CHARACTERS, examples=["Launch film"]),
]
Fps = Annotated[int, msgspec.Meta(ge=1, le=MAX_FPS, description="Frames a second.")]


class Project(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A project as all its members see it."""

    id: str
    owner_id: str
    title: str
    format: Format
    fps: int
    epoch: str
    audio: dict[str, Any] | None
    is_welcome: bool
    created_at: datetime
    deleted_at: datetime | None


class Member(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A person's role in a project; `role` is null once it was taken away."""

    project_id: str
    user_id: str
    name: str
    role: Role | None


class MyProject(Project, frozen=True, kw_only=True):
    """A project as one of its members sees it: with their own role in it."""

    role: Role
    revision: int
    updated_at: datetime


class NewProject(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Without a title it is called `Untitled video`, or the next of that name that is free."""

    title: Title | None = None
    format: Format = "landscape"
    fps: Fps = DEFAULT_FPS


class ProjectPatch(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What is absent stays as it is."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    format: Format | msgspec.UnsetType = msgspec.UNSET
    fps: Fps | msgspec.UnsetType = msgspec.UNSET


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A body without fields."""


class NewRole(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The role that a member is to have."""

    role: Role


class NewInvite(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The role that an invite gives, and how long it may be accepted."""

    role: Literal["viewer", "editor"]
    expires_in_hours: Annotated[int, msgspec.Meta(ge=1, le=MAX_INVITE_HOURS)] = DEFAULT_INVITE_HOURS


class Invite(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The token is shown this once: only its hash is kept. One person may accept it, once."""

    id: str
    project_id: str
    role: Role
    token: str
    url: str
    expires_at: datetime
