"""Branches: new projects that start with the state of another project at a revision."""

from typing import Any, NamedTuple

import msgspec

from app.auth.model import Caller
from app.http.envelope import ActionResult
from app.problems import InvalidInput
from app.projects.access import access_project
from app.projects.model import MyProject, NewProject
from app.projects.projects import create_project, find_project, get_my_project, title_like
from app.projects.tables import ProjectRow
from app.realtime.log import Change, changing
from app.scenes.history import CREATED_FIELDS, ORDER_EVENTS, Cause, emit_scene_event
from app.scenes.model import Iteration, Scene, SceneState
from app.scenes.reads import ITERATION, SCENE, iteration_of, plain, scene_of
from app.scenes.tables import HistoryEntry
from app.store.database import Reader, Tx
from app.store.ids import new_id
from app.store.query import Param, built, column_list, named

TITLE_SUFFIX = "branch"  # appended to the title in parentheses

FIND_PAST_PROJECT = named("""
    select payload->'project' from project_event
    where project_id = :project_id and revision <= :at and type = 'project.updated'
    order by revision desc limit 1
""")
FIND_PAST_ORDER = named("""
    select payload->'sceneIds' from project_event
    where project_id = :project_id and revision <= :at and type = any(:types::text[])
    order by revision desc limit 1
""")
# The iteration of a change has the revision after its event, so `at` may be between the two.
LIST_PAST_STATES = named("""
    select state.after
    from unnest(:scene_ids::uuid[]) with ordinality as place (id, number)
    cross join lateral (
        select after from scene_iteration where scene_id = place.id and revision <= :at + 1
        order by revision desc limit 1
    ) state
    order by place.number
""")
START_FROM_PAST = built(
    ProjectRow.update({ProjectRow.audio: Param("audio"), ProjectRow.is_welcome: False}).where(
        ProjectRow.id == Param("id")
    )
)
INSERT_SCENES = named(f"""
    insert into scene (id, project_id, position, name, tsx_code, duration, props, layout_json,
        request_id)
    select id, :project_id, position, name, code, duration, props, layout, :request_id
    from unnest(:ids::uuid[], :positions::integer[], :names::text[], :codes::text[],
        :durations::integer[], :props::jsonb[], :layouts::text[])
        as new (id, position, name, code, duration, props, layout)
    returning {column_list(SCENE)}
""")
INSERT_ENTRY = built(
    HistoryEntry.insert(
        HistoryEntry(
            id=Param("id"),
            project_id=Param("project_id"),
            kind="branch",
            title=Param("title"),
            request_id=Param("request_id"),
            actor_id=Param("actor_id"),
            first_revision=Param("first_revision"),
            last_revision=Param("last_revision"),
        )
    )
)
INSERT_ITERATIONS = named(f"""
    insert into scene_iteration (id, project_id, scene_id, operation_type, change_source,
        user_prompt, after, code_after, changes_applied, session_id, request_id, actor_id,
        revision, entry_id)
    select id, :project_id, scene_id, 'create', 'user', :prompt, after, after->>'tsxCode',
        '["created"]', :session_id, :request_id, :actor_id, revision, :entry_id
    from unnest(:ids::uuid[], :scene_ids::uuid[], :states::jsonb[], :revisions::bigint[])
        as new (id, scene_id, after, revision)
    returning {column_list(ITERATION)}
""")


class PastProject(NamedTuple):
    """A project at a past revision: its own fields, and its scenes in order."""

    project: dict[str, Any]
    scenes: list[SceneState]


async def branch_project(
    tx: Tx, caller: Caller, project_id: str, at: int | None
) -> ActionResult[MyProject]:
    """Create a project for the caller with the scenes, format, frame rate and audio as of `at`.

    `at` is a revision, by default the current one. Ids and history are new; members, messages and
    runs are not copied. Raises `InvalidInput` for a future revision.
    """
    access = await access_project(tx, caller, project_id, "viewer")
    if at is not None and at > access.revision:
        raise InvalidInput(f"The project is at revision {access.revision} only.")
    past = await read_past(tx, project_id, access.revision if at is None else at)
    title = past.project["title"]
    new = NewProject(
        title=await title_like(tx, caller.user_id, title, TITLE_SUFFIX),
        format=past.project["format"],
        fps=past.project["fps"],
    )
    branch_id = (await create_project(tx, caller, new)).data.id
    async with changing(
        tx, branch_id, actor_id=caller.user_id, request_id=caller.request_id
    ) as change:
        await tx.execute(*START_FROM_PAST(id=branch_id, audio=past.project["audio"]))
        project = await find_project(tx, branch_id)
        change.emit("project.updated", {"project": project, "changed": ["audio", "isWelcome"]})
        if past.scenes:
            await _add_scenes(change, caller, past.scenes, f"Branched from {title}")
    mine = await get_my_project(tx, caller, branch_id)
    return ActionResult(data=mine, affected=[branch_id], revision=change.revision)


async def read_past(reader: Reader, project_id: str, at: int) -> PastProject:
    """Read a project as of a revision in three statements, however long its history is.

    The newest event or iteration of a row contains its whole state. Raises `InvalidInput` for a
    revision before the project's creation.
    """
    project = await reader.fetchval(*FIND_PAST_PROJECT(project_id=project_id, at=at))
    if project is None:
        raise InvalidInput("The project was not there yet.")
    scene_ids = await reader.fetchval(
        *FIND_PAST_ORDER(project_id=project_id, at=at, types=ORDER_EVENTS)
    )
    rows = await reader.fetch(*LIST_PAST_STATES(scene_ids=scene_ids or [], at=at))
    return PastProject(project, [msgspec.convert(row["after"], SceneState) for row in rows])


async def _add_scenes(
    change: Change, caller: Caller, states: list[SceneState], prompt: str
) -> None:
    """Add scenes with their iterations and events, in a constant number of statements."""
    ids = [new_id() for _ in states]
    rows = await change.tx.fetch(
        *INSERT_SCENES(
            project_id=change.project_id,
            request_id=change.request_id,
            ids=ids,
            positions=list(range(len(ids))),
            names=[state.name for state in states],
            codes=[state.tsx_code for state in states],
            durations=[state.duration for state in states],
            props=[state.props for state in states],
            layouts=[state.layout_json for state in states],
        )
    )
    scenes = {row["id"]: scene_of(row) for row in rows}
    cause = Cause(source="user", prompt=prompt, session_id=caller.session_id)
    iterations = await _add_iterations(change, cause, [scenes[scene_id] for scene_id in ids])
    for number, scene_id in enumerate(ids, 1):
        emit_scene_event(
            change, "scene.created", scenes[scene_id], CREATED_FIELDS, cause, ids[:number]
        )
        change.emit("iteration.created", {"iteration": iterations[scene_id]})


async def _add_iterations(
    change: Change, cause: Cause, scenes: list[Scene]
) -> dict[str | None, Iteration]:
    """Insert the entry and the iterations of new scenes; return the latter by scene."""
    first = change.next_revision + 1  # the event of each iteration follows that of its scene
    revisions = [first + 2 * number for number in range(len(scenes))]
    await change.tx.execute(
        *INSERT_ENTRY(
            id=cause.entry_id,
            project_id=change.project_id,
            title=cause.prompt,
            request_id=change.request_id,
            actor_id=change.actor_id,
            first_revision=revisions[0],
            last_revision=revisions[-1],
        )
    )
    rows = await change.tx.fetch(
        *INSERT_ITERATIONS(
            project_id=change.project_id,
            prompt=cause.prompt,
            session_id=cause.session_id,
            request_id=change.request_id,
            actor_id=change.actor_id,
            entry_id=cause.entry_id,
            ids=[new_id() for _ in scenes],
            scene_ids=[scene.id for scene in scenes],
            states=[plain(scene.state) for scene in scenes],
            revisions=revisions,
        )
    )
    return {row["scene_id"]: iteration_of(row) for row in rows}
