"""The packet that the brain gets: what is in the project, and what was said before this turn."""

import logging

import msgspec

from app.brain.model import Context, ContextMessage, ContextScene
from app.chat.leases import LeasedRun
from app.problems import Problem
from app.projects.model import Format
from app.scenes.model import Scene
from app.scenes.reads import live_scenes
from app.store.database import Reader

MESSAGES_MOST = 20  # of the chat before this turn

log = logging.getLogger(__name__)


FORMAT = "select format, fps from project where id = $1"


class GatheredContext(msgspec.Struct, frozen=True, kw_only=True):
    """The packet, and the scenes that it was made from: what a later commit must still meet."""

    context: Context
    scenes: dict[str, Scene]


async def gather(leased: LeasedRun) -> GatheredContext:
    """Read anew, so that a turn sees the result of the one before; a failing part is left out."""
    run = leased.run
    project = await leased.database.fetchrow(
        "select format, fps from project where id = $1", run.project_id
    )
    assert project is not None
    frame: Format = project["format"]
    scenes = await live_scenes(leased.database, run.project_id)
    newest = max(scenes, key=lambda scene: scene.created_at, default=None)
    try:
        messages = await _messages(leased.database, leased)
    except Problem:
        log.warning("messages left out of the context of run %s", run.id, exc_info=True)
        messages = []
    context = Context(
        prompt=run.prompt,
        format=frame,
        fps=project["fps"],
        scenes=[
            ContextScene(
                id=scene.id,
                number=number,
                name=scene.name,
                tsx_code=scene.tsx_code,
                duration=scene.duration,
                newest=scene is newest,
            )
            for number, scene in enumerate(scenes, 1)
        ],
        messages=messages,
        selected_scene_id=next(
            (scene.id for scene in scenes if scene.id == run.selected_scene_id), None
        ),
        image_urls=leased.image_urls,
    )
    return GatheredContext(context=context, scenes={scene.id: scene for scene in scenes})


async def _messages(reader: Reader, leased: LeasedRun) -> list[ContextMessage]:
    rows = await reader.fetch(
        "select role, content from (select role, content, sequence from message"
        " where project_id = $1 and status = 'success' and sequence < $2 and content <> ''"
        " order by sequence desc limit $3) as newest order by sequence",
        leased.run.project_id,
        leased.run.base_revision + 1,
        MESSAGES_MOST,
    )
    return [ContextMessage(role=row["role"], content=row["content"]) for row in rows]
