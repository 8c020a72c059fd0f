"""A branch: a project of one's own, that begins as another one was at some revision."""

from typing import Any, NamedTuple

import msgspec

from app.auth.model import Caller
from app.http.envelope import ActionResult
from app.problems import InvalidInput
from app.projects.access import access_project
from app.projects.model import MyProject, NewProject
from app.projects.projects import create_project, find_project, get_my_project, title_like
from app.realtime.log import Change, changing
from app.scenes.history import CREATED, Cause, tell
from app.scenes.model import Iteration, SceneState
from app.scenes.reads import ITERATION, SCENE, iteration_of, plain, scene_of
from app.store.engine import Reader, Tx
from app.store.ids import new_id

MARK = "branch"
ORDERING = ["scene.created", "scene.deleted", "scene.restored", "scenes.reordered"]

NEW_SCENES = f"""
    insert into scene (id, project_id, position, name, tsx_code, duration, props, layout_json,
        request_id)
    select id, $1, position, name, code, duration, props, layout, $2
    from unnest($3::uuid[], $4::integer[], $5::text[], $6::text[], $7::integer[], $8::jsonb[],
        $9::text[]) as new (id, position, name, code, duration, props, layout)
    returning {SCENE}
"""
NEW_ENTRY = """
    insert into history_entry (id, project_id, kind, title, request_id, actor_id, first_revision,
        last_revision)
    values ($1, $2, 'branch', $3, $4, $5, $6, $7)
"""
NEW_ITERATIONS = f"""
    insert into scene_iteration (id, project_id, scene_id, operation_type, change_source,
        user_prompt, after, code_after, changes_applied, session_id, request_id, actor_id, revision,
        entry_id)
    select id, $1, scene_id, 'create', 'user', $2, after, after->>'tsxCode', '["created"]', $3, $4,
        $5, revision, $6
    from unnest($7::uuid[], $8::uuid[], $9::jsonb[], $10::bigint[])
        as new (id, scene_id, after, revision)
    returning {ITERATION}
"""


class Past(NamedTuple):
    """A project as it was: its own fields, and its scenes in order."""

    project: dict[str, Any]
    scenes: list[SceneState]


async def branch_project(
    tx: Tx, caller: Caller, project_id: str, at: int | None
) -> ActionResult[MyProject]:
    """A new project of the caller's with the scenes, format, frame rate and audio as of `at`.

    Without `at` as it is now. Ids are new, and so is the history; members, messages and turns
    stay behind. Raises `InvalidInput` for a revision to come.
    """
    access = await access_project(tx, caller, project_id, "viewer")
    if at is not None and at > access.revision:
        raise InvalidInput(f"The project is at revision {access.revision} only.")
    past = await read_past(tx, project_id, access.revision if at is None else at)
    was = past.project
    new = NewProject(
        title=await title_like(tx, caller.user_id, was["title"], MARK),
        format=was["format"],
        fps=was["fps"],
    )
    made = await create_project(tx, caller, new)
    branch_id = made.data.id
    async with changing(
        tx, branch_id, actor_id=caller.user_id, request_id=caller.request_id
    ) as change:
        await tx.execute(
            "update project set audio = $2, is_welcome = false where id = $1",
            branch_id,
            was["audio"],
        )
        project = await find_project(tx, branch_id)
        change.emit("project.updated", {"project": project, "changed": ["audio", "isWelcome"]})
        await _fill(change, caller, past, f"Branched from {was['title']}")
    mine = await get_my_project(tx, caller, branch_id)
    return ActionResult(data=mine, affected=[branch_id], revision=change.revision)


async def read_past(reader: Reader, project_id: str, at: int) -> Past:
    """In three queries, however long the history is: the newest word on each thing is enough.

    An iteration follows right behind the event of its change, so `at` may be between the two.
    """
    project = await reader.fetchval(
        "select payload->'project' from project_event where project_id = $1 and revision <= $2"
        " and type = 'project.updated' order by revision desc limit 1",
        project_id,
        at,
    )
    if project is None:
        raise InvalidInput("The project was not there yet.")
    order = await reader.fetchval(
        "select payload->'sceneIds' from project_event where project_id = $1 and revision <= $2"
        " and type = any($3::text[]) order by revision desc limit 1",
        project_id,
        at,
        ORDERING,
    )
    rows = await reader.fetch(
        "select state.after from unnest($1::uuid[]) with ordinality as place (id, number)"
        " cross join lateral (select after from scene_iteration where scene_id = place.id"
        " and revision <= $2 + 1 order by revision desc limit 1) state order by place.number",
        order or [],
        at,
    )
    return Past(project, [msgspec.convert(row["after"], SceneState) for row in rows])


async def _fill(change: Change, caller: Caller, past: Past, said: str) -> None:
    """The scenes with their iterations and events, in a constant number of statements."""
    if not past.scenes:
        return
    ids = [new_id() for _ in past.scenes]
    rows = await change.tx.fetch(
        NEW_SCENES,
        change.project_id,
        change.request_id,
        ids,
        list(range(len(ids))),
        [scene.name for scene in past.scenes],
        [scene.tsx_code for scene in past.scenes],
        [scene.duration for scene in past.scenes],
        [scene.props for scene in past.scenes],
        [scene.layout_json for scene in past.scenes],
    )
    scenes = {row["id"]: scene_of(row) for row in rows}
    cause = Cause(source="user", prompt=said, session_id=caller.session_id)
    first = change.next_revision + 1  # behind each scene's event comes its iteration's
    revisions = [first + 2 * number for number in range(len(ids))]
    await change.tx.execute(
        NEW_ENTRY,
        cause.entry_id,
        change.project_id,
        said,
        change.request_id,
        change.actor_id,
        revisions[0],
        revisions[-1],
    )
    rows = await change.tx.fetch(
        NEW_ITERATIONS,
        change.project_id,
        said,
        caller.session_id,
        change.request_id,
        change.actor_id,
        cause.entry_id,
        [new_id() for _ in ids],
        ids,
        [plain(scenes[scene_id].state) for scene_id in ids],
        revisions,
    )
    iterations: dict[str | None, Iteration] = {row["scene_id"]: iteration_of(row) for row in rows}
    for number, scene_id in enumerate(ids, 1):
        tell(change, "scene.created", scenes[scene_id], CREATED, cause, ids[:number])
        change.emit("iteration.created", {"iteration": iterations[scene_id]})
