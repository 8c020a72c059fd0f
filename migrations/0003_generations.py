"""Generations: every attempt at a scene's code, its result or its error, and what it refined."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from app.store.migration import script

ID = "0003"
VERSION = "1.38.0"
DESCRIPTION = "Generations: every attempt at a scene's code, its result, and what it refined"

FORWARDS = """
create table generation (
    id uuid primary key,
    project_id uuid not null references project (id) on delete restrict,
    scene_id uuid references scene (id) on delete restrict,
    parent_generation_id uuid references generation (id) on delete restrict,
    root_generation_id uuid references generation (id) on delete restrict,
    prompt text not null,
    refinement_prompt text,
    status text not null check (status in ('pending', 'success', 'failed')),
    tsx_code text,
    base_code text,
    note text,
    error_code text,
    error_message text,
    format text not null default 'landscape' check (format in ('landscape', 'portrait', 'square')),
    duration integer check (duration > 0),
    batch_id uuid,
    variation_index integer,
    variation_count integer,
    wanted_model text,
    model text,
    input_tokens integer,
    output_tokens integer,
    cached_tokens integer,
    usage_source text check (usage_source in ('provider', 'estimated')),
    duration_ms integer,
    run_id uuid references run (id) on delete restrict,
    call_id uuid,
    attempt integer not null default 0,
    lease_owner text,
    lease_epoch integer not null default 0,
    lease_expires_at timestamptz,
    actor_id varchar(255) not null references user_account (id) on delete restrict,
    request_id text not null,
    revision bigint not null,
    created_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    deleted_at timestamptz,
    unique (project_id, revision),
    check (status <> 'success' or tsx_code is not null or deleted_at is not null),
    check (status <> 'failed' or error_message is not null)
);
create index by_parent on generation (parent_generation_id, revision);
create index generation_waiting on generation (created_at) where status = 'pending';
create index generation_run on generation (run_id) where run_id is not null;
create index generation_batch on generation (batch_id, variation_index) where batch_id is not null;

alter table scene add foreign key (generation_id) references generation (id) on delete restrict;
create index scene_generation on scene (generation_id) where generation_id is not null;
alter table scene_iteration
    add foreign key (generation_id) references generation (id) on delete restrict;

alter table model_call alter column run_id drop not null;
alter table model_call add column generation_id uuid references generation (id) on delete restrict;
alter table model_call add check (run_id is not null or generation_id is not null);
create index model_call_generation on model_call (generation_id) where generation_id is not null;
"""

BACKWARDS = """
alter table model_call drop column generation_id;
alter table scene drop constraint scene_generation_id_fkey;
alter table scene_iteration drop constraint scene_iteration_generation_id_fkey;
drop table generation;
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="reelroom", description=DESCRIPTION)
    manager.add_raw(script(FORWARDS))
    manager.add_raw_backwards(script(BACKWARDS))
    return manager
