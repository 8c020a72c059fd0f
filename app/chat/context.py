"""The context of a decision: the scenes of the project and the earlier messages."""

import logging

import msgspec

from app.brain.model import Context, ContextMessage, ContextScene
from app.chat.leases import LeasedRun
from app.problems import Problem
from app.projects.tables import ProjectRow
from app.runs.tables import MessageRow
from app.scenes.model import Scene
from app.scenes.reads import live_scenes
from app.store.query import Param, built

MAX_MESSAGES = 20  # before this turn

FIND_FRAME = built(
    ProjectRow.select(ProjectRow.format, ProjectRow.fps).where(ProjectRow.id == Param("id"))
)
LIST_EARLIER_MESSAGES = built(
    MessageRow.select(MessageRow.role, MessageRow.content)
    .where(
        MessageRow.project_id == Param("project_id"),
        MessageRow.status == "success",
        MessageRow.sequence <= Param("last"),
        MessageRow.content != "",
    )
    .order_by(MessageRow.sequence, ascending=False)
    .limit(MAX_MESSAGES)
)

logger = logging.getLogger(__name__)


class GatheredContext(msgspec.Struct, frozen=True, kw_only=True):
    """The context and its scenes by id, with which a commit compares the current ones."""

    context: Context
    scenes: dict[str, Scene]


async def gather(leased: LeasedRun) -> GatheredContext:
    """Read the context from the database, with the results of earlier turns.

    Messages that cannot be read are left out. Raises `Problem` if the scenes cannot be read.
    """
    run = leased.run
    frame = await leased.database.fetchrow(*FIND_FRAME(id=run.project_id))
    assert frame is not None, "projects are never removed"
    scenes = await live_scenes(leased.database, run.project_id)
    newest = max(scenes, key=lambda scene: scene.created_at, default=None)
    try:
        messages = await _messages(leased)
    except Problem:
        logger.warning("messages left out of the context of run %s", run.id, exc_info=True)
        messages = []
    context = Context(
        prompt=run.prompt,
        format=frame["format"],
        fps=frame["fps"],
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


async def _messages(leased: LeasedRun) -> list[ContextMessage]:
    """Return the last messages before the turn, oldest first."""
    run = leased.run
    rows = await leased.database.fetch(
        *LIST_EARLIER_MESSAGES(project_id=run.project_id, last=run.base_revision)
    )
    return [ContextMessage(role=row["role"], content=row["content"]) for row in reversed(rows)]
