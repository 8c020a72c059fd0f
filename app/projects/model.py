"""What a project and its members are; pure."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

FPS = 30
FPS_MOST = 120
TITLE_MOST = 200  # characters
UNTITLED = "Untitled video"
INVITE_HOURS = 72  # an invite's life unless it says otherwise
INVITE_HOURS_MOST = 720

Format = Literal["landscape", "portrait", "square"]
SIZES: dict[Format, tuple[int, int]] = {
    "landscape": (1920, 1080),
    "portrait": (1080, 1920),
    "square": (1080, 1080),
}  # pixels, width and height

Role = Literal["viewer", "editor", "owner"]
RANK: dict[Role, int] = {"viewer": 1, "editor": 2, "owner": 3}

Title = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=TITLE_MOST, examples=["Launch film"]),
]
Fps = Annotated[int, msgspec.Meta(ge=1, le=FPS_MOST, description="Frames a second.")]


class Project(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
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
    fps: Fps = FPS


class ProjectPatch(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What is absent stays as it is."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    format: Format | msgspec.UnsetType = msgspec.UNSET
    fps: Fps | msgspec.UnsetType = msgspec.UNSET


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A body that has nothing to say."""


class NewRole(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    role: Role


class NewInvite(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    role: Literal["viewer", "editor"]
    expires_in_hours: Annotated[int, msgspec.Meta(ge=1, le=INVITE_HOURS_MOST)] = INVITE_HOURS


class Invite(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The token is shown this once: only its hash is kept. One person may accept it, once."""

    id: str
    project_id: str
    role: Role
    token: str
    url: str
    expires_at: datetime
