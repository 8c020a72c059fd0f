"""Who is asking."""

from typing import Literal

import msgspec


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The account behind a request, and by what credential it came."""

    user_id: str
    name: str
    role: Literal["user", "admin"] = "user"
    request_id: str = ""
    session_id: str | None = None
    token_id: str | None = None
    anonymous: bool = False
