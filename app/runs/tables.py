"""The tables of the chat: messages, runs, and the ledger of model calls."""

from piccolo.columns import JSONB, UUID, BigInt, Boolean, Integer, Text, Timestamptz, Varchar
from piccolo.table import Table

from app.store.database import SCHEMA


class MessageRow(Table, tablename="message", db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    project_id = UUID(default=None)
    run_id = UUID(null=True, default=None)
    author_id = Varchar(255, null=True, default=None)
    role = Text(default=None)
    kind = Text(default="message")
    status = Text(default=None)
    content = Text(default=None)
    image_urls = JSONB(default="[]")
    sequence = BigInt(default=None)
    request_id = Text(default=None)
    created_at = Timestamptz()
    updated_at = Timestamptz()


class RunRow(Table, tablename="run", db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    project_id = UUID(default=None)
    actor_id = Varchar(255, default=None)
    request_id = Text(default=None)
    user_message_id = UUID(null=True, default=None)
    assistant_message_id = UUID(null=True, default=None)
    prompt = Text(default=None)
    image_urls = JSONB(default="[]")
    selected_scene_id = UUID(null=True, default=None)
    model = Text(null=True, default=None)
    status = Text(default=None)
    priority = Integer(default=0)
    attempt = Integer(default=0)
    lease_owner = Text(null=True, default=None)
    lease_epoch = Integer(default=0)
    lease_expires_at = Timestamptz(null=True, default=None)
    cancel_requested_at = Timestamptz(null=True, default=None)
    base_revision = BigInt(default=None)
    sequence = BigInt(default=None)
    decision = JSONB(null=True, default=None)
    error_code = Text(null=True, default=None)
    error_message = Text(null=True, default=None)
    error_retryable = Boolean(null=True, default=None)
    queued_at = Timestamptz()
    started_at = Timestamptz(null=True, default=None)
    ended_at = Timestamptz(null=True, default=None)


class ModelCall(Table, tablename="model_call", db=SCHEMA):
    """A call of a run, or for a generation beside the chat."""

    id = UUID(primary_key=True, default=None)
    run_id = UUID(null=True, default=None)
    project_id = UUID(default=None)
    attempt = Integer(default=None)
    stage = Text(default=None)
    provider = Text(default=None)
    model = Text(default=None)
    status = Text(default=None)
    input_tokens = Integer(null=True, default=None)
    output_tokens = Integer(null=True, default=None)
    cached_tokens = Integer(null=True, default=None)
    usage_source = Text(null=True, default=None)
    cost_micros = BigInt(null=True, default=None)
    first_token_ms = Integer(null=True, default=None)
    duration_ms = Integer(null=True, default=None)
    error = Text(null=True, default=None)
    request_id = Text(default=None)
    generation_id = UUID(null=True, default=None)
    created_at = Timestamptz()
    closed_at = Timestamptz(null=True, default=None)
