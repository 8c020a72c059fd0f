"""Reading scenes and their history; every query a constant number of statements."""

from typing import Any

import msgspec
from asyncpg import Record

from app.auth.model import Caller
from app.http.envelope import Page
from app.problems import Forbidden, InvalidInput, NotFound
from app.projects.access import Access, access_project
from app.projects.model import Role
from app.scenes.model import Iteration, Scene
from app.store.engine import Reader

SCENE = (
    "id, project_id, position, name, tsx_code, duration, props, layout_json, revision,"
    " generation_id, created_at, updated_at, deleted_at"
)
ITERATION = (
    "id, project_id, scene_id, operation_type, change_source, edit_complexity, user_prompt,"
    " brain_reasoning, tool_reasoning, before, after, code_before, code_after, changes_applied,"
    " generation_time_ms, model_used, tokens_used, message_id, run_id, call_id, generation_id,"
    " reverts_iteration_id, user_edited_again, request_id, revision, created_at"
)
BATCH_MOST = 200  # messages whose iterations are read at once


def scene_of(row: Record) -> Scene:
    return Scene(**row)


def iteration_of(row: Record) -> Iteration:
    return Iteration(**row)


async def live_scenes(reader: Reader, project_id: str) -> list[Scene]:
    """In the video's order."""
    rows = await reader.fetch(
        f"select {SCENE} from scene where project_id = $1 and deleted_at is null order by position",
        project_id,
    )
    return [scene_of(row) for row in rows]


async def live_ids(reader: Reader, project_id: str) -> list[str]:
    rows = await reader.fetch(
        "select id from scene where project_id = $1 and deleted_at is null order by position",
        project_id,
    )
    return [row["id"] for row in rows]


async def find_scene(reader: Reader, scene_id: str) -> Scene | None:
    """Also a deleted one."""
    row = await reader.fetchrow(f"select {SCENE} from scene where id = $1", scene_id)
    return scene_of(row) if row else None


async def access_scene(
    reader: Reader, caller: Caller, scene_id: str, role: Role, *, deleted: bool = False
) -> tuple[Scene, Access]:
    """Raise `NotFound` for an absent or foreign scene, and for a deleted one unless `deleted`."""
    scene = await find_scene(reader, scene_id)
    if scene is None or (scene.deleted_at is not None and not deleted):
        raise NotFound("There is no such scene.")
    try:
        access = await access_project(reader, caller, scene.project_id, role)
    except NotFound:
        raise NotFound("There is no such scene.") from None
    return scene, access


async def scene_in_project(reader: Reader, caller: Caller, project_id: str, scene_id: str) -> Scene:
    """A live scene that must belong to a project the caller is in already.

    One of another project that the caller may see is `Forbidden`; all else is `NotFound`.
    """
    scene, access = await access_scene(reader, caller, scene_id, "viewer")
    if access.project_id != project_id:
        raise Forbidden("This scene belongs to another project.")
    return scene


async def iterations_of_scene(
    reader: Reader, scene_id: str, *, before: int | None, limit: int
) -> Page[Iteration]:
    """Newest first; `before` is the revision that ended the last page."""
    rows = await reader.fetch(
        f"select {ITERATION} from scene_iteration"
        " where scene_id = $1 and ($2::bigint is null or revision < $2)"
        " order by revision desc limit $3",
        scene_id,
        before,
        limit + 1,
    )
    items = [iteration_of(row) for row in rows[:limit]]
    return Page(items=items, next_cursor=str(items[-1].revision) if len(rows) > limit else None)


async def iterations_of_messages(
    reader: Reader, project_id: str, message_ids: list[str]
) -> list[Iteration]:
    """Of many messages in one query, oldest first; foreign ids give nothing."""
    if len(message_ids) > BATCH_MOST:
        raise InvalidInput(f"At most {BATCH_MOST} message ids at once.")
    rows = await reader.fetch(
        f"select {ITERATION} from scene_iteration"
        " where project_id = $1 and message_id = any($2::uuid[]) order by revision",
        project_id,
        message_ids,
    )
    return [iteration_of(row) for row in rows]


def plain(value: Any) -> Any:
    """A Struct as the plain values that jsonb keeps."""
    return msgspec.to_builtins(value)
