"""The timeline's entries, which undo and redo walk; messages that can be deleted."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from app.store.migration import script

ID = "0002"
VERSION = "1.38.0"
DESCRIPTION = "The timeline's entries, which undo and redo walk; messages that can be deleted"

FORWARDS = """
create table history_entry (
    id uuid primary key,
    project_id uuid not null references project (id) on delete restrict,
    kind text not null check (kind in ('change', 'revert', 'undo', 'redo', 'branch')),
    scope text check (scope in ('mine', 'project')),
    title text not null,
    message_id uuid references message (id) on delete set null,
    run_id uuid references run (id) on delete restrict,
    request_id text not null,
    actor_id varchar(255) not null references user_account (id) on delete restrict,
    undone_by_id uuid references history_entry (id) on delete restrict,
    first_revision bigint not null,
    last_revision bigint not null,
    created_at timestamptz not null default clock_timestamp()
);
create index history_entry_timeline on history_entry (project_id, last_revision);
create index history_entry_mine on history_entry (project_id, actor_id, last_revision);
create index history_entry_message on history_entry (message_id);
create index history_entry_undone on history_entry (undone_by_id) where undone_by_id is not null;

alter table scene_iteration
    add column entry_id uuid references history_entry (id) on delete restrict;

-- What was changed before there were entries: one for each run, else for each transaction.
insert into history_entry (id, project_id, kind, title, message_id, run_id, request_id, actor_id,
    first_revision, last_revision, created_at)
select coalesce(i.run_id, md5(i.project_id || ' ' || e.commit_revision)::uuid), i.project_id,
    'change', (array_agg(i.user_prompt order by i.revision))[1],
    (array_agg(i.message_id order by i.revision))[1], i.run_id,
    (array_agg(i.request_id order by i.revision))[1],
    (array_agg(i.actor_id order by i.revision))[1],
    min(i.revision), max(i.revision), min(i.created_at)
from scene_iteration i
    join project_event e on e.project_id = i.project_id and e.revision = i.revision
group by coalesce(i.run_id, md5(i.project_id || ' ' || e.commit_revision)::uuid), i.project_id,
    i.run_id;
update scene_iteration i
set entry_id = coalesce(i.run_id, md5(i.project_id || ' ' || e.commit_revision)::uuid)
from project_event e
where e.project_id = i.project_id and e.revision = i.revision and i.entry_id is null;

create index scene_iteration_entry on scene_iteration (entry_id);
create index scene_iteration_order on scene_iteration (project_id, revision)
    where scene_id is null;

-- A turn outlives its messages.
alter table run
    alter column user_message_id drop not null,
    alter column assistant_message_id drop not null,
    drop constraint run_user_message_id_fkey,
    drop constraint run_assistant_message_id_fkey;
alter table run
    add foreign key (user_message_id) references message (id)
        on delete set null deferrable initially deferred,
    add foreign key (assistant_message_id) references message (id)
        on delete set null deferrable initially deferred;
"""

# That a turn outlives its messages stays: there may be turns whose messages are gone.
BACKWARDS = """
drop index scene_iteration_order;
alter table scene_iteration drop column entry_id;
drop table history_entry;
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="reelroom", description=DESCRIPTION)
    manager.add_raw(script(FORWARDS))
    manager.add_raw_backwards(script(BACKWARDS))
    return manager
