"""The facts of the data model as queries: each gives the rows that break it."""

from typing import NamedTuple

LEASE_GRACE = 60  # seconds that a running run may go without a lease


class Fact(NamedTuple):
    """One query; its rows are (project_id, id, what is wrong), its number the invariant's."""

    invariant: int
    sql: str


LOG = Fact(
    1,
    """
    select p.id, p.id, 'revision ' || p.revision || ', but ' || count(e.revision)
        || ' events up to ' || coalesce(max(e.revision), 0)
    from project p left join project_event e on e.project_id = p.id group by p.id
    having coalesce(max(e.revision), 0) <> p.revision or count(e.revision) <> p.revision
        or coalesce(min(e.revision), 1) <> 1
    """,
)
SCENES_AND_HISTORY = Fact(
    2,
    """
    select s.project_id, s.id, 'the scene is not what its newest iteration says'
    from scene s left join lateral (
        select after from scene_iteration where scene_id = s.id order by revision desc limit 1
    ) newest on true
    where newest.after - 'position' is distinct from jsonb_build_object(
        'name', s.name, 'tsxCode', s.tsx_code, 'duration', s.duration, 'props', s.props,
        'layoutJson', s.layout_json, 'deleted', s.deleted_at is not null)
    """,
)
POSITIONS = Fact(
    4,
    """
    select project_id, project_id, 'live positions are not 0 to ' || count(*) - 1
    from scene where deleted_at is null group by project_id
    having min(position) <> 0 or max(position) <> count(*) - 1
        or count(distinct position) <> count(*)
    """,
)
MESSAGES_OF_ITERATIONS = Fact(
    5,
    """
    select i.project_id, i.id, 'the iteration is not linked to the answer of its run'
    from scene_iteration i left join run r on r.id = i.run_id
    where i.change_source = 'llm' and (r.id is null or r.project_id <> i.project_id
        or i.message_id is distinct from r.assistant_message_id)
    """,
)
MESSAGES_OF_RUNS = Fact(
    5,
    """
    select r.project_id, r.id, 'a run that is ' || r.status || ' has an answer that is '
        || coalesce(m.status, 'missing')
    from run r left join message m on m.id = r.assistant_message_id and m.role = 'assistant'
        and m.project_id = r.project_id
    where (m.id is null and (r.assistant_message_id is not null
            or r.status in ('queued', 'running')))
        or (m.status = 'pending') <> (r.status in ('queued', 'running'))
    """,
)
ONE_RUN = Fact(
    6,
    """
    select project_id, project_id, count(*) || ' runs are running'
    from run where status = 'running' group by project_id having count(*) > 1
    """,
)
LEASES = Fact(
    6,
    f"""
    select project_id, id, 'it runs without a lease' from run where status = 'running'
        and (lease_expires_at is null
            or lease_expires_at < clock_timestamp() - interval '{LEASE_GRACE} seconds')
    """,
)
ENDINGS = Fact(
    7,
    """
    select r.project_id, r.id, 'a run that is ' || r.status || ' ended '
        || count(e.revision) || ' times'
    from run r left join project_event e
        on e.run_id = r.id and e.project_id = r.project_id and e.type = 'run.finished'
    group by r.id
    having count(e.revision) <> (r.status in ('succeeded', 'failed', 'cancelled'))::int
    """,
)
STRAY_ENDINGS = Fact(
    7,
    """
    select e.project_id, coalesce(e.run_id, e.project_id), 'an end of no run at ' || e.revision
    from project_event e left join run r on r.id = e.run_id and r.project_id = e.project_id
    where e.type = 'run.finished' and r.id is null
    """,
)
MODEL_CALLS = Fact(
    8,
    """
    select c.project_id, c.id, 'a call of a run that is over is open'
    from model_call c left join run r on r.id = c.run_id
        left join generation g on g.id = c.generation_id
    where (r.status in ('succeeded', 'failed', 'cancelled')
            or r.id is null and g.status in ('success', 'failed'))
        and (c.status = 'open' or c.closed_at is null)
    """,
)
# Events and iterations of one transaction, counted per scene (null: the order).
ITERATIONS_OF_CHANGES = Fact(
    9,
    """
    with told as (
        select project_id, commit_revision, (payload->'scene'->>'id')::uuid as scene_id,
            count(*) as number
        from project_event
        where type in ('scene.created', 'scene.updated', 'scene.deleted', 'scene.restored',
            'scenes.reordered')
        group by 1, 2, 3
    ), kept as (
        select i.project_id, e.commit_revision, i.scene_id, count(*) as number
        from scene_iteration i left join project_event e
            on e.project_id = i.project_id and e.revision = i.revision
        group by 1, 2, 3
    )
    select coalesce(told.project_id, kept.project_id),
        coalesce(told.scene_id, kept.scene_id, told.project_id, kept.project_id),
        coalesce(told.number, 0) || ' changes and ' || coalesce(kept.number, 0)
            || ' iterations up to ' || coalesce(told.commit_revision, kept.commit_revision, 0)
    from told full join kept on kept.project_id = told.project_id
        and kept.commit_revision = told.commit_revision
        and kept.scene_id is not distinct from told.scene_id
    where told.number is distinct from kept.number
    """,
)
EVENTS_OF_ITERATIONS = Fact(
    9,
    """
    select coalesce(i.project_id, e.project_id), coalesce(i.id, e.project_id),
        'an iteration without its event, or the reverse'
    from scene_iteration i full join (
        select * from project_event where type = 'iteration.created'
    ) e on e.project_id = i.project_id and e.revision = i.revision
        and e.payload->'iteration'->>'id' = i.id::text and e.request_id = i.request_id
    where i.id is null or e.revision is null
    """,
)
REQUESTS = Fact(
    9,
    """
    select row.project_id, row.id, 'no event of the request that wrote this ' || row.kind
    from (
        select project_id, id, request_id, 'scene' as kind from scene
        union all select project_id, id, request_id, 'message' from message
        union all select project_id, id, request_id, 'run' from run
        union all select id, id, request_id, 'project' from project
        union all select project_id, id, request_id, 'generation' from generation
    ) row
    where not exists (select from project_event e
        where e.project_id = row.project_id and e.request_id = row.request_id)
    """,
)
FAMILIES = Fact(
    10,
    """
    with recursive line as (
        select id, project_id, parent_generation_id as parent, array[id] as seen, false as loops
        from generation
        union all
        select line.id, line.project_id, above.parent_generation_id, seen || above.id,
            above.id = any(seen)
        from line join generation above on above.id = line.parent where not line.loops
    )
    select project_id, id, 'it is its own ancestor' from line where loops
    union all
    select child.project_id, child.id, 'its parent belongs to another project'
    from generation child join generation above on above.id = child.parent_generation_id
    where above.project_id <> child.project_id
    union all
    select child.project_id, child.id, 'it names another root than its parent'
    from generation child left join generation above on above.id = child.parent_generation_id
    where child.root_generation_id is distinct from coalesce(above.root_generation_id, above.id)
    union all
    select g.project_id, g.id, 'its scene belongs to another project'
    from generation g join scene s on s.id = g.scene_id where s.project_id <> g.project_id
    """,
)
SHOWN_GENERATIONS = Fact(
    10,
    """
    select row.project_id, row.id, 'the ' || row.kind || ' names a generation that is '
        || case when g.id is null then 'not there' when g.project_id <> row.project_id
            then 'of another project' else g.status end
    from (
        select id, project_id, generation_id, 'scene' as kind from scene
        union all select id, project_id, generation_id, 'iteration' from scene_iteration
    ) row left join generation g on g.id = row.generation_id
    where row.generation_id is not null and (g.id is null or g.project_id <> row.project_id
        or g.status <> 'success')
    union all
    select s.project_id, s.id, 'the scene shows a generation that was deleted'
    from scene s join generation g on g.id = s.generation_id where g.deleted_at is not null
    """,
)
PENDING_GENERATIONS = Fact(
    10,
    f"""
    select g.project_id, g.id, 'it is pending and nobody works on it'
    from generation g left join run r on r.id = g.run_id
    where g.status = 'pending' and (
        g.run_id is not null and r.status is distinct from 'running'
        or g.run_id is null and g.attempt > 0 and (g.lease_expires_at is null
            or g.lease_expires_at < clock_timestamp() - interval '{LEASE_GRACE} seconds'))
    """,
)
ENDS_OF_GENERATIONS = Fact(
    10,
    """
    select project_id, id, 'it is ' || status || ' without what that needs'
    from generation
    where (status = 'pending') <> (ended_at is null)
        or (status = 'success') <> (tsx_code is not null or
            (status = 'success' and deleted_at is not null))
        or (status = 'failed') <> (error_message is not null)
        or (status <> 'pending' and base_code is not null)
    union all
    select g.project_id, g.id, 'what its newest event tells is not what it is'
    from generation g left join lateral (
        select payload->'generation' as told from project_event e
        where e.project_id = g.project_id and e.revision >= g.revision
            and e.type in ('generation.created', 'generation.updated')
            and e.payload->'generation'->>'id' = g.id::text
        order by e.revision desc limit 1
    ) newest on true
    where newest.told->>'status' is distinct from g.status
        or (newest.told->>'sceneId') is distinct from g.scene_id::text
        or (newest.told->>'errorMessage') is distinct from g.error_message
        or (newest.told->'deletedAt' = 'null') is distinct from (g.deleted_at is null)
    """,
)
FACTS = (
    LOG,
    SCENES_AND_HISTORY,
    POSITIONS,
    MESSAGES_OF_ITERATIONS,
    MESSAGES_OF_RUNS,
    ONE_RUN,
    LEASES,
    ENDINGS,
    STRAY_ENDINGS,
    MODEL_CALLS,
    ITERATIONS_OF_CHANGES,
    EVENTS_OF_ITERATIONS,
    REQUESTS,
    FAMILIES,
    SHOWN_GENERATIONS,
    PENDING_GENERATIONS,
    ENDS_OF_GENERATIONS,
)
