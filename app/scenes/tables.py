"""The tables of scenes and their history, as defined by the migrations.

`generation_id` refers to the table `generation` of a slice above this one, so it is not declared
as a foreign key here.
"""

from piccolo.columns import JSONB, UUID, BigInt, Boolean, Integer, Text, Timestamptz
from piccolo.columns.base import OnDelete
from piccolo.constraints import Unique
from piccolo.table import Table

from app.auth.tables import UserAccount
from app.projects.tables import ProjectRow
from app.runs.tables import MessageRow, RunRow
from app.store.columns import ClockTimestamp, reference
from app.store.database import SCHEMA


class SceneRow(Table, tablename="scene", db=SCHEMA):
    """`position` is null exactly when the scene is deleted; its constraint is deferred."""

    id = UUID(primary_key=True, default=None)
    project_id = reference(ProjectRow)
    position = Integer(null=True, default=None)
    name = Text(default=None)
    tsx_code = Text(default=None)
    duration = Integer(default=None)
    props = JSONB(default="{}")
    layout_json = Text(null=True, default=None)
    revision = Integer(default=1)
    generation_id = UUID(null=True, default=None)
    request_id = Text(default=None)
    created_at = Timestamptz(default=ClockTimestamp())
    updated_at = Timestamptz(default=ClockTimestamp())
    deleted_at = Timestamptz(null=True, default=None)

    unique_position = Unique([project_id, position])


class HistoryEntry(Table, tablename="history_entry", db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    project_id = reference(ProjectRow)
    kind = Text(default=None)
    scope = Text(null=True, default=None)
    title = Text(default=None)
    message_id = reference(MessageRow, null=True, on_delete=OnDelete.set_null)
    run_id = reference(RunRow, null=True)
    request_id = Text(default=None)
    actor_id = reference(UserAccount)
    undone_by_id = reference("self", null=True)
    first_revision = BigInt(default=None)
    last_revision = BigInt(default=None)
    created_at = Timestamptz(default=ClockTimestamp())


class SceneIteration(Table, tablename="scene_iteration", db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    project_id = reference(ProjectRow)
    scene_id = reference(SceneRow, null=True)
    operation_type = Text(default=None)
    change_source = Text(default=None)
    edit_complexity = Text(null=True, default=None)
    user_prompt = Text(default=None)
    brain_reasoning = Text(null=True, default=None)
    tool_reasoning = Text(null=True, default=None)
    before = JSONB(null=True, default=None)
    after = JSONB(default=None)
    code_before = Text(null=True, default=None)
    code_after = Text(null=True, default=None)
    changes_applied = JSONB(default="[]")
    generation_time_ms = Integer(null=True, default=None)
    model_used = Text(null=True, default=None)
    tokens_used = Integer(null=True, default=None)
    message_id = reference(MessageRow, null=True, on_delete=OnDelete.set_null)
    run_id = reference(RunRow, null=True)
    call_id = UUID(null=True, default=None)
    generation_id = UUID(null=True, default=None)
    session_id = UUID(null=True, default=None)
    request_id = Text(default=None)
    actor_id = reference(UserAccount)
    reverts_iteration_id = reference("self", null=True)
    user_edited_again = Boolean(default=False)
    revision = BigInt(default=None)
    entry_id = reference(HistoryEntry, null=True)
    created_at = Timestamptz(default=ClockTimestamp())

    unique_call = Unique([run_id, call_id, scene_id])
    unique_revision = Unique([project_id, revision])
