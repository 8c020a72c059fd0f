"""Reading scenes and their iterations; each function runs a constant number of statements."""

from typing import Any

import msgspec
from asyncpg import Record
from piccolo.columns.combination import WhereRaw

from app.auth.model import Caller
from app.http.envelope import Page
from app.problems import Forbidden, InvalidInput, NotFound
from app.projects.access import Access, access_project
from app.projects.model import Role
from app.realtime.events import MAX_REVISION
from app.scenes.model import Iteration, Scene
from app.scenes.tables import SceneIteration, SceneRow
from app.store.database import Reader
from app.store.query import Param, built, column_list, named

MAX_BATCH_MESSAGES = 200  # in one request for their iterations
NO_SCENE = "There is no such scene."
NO_ITERATION = "There is no such iteration."

SCENE = SceneRow.all_columns(exclude=[SceneRow.request_id])
ITERATION = SceneIteration.all_columns(
    exclude=[SceneIteration.session_id, SceneIteration.actor_id, SceneIteration.entry_id]
)

FIND_SCENE = built(SceneRow.select(*SCENE).where(SceneRow.id == Param("id")))
FIND_SCENES = built(SceneRow.select(*SCENE).where(WhereRaw("id = any({}::uuid[])", Param("ids"))))
IS_LIVE = (SceneRow.project_id == Param("project_id")) & SceneRow.deleted_at.is_null()
LIST_LIVE_SCENES = built(SceneRow.select(*SCENE).where(IS_LIVE).order_by(SceneRow.position))
LIST_LIVE_IDS = built(SceneRow.select(SceneRow.id).where(IS_LIVE).order_by(SceneRow.position))

LIST_SCENES_OF_RUN = named(f"""
    select {column_list(SCENE)} from scene
    where id in (
        select scene_id from scene_iteration where run_id = :run_id and scene_id is not null
    )
    order by position nulls last
""")
FIND_ITERATION = built(SceneIteration.select(*ITERATION).where(SceneIteration.id == Param("id")))
LIST_ITERATIONS_OF_SCENE = built(
    SceneIteration.select(*ITERATION)
    .where(SceneIteration.scene_id == Param("scene_id"), SceneIteration.revision < Param("before"))
    .order_by(SceneIteration.revision, ascending=False),
    limit=Param("limit"),
)
LIST_ITERATIONS_OF_MESSAGES = built(
    SceneIteration.select(*ITERATION)
    .where(
        SceneIteration.project_id == Param("project_id"),
        WhereRaw("message_id = any({}::uuid[])", Param("message_ids")),
    )
    .order_by(SceneIteration.revision)
)


def scene_of(row: Record) -> Scene:
    """Return the scene of a row with the columns `SCENE`."""
    return Scene(**row)


def iteration_of(row: Record) -> Iteration:
    """Return the iteration of a row with the columns `ITERATION`."""
    return Iteration(**row)


async def live_scenes(reader: Reader, project_id: str) -> list[Scene]:
    """Return the scenes that are not deleted, in the video's order."""
    return [scene_of(row) for row in await reader.fetch(*LIST_LIVE_SCENES(project_id=project_id))]


async def live_ids(reader: Reader, project_id: str) -> list[str]:
    """Return the ids of the scenes that are not deleted, in the video's order."""
    return [row["id"] for row in await reader.fetch(*LIST_LIVE_IDS(project_id=project_id))]


async def find_scene(reader: Reader, scene_id: str) -> Scene | None:
    """Return the scene, deleted or not."""
    row = await reader.fetchrow(*FIND_SCENE(id=scene_id))
    return scene_of(row) if row else None


async def find_scenes(reader: Reader, scene_ids: list[str]) -> list[Scene]:
    """Return those of the scenes that exist, deleted or not, in no order."""
    return [scene_of(row) for row in await reader.fetch(*FIND_SCENES(ids=scene_ids))]


async def scenes_of_run(reader: Reader, run_id: str) -> list[Scene]:
    """Return the scenes that a run changed as they are now, deleted ones last."""
    return [scene_of(row) for row in await reader.fetch(*LIST_SCENES_OF_RUN(run_id=run_id))]


async def access_scene(
    reader: Reader, caller: Caller, scene_id: str, role: Role, *, deleted: bool = False
) -> tuple[Scene, Access]:
    """Return a scene and the caller's access to its project.

    Raises `NotFound` for an absent or foreign scene, and for a deleted one unless `deleted`;
    `Forbidden` when the caller's role is below `role`.
    """
    scene = await find_scene(reader, scene_id)
    if scene is None or (scene.deleted_at is not None and not deleted):
        raise NotFound(NO_SCENE)
    return scene, await access_project(reader, caller, scene.project_id, role, absent=NO_SCENE)


async def access_iteration(
    reader: Reader, caller: Caller, iteration_id: str, role: Role
) -> Iteration:
    """Return an iteration, with the checks and errors of `access_scene`."""
    row = await reader.fetchrow(*FIND_ITERATION(id=iteration_id))
    if row is None:
        raise NotFound(NO_ITERATION)
    await access_project(reader, caller, row["project_id"], role, absent=NO_ITERATION)
    return iteration_of(row)


async def scene_in_project(reader: Reader, caller: Caller, project_id: str, scene_id: str) -> Scene:
    """Return a live scene of a project to which the caller's access was checked before.

    Raises `Forbidden` for a scene of another project that the caller may see, else `NotFound`.
    """
    scene, access = await access_scene(reader, caller, scene_id, "viewer")
    if access.project_id != project_id:
        raise Forbidden("This scene belongs to another project.")
    return scene


async def iterations_of_scene(
    reader: Reader, scene_id: str, *, before: int | None, limit: int
) -> Page[Iteration]:
    """Return a page of a scene's history, newest first.

    `before` is the last revision of the previous page.
    """
    rows = await reader.fetch(
        *LIST_ITERATIONS_OF_SCENE(
            scene_id=scene_id,
            before=MAX_REVISION if before is None else before,
            limit=limit + 1,
        )
    )
    items = [iteration_of(row) for row in rows[:limit]]
    return Page(items=items, next_cursor=str(items[-1].revision) if len(rows) > limit else None)


async def iterations_of_messages(
    reader: Reader, project_id: str, message_ids: list[str]
) -> list[Iteration]:
    """Return the iterations of messages of one project, oldest first; other ids are ignored.

    Raises `InvalidInput` for more than `MAX_BATCH_MESSAGES` ids.
    """
    if len(message_ids) > MAX_BATCH_MESSAGES:
        raise InvalidInput(f"At most {MAX_BATCH_MESSAGES} message ids at once.")
    rows = await reader.fetch(
        *LIST_ITERATIONS_OF_MESSAGES(project_id=project_id, message_ids=message_ids)
    )
    return [iteration_of(row) for row in rows]


def plain(value: Any) -> Any:
    """Return a Struct as plain values for a jsonb column."""
    return msgspec.to_builtins(value)
