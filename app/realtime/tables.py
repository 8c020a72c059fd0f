"""The table of the log."""

from piccolo.columns import JSONB, UUID, BigInt, Text, Timestamptz, Varchar
from piccolo.table import Table

from app.store.database import SCHEMA


class ProjectEvent(Table, tablename="project_event", db=SCHEMA):
    """Outbox, replay log and audit trail at once; primary key (project_id, revision)."""

    project_id = UUID(primary_key=True, default=None)
    revision = BigInt(default=None)
    commit_revision = BigInt(default=None)
    type = Text(default=None)
    payload = JSONB(default=None)
    run_id = UUID(null=True, default=None)
    request_id = Text(default=None)
    actor_id = Varchar(255, default=None)
    created_at = Timestamptz()
