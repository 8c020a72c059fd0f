"""Accounts, projects, chat, runs, scenes, their iterations, and the event log."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from app.store.migration import script

ID = "0001"
VERSION = "1.38.0"
DESCRIPTION = "Accounts, projects, chat, runs, scenes, their iterations, and the event log"

FORWARDS = """
create table user_account (
    id varchar(255) primary key,
    email text,
    name text not null,
    password_hash text,
    role text not null default 'user' check (role in ('user', 'admin')),
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp()
);
create unique index user_account_email on user_account (lower(email));

create table api_token (
    id uuid primary key,
    user_id varchar(255) not null references user_account (id) on delete restrict,
    name text not null,
    secret_hash text not null unique,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
create index api_token_user on api_token (user_id);

create table login_session (
    id uuid primary key,
    user_id varchar(255) not null references user_account (id) on delete restrict,
    secret_hash text not null unique,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    last_used_at timestamptz,
    revoked_at timestamptz
);
create index login_session_user on login_session (user_id);

create table project (
    id uuid primary key,
    owner_id varchar(255) not null references user_account (id) on delete restrict,
    title text not null,
    format text not null default 'landscape' check (format in ('landscape', 'portrait', 'square')),
    fps integer not null default 30 check (fps between 1 and 120),
    epoch text not null,
    revision bigint not null default 0,
    undo_position bigint,
    audio jsonb,
    is_welcome boolean not null default true,
    request_id text not null,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    deleted_at timestamptz
) with (fillfactor = 70);
create unique index project_title on project (owner_id, title) where deleted_at is null;

create table project_member (
    project_id uuid not null references project (id) on delete restrict,
    user_id varchar(255) not null references user_account (id) on delete restrict,
    role text not null check (role in ('viewer', 'editor', 'owner')),
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    primary key (project_id, user_id)
);
create index project_member_user on project_member (user_id);

create table project_invite (
    id uuid primary key,
    project_id uuid not null references project (id) on delete restrict,
    role text not null check (role in ('viewer', 'editor')),
    secret_hash text not null unique,
    created_by varchar(255) not null references user_account (id) on delete restrict,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    accepted_by varchar(255) references user_account (id) on delete restrict,
    accepted_at timestamptz
);
create index project_invite_project on project_invite (project_id);

create table run (
    id uuid primary key,
    project_id uuid not null references project (id) on delete restrict,
    actor_id varchar(255) not null references user_account (id) on delete restrict,
    request_id text not null,
    prompt text not null,
    image_urls jsonb not null default '[]',
    selected_scene_id uuid,
    user_message_id uuid not null,
    assistant_message_id uuid not null unique,
    model text,
    status text not null
        check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    priority integer not null default 0,
    attempt integer not null default 0,
    lease_owner text,
    lease_epoch integer not null default 0,
    lease_expires_at timestamptz,
    cancel_requested_at timestamptz,
    base_revision bigint not null,
    sequence bigint not null,
    decision jsonb,
    error_code text,
    error_message text,
    error_retryable boolean,
    queued_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    ended_at timestamptz
);
create unique index run_one_running on run (project_id) where status = 'running';
create index run_waiting on run (project_id, sequence) where status = 'queued';
create index run_leased on run (lease_expires_at) where status = 'running';

create table message (
    id uuid primary key,
    project_id uuid not null references project (id) on delete restrict,
    run_id uuid references run (id) on delete restrict,
    author_id varchar(255) references user_account (id) on delete restrict,
    role text not null check (role in ('user', 'assistant', 'system')),
    kind text not null default 'message'
        check (kind in ('message', 'status', 'error', 'clarification')),
    status text not null check (status in ('pending', 'success', 'error', 'cancelled')),
    content text not null,
    image_urls jsonb not null default '[]',
    sequence bigint not null,
    request_id text not null,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    unique (project_id, sequence)
);
create index message_run on message (run_id);
-- A run and its messages name each other and are born in one transaction.
alter table run
    add foreign key (user_message_id) references message (id)
        on delete restrict deferrable initially deferred,
    add foreign key (assistant_message_id) references message (id)
        on delete restrict deferrable initially deferred;
create index run_user_message on run (user_message_id);

create table model_call (
    id uuid primary key,
    run_id uuid not null references run (id) on delete restrict,
    project_id uuid not null references project (id) on delete restrict,
    attempt integer not null,
    stage text not null,
    provider text not null,
    model text not null,
    status text not null
        check (status in ('open', 'succeeded', 'failed', 'cancelled', 'abandoned')),
    input_tokens integer,
    output_tokens integer,
    cached_tokens integer,
    usage_source text check (usage_source in ('provider', 'estimated')),
    cost_micros bigint,
    first_token_ms integer,
    duration_ms integer,
    error text,
    request_id text not null,
    created_at timestamptz not null default clock_timestamp(),
    closed_at timestamptz
);
create index model_call_run on model_call (run_id);
create index model_call_open on model_call (run_id) where status = 'open';

create table scene (
    id uuid primary key,
    project_id uuid not null references project (id) on delete restrict,
    position integer check (position >= 0),
    name text not null,
    tsx_code text not null,
    duration integer not null check (duration > 0),
    props jsonb not null default '{}',
    layout_json text,
    revision integer not null default 1,
    generation_id uuid,
    request_id text not null,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    deleted_at timestamptz,
    unique (project_id, position) deferrable initially deferred,
    check ((position is null) = (deleted_at is not null))
);
create index scene_project on scene (project_id);

create table scene_iteration (
    id uuid primary key,
    project_id uuid not null references project (id) on delete restrict,
    scene_id uuid references scene (id) on delete restrict,
    operation_type text not null,
    change_source text not null check (change_source in ('llm', 'user', 'revert')),
    edit_complexity text check (edit_complexity in ('surgical', 'creative', 'structural')),
    user_prompt text not null,
    brain_reasoning text,
    tool_reasoning text,
    before jsonb,
    after jsonb not null,
    code_before text,
    code_after text,
    changes_applied jsonb not null default '[]',
    generation_time_ms integer,
    model_used text,
    tokens_used integer,
    message_id uuid references message (id) on delete set null,
    run_id uuid references run (id) on delete restrict,
    call_id uuid,
    generation_id uuid,
    session_id uuid,
    request_id text not null,
    actor_id varchar(255) not null references user_account (id) on delete restrict,
    reverts_iteration_id uuid references scene_iteration (id) on delete restrict,
    user_edited_again boolean not null default false,
    revision bigint not null,
    created_at timestamptz not null default clock_timestamp(),
    unique (run_id, call_id, scene_id),
    unique (project_id, revision)
);
create index scene_iteration_scene on scene_iteration (scene_id, revision desc);
create index scene_iteration_message on scene_iteration (message_id);

create table project_event (
    project_id uuid not null references project (id) on delete restrict,
    revision bigint not null,
    commit_revision bigint not null,
    type text not null,
    payload jsonb not null,
    run_id uuid,
    request_id text not null,
    actor_id varchar(255) not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (project_id, revision)
);
create index project_event_run on project_event (run_id, revision) where run_id is not null;

create table idempotency_record (
    user_id varchar(255) not null,
    scope text not null,
    key text not null,
    request_hash text not null,
    status integer,
    headers jsonb,
    body bytea,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    primary key (user_id, scope, key)
);
create index idempotency_record_expiry on idempotency_record (expires_at);
"""

BACKWARDS = """
drop table idempotency_record, project_event, scene_iteration, scene, model_call, message, run,
    project_invite, project_member, project, login_session, api_token, user_account;
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="reelroom", description=DESCRIPTION)
    manager.add_raw(script(FORWARDS))
    manager.add_raw_backwards(script(BACKWARDS))
    return manager
