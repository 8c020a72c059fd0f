"""The tables of runs, their messages, and the calls of models, as defined by the migrations.

A run and its messages refer to each other, so the references of a run are checked at the commit.
`generation_id` refers to the table `generation` of a slice above this one, so it is not declared
as a foreign key here.
"""

from piccolo.columns import JSONB, UUID, BigInt, Boolean, Integer, Text, Timestamptz
from piccolo.columns.base import OnDelete
from piccolo.constraints import Unique
from piccolo.table import Table

from app.auth.tables import UserAccount
from app.projects.tables import ProjectRow
from app.store.columns import ClockTimestamp, reference
from app.store.database import SCHEMA


class RunRow(Table, tablename="run", db=SCHEMA):
    """Unique among the running runs: (project_id)."""

    id = UUID(primary_key=True, default=None)
    project_id = reference(ProjectRow)
    actor_id = reference(UserAccount)
    request_id = Text(default=None)
    prompt = Text(default=None)
    image_urls = JSONB(default="[]")
    selected_scene_id = UUID(null=True, default=None)
    user_message_id = reference("MessageRow", null=True, on_delete=OnDelete.set_null)
    assistant_message_id = reference(
        "MessageRow", null=True, unique=True, on_delete=OnDelete.set_null
    )
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
    queued_at = Timestamptz(default=ClockTimestamp())
    started_at = Timestamptz(null=True, default=None)
    ended_at = Timestamptz(null=True, default=None)


class MessageRow(Table, tablename="message", db=SCHEMA):
    id = UUID(primary_key=True, default=None)
    project_id = reference(ProjectRow)
    run_id = reference(RunRow, null=True)
    author_id = reference(UserAccount, null=True)
    role = Text(default=None)
    kind = Text(default="message")
    status = Text(default=None)
    content = Text(default=None)
    image_urls = JSONB(default="[]")
    sequence = BigInt(default=None)
    request_id = Text(default=None)
    created_at = Timestamptz(default=ClockTimestamp())
    updated_at = Timestamptz(default=ClockTimestamp())

    unique_sequence = Unique([project_id, sequence])


class ModelCallRow(Table, tablename="model_call", db=SCHEMA):
    """A call belongs to a run, to a generation beside the chat, or to both."""

    id = UUID(primary_key=True, default=None)
    run_id = reference(RunRow, null=True)
    project_id = reference(ProjectRow)
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
    created_at = Timestamptz(default=ClockTimestamp())
    closed_at = Timestamptz(null=True, default=None)
