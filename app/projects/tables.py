"""The tables of projects, their members and invites."""

from piccolo.columns import JSONB, UUID, BigInt, Boolean, Integer, Text, Timestamptz, Varchar
from piccolo.table import Table

from app.store.database import SCHEMA


class ProjectRow(Table, tablename="project", db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    owner_id = Varchar(255, default=None)
    title = Text(default=None)
    format = Text(default="landscape")
    fps = Integer(default=30)
    epoch = Text(default=None)
    revision = BigInt(default=0)
    undo_position = BigInt(null=True, default=None)
    audio = JSONB(null=True, default=None)
    is_welcome = Boolean(default=True)
    request_id = Text(default=None)
    created_at = Timestamptz()
    updated_at = Timestamptz()
    deleted_at = Timestamptz(null=True, default=None)


class ProjectMember(Table, tablename="project_member", db=SCHEMA):
    """Who may use a project; primary key (project_id, user_id)."""

    project_id = UUID(primary_key=True, default=None)
    user_id = Varchar(255, default=None)
    role = Text(default=None)
    created_at = Timestamptz()
    updated_at = Timestamptz()


class ProjectInvite(Table, tablename="project_invite", db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    project_id = UUID(default=None)
    role = Text(default=None)
    secret_hash = Text(default=None)
    created_by = Varchar(255, default=None)
    created_at = Timestamptz()
    expires_at = Timestamptz(default=None)
    accepted_by = Varchar(255, null=True, default=None)
    accepted_at = Timestamptz(null=True, default=None)
