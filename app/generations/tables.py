"""The table of generations."""

from piccolo.columns import UUID, BigInt, Integer, Text, Timestamptz, Varchar
from piccolo.table import Table

from app.store.database import SCHEMA


class GenerationRow(Table, tablename="generation", db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    project_id = UUID(default=None)
    scene_id = UUID(null=True, default=None)
    parent_generation_id = UUID(null=True, default=None)
    root_generation_id = UUID(null=True, default=None)
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
    run_id = UUID(null=True, default=None)
    call_id = UUID(null=True, default=None)
    attempt = Integer(default=0)
    lease_owner = Text(null=True, default=None)
    lease_epoch = Integer(default=0)
    lease_expires_at = Timestamptz(null=True, default=None)
    actor_id = Varchar(255, default=None)
    request_id = Text(default=None)
    revision = BigInt(default=None)
    created_at = Timestamptz()
    ended_at = Timestamptz(null=True, default=None)
    deleted_at = Timestamptz(null=True, default=None)
