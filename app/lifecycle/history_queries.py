"""The queries that find violations of invariant 11: reverts, undo and the timeline."""

from app.lifecycle.queries import InvariantQuery

REVERTED_ITERATIONS = InvariantQuery(
    11,
    """
    select r.project_id, r.id, 'it reverts no older iteration of the same scene'
    from scene_iteration r left join scene_iteration o on o.id = r.reverts_iteration_id
        and o.project_id = r.project_id and o.revision < r.revision
        and o.scene_id is not distinct from r.scene_id
    where (r.change_source = 'revert' and o.id is null)
        or (r.change_source <> 'revert' and r.reverts_iteration_id is not null)
    """,
)
# Of two orders the scenes in both are compared; before its creation a scene counts as deleted.
REVERTED_STATES = InvariantQuery(
    11,
    """
    select r.project_id, r.id, 'its state is neither before nor after the iteration that it reverts'
    from scene_iteration r join scene_iteration o on o.id = r.reverts_iteration_id
    cross join lateral (values (o.before), (o.after)) as side (state)
    group by r.id
    having not bool_or(case
        when side.state is null or side.state = 'null' then (r.after->>'deleted')::boolean
        when r.scene_id is not null then r.after - 'position' = side.state - 'position'
        else (select array_agg(id order by place) from jsonb_array_elements_text(
                r.after->'sceneIds') with ordinality as named (id, place)
                where side.state->'sceneIds' ? id)
            is not distinct from
            (select array_agg(id order by place) from jsonb_array_elements_text(
                side.state->'sceneIds') with ordinality as named (id, place)
                where r.after->'sceneIds' ? id)
        end)
    """,
)
TIMELINE_ENTRIES = InvariantQuery(
    11,
    """
    select i.project_id, i.id, 'the timeline entry differs from its iterations'
    from (
        select entry_id, min(project_id::text)::uuid as project_id, min(id::text)::uuid as id,
            min(revision) as first, max(revision) as last,
            count(distinct actor_id) as actors, count(distinct project_id) as projects
        from scene_iteration group by entry_id
    ) i left join history_entry e on e.id = i.entry_id
    where e.id is null or e.project_id <> i.project_id or i.projects > 1
        or i.actors > 1 or e.first_revision <> i.first or e.last_revision <> i.last
    """,
)
UNDONE_ENTRIES = InvariantQuery(
    11,
    """
    select e.project_id, e.id, 'it is undone by an entry that is no later undo of its project'
    from history_entry e join history_entry u on u.id = e.undone_by_id
    where u.kind <> 'undo' or u.project_id <> e.project_id or u.last_revision < e.last_revision
        or e.kind not in ('change', 'revert')
    """,
)

HISTORY_QUERIES = (REVERTED_ITERATIONS, REVERTED_STATES, TIMELINE_ENTRIES, UNDONE_ENTRIES)
