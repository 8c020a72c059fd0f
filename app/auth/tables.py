"""The tables of accounts, their API tokens and their sessions, as defined by the migrations."""

from piccolo.columns import UUID, ForeignKey, Text, Timestamptz, Varchar
from piccolo.columns.base import OnDelete, OnUpdate
from piccolo.table import Table

from app.store.columns import ClockTimestamp
from app.store.database import SCHEMA


class UserAccount(Table, db=SCHEMA):
    id = Varchar(length=255, primary_key=True, default=None)
    email = Text(null=True, default=None)
    name = Text(null=False, default=None)
    password_hash = Text(null=True, default=None, secret=True)
    role = Text(null=False, default="user")
    created_at = Timestamptz(null=False, default=ClockTimestamp())
    updated_at = Timestamptz(null=False, default=ClockTimestamp())


class ApiToken(Table, db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    user_id = ForeignKey(
        UserAccount, null=False, default=None,
        on_delete=OnDelete.restrict, on_update=OnUpdate.no_action,
    )  # fmt: skip
    name = Text(null=False, default=None)
    secret_hash = Text(null=False, unique=True, default=None, secret=True)
    created_at = Timestamptz(null=False, default=ClockTimestamp())
    expires_at = Timestamptz(null=True, default=None)
    last_used_at = Timestamptz(null=True, default=None)
    revoked_at = Timestamptz(null=True, default=None)


class LoginSession(Table, db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    user_id = ForeignKey(
        UserAccount, null=False, default=None,
        on_delete=OnDelete.restrict, on_update=OnUpdate.no_action,
    )  # fmt: skip
    secret_hash = Text(null=False, unique=True, default=None, secret=True)
    created_at = Timestamptz(null=False, default=ClockTimestamp())
    expires_at = Timestamptz(null=False, default=None)
    last_used_at = Timestamptz(null=True, default=None)
    revoked_at = Timestamptz(null=True, default=None)
