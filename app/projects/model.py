"""What a project and its members are; pure."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

FPS = 30
TITLE_MOST = 200  # characters

Format = Literal["landscape", "portrait", "square"]
SIZES: dict[Format, tuple[int, int]] = {
    "landscape": (1920, 1080),
    "portrait": (1080, 1920),
    "square": (1080, 1080),
}  # pixels, width and height

Role = Literal["viewer", "editor", "owner"]
RANK: dict[Role, int] = {"viewer": 1, "editor": 2, "owner": 3}

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=TITLE_MOST)]


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
