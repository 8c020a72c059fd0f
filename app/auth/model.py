"""Who is asking, and what an account, a session and an API token look like on the wire."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

Role = Literal["user", "admin"]

LOCAL_ID = "local"  # the id of the one admin of local mode
EMAIL_MOST = 254  # characters
NAME_MOST = 200  # characters
PASSWORD_LEAST = 8  # bytes of UTF-8
PASSWORD_MOST = 1024  # bytes of UTF-8
TOKEN_DAYS_MOST = 3650

Email = Annotated[str, msgspec.Meta(max_length=EMAIL_MOST, pattern=r"^\s*[^@\s]+@[^@\s]+\s*$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MOST, pattern=r"\S")]
Password = Annotated[str, msgspec.Meta(max_length=PASSWORD_MOST)]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes this request. An anonymous caller has no user id; only public routes meet one."""

    user_id: str
    name: str
    role: Role = "user"
    request_id: str = ""
    session_id: str | None = None
    token_id: str | None = None
    anonymous: bool = False


class Account(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    email: str | None
    name: str
    role: Role
    created_at: datetime


class NewAccount(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    email: Email
    password: Password
    name: Name


class Login(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    email: Annotated[str, msgspec.Meta(max_length=EMAIL_MOST)]
    password: Password


class NewToken(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    name: Name
    expires_in_days: Annotated[int, msgspec.Meta(ge=1, le=TOKEN_DAYS_MOST)] | None = None


class Token(msgspec.Struct, rename="camel", kw_only=True):
    """An API token as its owner sees it later: never its secret."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class IssuedToken(Token, kw_only=True):
    """An API token with its secret, shown once."""

    token: str
