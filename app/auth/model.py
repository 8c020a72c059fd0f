"""Callers, and the wire format of accounts, logins and API tokens."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

Role = Literal["user", "admin"]

LOCAL_ID = "local"  # the id of the one admin of local mode
MAX_EMAIL_LENGTH = 254  # characters
MAX_NAME_LENGTH = 200  # characters
MIN_PASSWORD_BYTES = 8  # of UTF-8
MAX_PASSWORD_BYTES = 1024  # of UTF-8
MAX_TOKEN_DAYS = 3650

Email = Annotated[
    str, msgspec.Meta(max_length=MAX_EMAIL_LENGTH, pattern=r"^\s*[^@\s]+@[^@\s]+\s*$")
]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_LENGTH, pattern=r"\S")]
Password = Annotated[str, msgspec.Meta(max_length=MAX_PASSWORD_BYTES)]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a request. An anonymous caller has an empty id and meets only public routes."""

    user_id: str
    name: str
    role: Role = "user"
    request_id: str = ""
    session_id: str | None = None
    token_id: str | None = None
    anonymous: bool = False


class AccessRevoked(msgspec.Struct, frozen=True):
    """Signal: a session or a token of this user has ended, so open connections need a check.

    It only saves time: each open connection is checked again with its heartbeats.
    """

    user_id: str


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
    email: Annotated[str, msgspec.Meta(max_length=MAX_EMAIL_LENGTH)]
    password: Password


class NewToken(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    name: Name
    expires_in_days: Annotated[int, msgspec.Meta(ge=1, le=MAX_TOKEN_DAYS)] | None = None


class Token(msgspec.Struct, rename="camel", kw_only=True):
    """An API token without its secret."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class IssuedToken(Token, kw_only=True):
    """A new API token with its secret, which is shown only once."""

    token: str
