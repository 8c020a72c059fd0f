"""The table of generations, as defined by the migrations."""

from piccolo.columns import UUID, BigInt, Integer, Text, Timestamptz
from piccolo.constraints import Unique
from piccolo.table import Table

from app.auth.tables import UserAccount
from app.projects.tables import ProjectRow
from app.runs.tables import RunRow
from app.scenes.tables import SceneRow
from app.store.columns import ClockTimestamp, reference
from app.store.database import SCHEMA


class GenerationRow(Table, tablename="generation", db=SCHEMA):
    """`wanted_model` is the model that was asked for, `model` the one that answered."""

    id = UUID(primary_key=True, default=None)
    project_id = reference(ProjectRow)
    scene_id = reference(SceneRow, null=True)
    parent_generation_id = reference("self", null=True)
    root_generation_id = reference("self", null=True)
    prompt = Text(default=None)
    refinement_prompt = Text(null=True, default=None)
    status = Text(default=None)
    tsx_code = Text(null=True, default=None)
    base_code = Text(null=True, default=None)
    note = Text(null=True, default=None)
    error_code = Text(null=True, default=None)
    error_message = Text(null=True, default=None)
    format = Text(default="landscape")
    duration = Integer(null=True, default=None)
    batch_id = UUID(null=True, default=None)
    variation_index = Integer(null=True, default=None)
    variation_count = Integer(null=True, default=None)
    wanted_model = Text(null=True, default=None)
    model = Text(null=True, default=None)
    input_tokens = Integer(null=True, default=None)
    output_tokens = Integer(null=True, default=None)
    cached_tokens = Integer(null=True, default=None)
    usage_source = Text(null=True, default=None)
    duration_ms = Integer(null=True, default=None)
    run_id = reference(RunRow, null=True)
    call_id = UUID(null=True, default=None)
    attempt = Integer(default=0)
    lease_owner = Text(null=True, default=None)
    lease_epoch = Integer(default=0)
    lease_expires_at = Timestamptz(null=True, default=None)
    actor_id = reference(UserAccount)
    request_id = Text(default=None)
    revision = BigInt(default=None)
    created_at = Timestamptz(default=ClockTimestamp())
    ended_at = Timestamptz(null=True, default=None)
    deleted_at = Timestamptz(null=True, default=None)

    unique_revision = Unique([project_id, revision])
