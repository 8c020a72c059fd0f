"""The tables of projects, their members and invites, as defined by the migrations."""

from piccolo.columns import JSONB, UUID, BigInt, Boolean, Integer, Text, Timestamptz
from piccolo.table import Table

from app.auth.tables import UserAccount
from app.store.columns import ClockTimestamp, reference
from app.store.database import SCHEMA


class ProjectRow(Table, tablename="project", db=SCHEMA):
    """Unique among the projects that are not deleted: (owner_id, title)."""

    id = UUID(primary_key=True, default=None)
    owner_id = reference(UserAccount)
    title = Text(default=None)
    format = Text(default="landscape")
    fps = Integer(default=30)
    epoch = Text(default=None)
    revision = BigInt(default=0)
    undo_position = BigInt(null=True, default=None)
    audio = JSONB(null=True, default=None)
    is_welcome = Boolean(default=True)
    request_id = Text(default=None)
    created_at = Timestamptz(default=ClockTimestamp())
    updated_at = Timestamptz(default=ClockTimestamp())
    deleted_at = Timestamptz(null=True, default=None)


class ProjectMember(Table, tablename="project_member", db=SCHEMA):
    """The primary key is (project_id, user_id); Piccolo has no composite keys."""

    project_id = reference(ProjectRow, primary_key=True)
    user_id = reference(UserAccount)
    role = Text(default=None)
    created_at = Timestamptz(default=ClockTimestamp())
    updated_at = Timestamptz(default=ClockTimestamp())


class ProjectInvite(Table, tablename="project_invite", db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    project_id = reference(ProjectRow)
    role = Text(default=None)
    secret_hash = Text(unique=True, default=None, secret=True)
    created_by = reference(UserAccount)
    created_at = Timestamptz(default=ClockTimestamp())
    expires_at = Timestamptz(default=None)
    accepted_by = reference(UserAccount, null=True)
    accepted_at = Timestamptz(null=True, default=None)
