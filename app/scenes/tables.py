"""The tables of scenes and their history."""

from piccolo.columns import JSONB, UUID, BigInt, Boolean, Integer, Text, Timestamptz, Varchar
from piccolo.table import Table

from app.store.database import SCHEMA


class SceneRow(Table, tablename="scene", db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    project_id = UUID(default=None)
    position = Integer(null=True, default=None)
    name = Text(default=None)
    tsx_code = Text(default=None)
    duration = Integer(default=None)
    props = JSONB(default="{}")
    layout_json = Text(null=True, default=None)
    revision = Integer(default=1)
    generation_id = UUID(null=True, default=None)
    request_id = Text(default=None)
    created_at = Timestamptz()
    updated_at = Timestamptz()
    deleted_at = Timestamptz(null=True, default=None)


class SceneIteration(Table, tablename="scene_iteration", db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    project_id = UUID(default=None)
    scene_id = UUID(null=True, default=None)
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
    message_id = UUID(null=True, default=None)
    run_id = UUID(null=True, default=None)
    call_id = UUID(null=True, default=None)
    generation_id = UUID(null=True, default=None)
    session_id = UUID(null=True, default=None)
    request_id = Text(default=None)
    actor_id = Varchar(255, default=None)
    reverts_iteration_id = UUID(null=True, default=None)
    user_edited_again = Boolean(default=False)
    revision = BigInt(default=None)
    entry_id = UUID(null=True, default=None)
    created_at = Timestamptz()


class HistoryEntry(Table, tablename="history_entry", db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    project_id = UUID(default=None)
    kind = Text(default=None)
    scope = Text(null=True, default=None)
    title = Text(default=None)
    message_id = UUID(null=True, default=None)
    run_id = UUID(null=True, default=None)
    request_id = Text(default=None)
    actor_id = Varchar(255, default=None)
    undone_by_id = UUID(null=True, default=None)
    first_revision = BigInt(default=None)
    last_revision = BigInt(default=None)
    created_at = Timestamptz()
