"""The queries that find violations of invariants; `check` lists the invariants by number."""

from typing import NamedTuple

EXPIRED_LEASE_GRACE_SECONDS = 60  # until a job with an expired lease is a violation


class InvariantQuery(NamedTuple):
    """A query that returns a row (project_id, id, description) for each violation."""

    invariant: int
    sql: str


LOG_REVISIONS = InvariantQuery(
    1,
    """
    select p.id, p.id, 'revision ' || p.revision || ', but ' || count(e.revision)
        || ' events up to ' || coalesce(max(e.revision), 0)
    from project p left join project_event e on e.project_id = p.id group by p.id
    having coalesce(max(e.revision), 0) <> p.revision or count(e.revision) <> p.revision
        or coalesce(min(e.revision), 1) <> 1
    """,
)
SCENES_WITH_ITERATIONS = InvariantQuery(
    2,
    """
    select s.project_id, s.id, 'the scene differs from its newest iteration'
    from scene s left join lateral (
        select after from scene_iteration where scene_id = s.id order by revision desc limit 1
    ) newest on true
    where newest.after - 'position' is distinct from jsonb_build_object(
        'name', s.name, 'tsxCode', s.tsx_code, 'duration', s.duration, 'props', s.props,
        'layoutJson', s.layout_json, 'deleted', s.deleted_at is not null)
    """,
)
SCENE_POSITIONS = InvariantQuery(
    4,
    """
    select project_id, project_id, 'live positions are not 0 to ' || count(*) - 1
    from scene where deleted_at is null group by project_id
    having min(position) <> 0 or max(position) <> count(*) - 1
        or count(distinct position) <> count(*)
    """,
)
ITERATION_MESSAGES = InvariantQuery(
    5,
    """
    select i.project_id, i.id, 'the iteration is not linked to the answer of its run'
    from scene_iteration i left join run r on r.id = i.run_id
    where i.change_source = 'llm' and (r.id is null or r.project_id <> i.project_id
        or i.message_id is distinct from r.assistant_message_id)
    """,
)
RUN_MESSAGES = InvariantQuery(
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
CONCURRENT_RUNS = InvariantQuery(
    6,
    """
    select project_id, project_id, count(*) || ' runs are running'
    from run where status = 'running' group by project_id having count(*) > 1
    """,
)
RUN_LEASES = InvariantQuery(
    6,
    f"""
    select project_id, id, 'it runs without a lease' from run where status = 'running'
        and (lease_expires_at is null
            or lease_expires_at
                < clock_timestamp() - interval '{EXPIRED_LEASE_GRACE_SECONDS} seconds')
    """,
)
RUN_ENDS = InvariantQuery(
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
ENDS_WITHOUT_RUN = InvariantQuery(
    7,
    """
    select e.project_id, coalesce(e.run_id, e.project_id),
        'run.finished without its run at ' || e.revision
    from project_event e left join run r on r.id = e.run_id and r.project_id = e.project_id
    where e.type = 'run.finished' and r.id is null
    """,
)
OPEN_MODEL_CALLS = InvariantQuery(
    8,
    """
    select c.project_id, c.id, 'an open call of a run that has ended'
    from model_call c left join run r on r.id = c.run_id
        left join generation g on g.id = c.generation_id
    where (r.status in ('succeeded', 'failed', 'cancelled')
            or r.id is null and g.status in ('success', 'failed'))
        and (c.status = 'open' or c.closed_at is null)
    """,
)
# Events and iterations of one transaction, counted for each scene; a null scene is the order.
CHANGE_ITERATIONS = InvariantQuery(
    9,
    """
    with events as (
        select project_id, commit_revision, (payload->'scene'->>'id')::uuid as scene_id,
            count(*) as number
        from project_event
        where type in ('scene.created', 'scene.updated', 'scene.deleted', 'scene.restored',
            'scenes.reordered')
        group by 1, 2, 3
    ), iterations as (
        select i.project_id, e.commit_revision, i.scene_id, count(*) as number
        from scene_iteration i left join project_event e
            on e.project_id = i.project_id and e.revision = i.revision
        group by 1, 2, 3
    )
    select coalesce(events.project_id, iterations.project_id),
        coalesce(events.scene_id, iterations.scene_id, events.project_id, iterations.project_id),
        coalesce(events.number, 0) || ' changes and ' || coalesce(iterations.number, 0)
            || ' iterations up to '
            || coalesce(events.commit_revision, iterations.commit_revision, 0)
    from events full join iterations on iterations.project_id = events.project_id
        and iterations.commit_revision = events.commit_revision
        and iterations.scene_id is not distinct from events.scene_id
    where events.number is distinct from iterations.number
    """,
)
ITERATION_EVENTS = InvariantQuery(
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
REQUEST_EVENTS = InvariantQuery(
    9,
    """
    select row.project_id, row.id, 'no event of the request that wrote the ' || row.kind
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
GENERATION_TREES = InvariantQuery(
    10,
    """
    with recursive ancestry as (
        select id, project_id, parent_generation_id as parent, array[id] as seen, false as loops
        from generation
        union all
        select ancestry.id, ancestry.project_id, above.parent_generation_id, seen || above.id,
            above.id = any(seen)
        from ancestry join generation above on above.id = ancestry.parent
        where not ancestry.loops
    )
    select project_id, id, 'it is its own ancestor' from ancestry where loops
    union all
    select child.project_id, child.id, 'its parent belongs to another project'
    from generation child join generation above on above.id = child.parent_generation_id
    where above.project_id <> child.project_id
    union all
    select child.project_id, child.id, 'its root is not that of its parent'
    from generation child left join generation above on above.id = child.parent_generation_id
    where child.root_generation_id is distinct from coalesce(above.root_generation_id, above.id)
    union all
    select g.project_id, g.id, 'its scene belongs to another project'
    from generation g join scene s on s.id = g.scene_id where s.project_id <> g.project_id
    """,
)
GENERATION_REFERENCES = InvariantQuery(
    10,
    """
    select row.project_id, row.id, 'the ' || row.kind || ' refers to a generation that is '
        || case when g.id is null then 'missing' when g.project_id <> row.project_id
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
GENERATION_LEASES = InvariantQuery(
    10,
    f"""
    select g.project_id, g.id, 'it is pending and no worker has its lease'
    from generation g left join run r on r.id = g.run_id
    where g.status = 'pending' and (
        g.run_id is not null and r.status is distinct from 'running'
        or g.run_id is null and g.attempt > 0 and (g.lease_expires_at is null
            or g.lease_expires_at
                < clock_timestamp() - interval '{EXPIRED_LEASE_GRACE_SECONDS} seconds'))
    """,
)
GENERATION_RESULTS = InvariantQuery(
    10,
    """
    select project_id, id, 'its status ' || status || ' disagrees with its result'
    from generation
    where (status = 'pending') <> (ended_at is null)
        or (status = 'success') <> (tsx_code is not null or
            (status = 'success' and deleted_at is not null))
        or (status = 'failed') <> (error_message is not null)
        or (status <> 'pending' and base_code is not null)
    union all
    select g.project_id, g.id, 'it differs from its newest event'
    from generation g left join lateral (
        select payload->'generation' as generation from project_event e
        where e.project_id = g.project_id and e.revision >= g.revision
            and e.type in ('generation.created', 'generation.updated')
            and e.payload->'generation'->>'id' = g.id::text
        order by e.revision desc limit 1
    ) newest on true
    where newest.generation->>'status' is distinct from g.status
        or (newest.generation->>'sceneId') is distinct from g.scene_id::text
        or (newest.generation->>'errorMessage') is distinct from g.error_message
        or (newest.generation->'deletedAt' = 'null') is distinct from (g.deleted_at is null)
    """,
)
QUERIES = (
    LOG_REVISIONS,
    SCENES_WITH_ITERATIONS,
    SCENE_POSITIONS,
    ITERATION_MESSAGES,
    RUN_MESSAGES,
    CONCURRENT_RUNS,
    RUN_LEASES,
    RUN_ENDS,
    ENDS_WITHOUT_RUN,
    OPEN_MODEL_CALLS,
    CHANGE_ITERATIONS,
    ITERATION_EVENTS,
    REQUEST_EVENTS,
    GENERATION_TREES,
    GENERATION_REFERENCES,
    GENERATION_LEASES,
    GENERATION_RESULTS,
)
