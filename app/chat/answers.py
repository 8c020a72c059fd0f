"""The answer for a run that has ended: the scenes it changed and the assistant's text."""

from typing import Any

from app.http.envelope import ActionResult, AnswerContext
from app.problems import AiError, Conflict, InternalError, NotFound, Problem, ServiceUnavailable
from app.runs.model import Run
from app.scenes.model import Scene
from app.scenes.reads import scenes_of_run
from app.store.database import Reader
from app.store.query import named

CANCELLED_TEXT = "This turn was cancelled."
SUGGESTIONS_BY_TOOL = {
    "addScene": ["Make it 3 seconds", "Change the colours", "Add a closing title"],
    "editScene": ["Make the text bigger", "Slow it down", "Undo this change"],
    "trimScene": ["Make it 5 seconds", "Add another scene"],
    "deleteScene": ["Undo this change", "Add another scene"],
}
# By error code of a run.
PROBLEM_TYPES: dict[str, type[Problem]] = {
    **{kind.code: kind for kind in Problem.__subclasses__()},
    "TIMEOUT": AiError,
    "WORKER_LOST": ServiceUnavailable,
    "STALE_BASE": Conflict,
}

FIND_ANSWER = named("""
    select content, kind, (select revision from project where id = project_id)
    from message where id = :id
""")


async def answer_of(reader: Reader, run: Run) -> ActionResult[list[Scene]]:
    """Return the scenes that a run changed, as they are now.

    Raises the problem of a run that failed, and `NotFound` when its answer was deleted.
    """
    if run.status == "failed" and run.error is not None:
        kind = PROBLEM_TYPES.get(run.error.code, InternalError)
        raise kind(run.error.message, details={"run": run})
    scenes = await scenes_of_run(reader, run.id)
    message = await reader.fetchrow(*FIND_ANSWER(id=run.assistant_message_id))
    if message is None:
        raise NotFound("The answer of this turn was deleted.")
    decision: dict[str, Any] = run.decision or {}
    cancelled = run.status == "cancelled"
    return ActionResult(
        data=scenes,
        affected=[scene.id for scene in scenes],
        revision=message["revision"],
        context=AnswerContext(
            reasoning=decision.get("reasoning"),
            chat_response=message["content"] or (CANCELLED_TEXT if cancelled else ""),
            suggestions=[]
            if cancelled
            else SUGGESTIONS_BY_TOOL.get(decision.get("toolName") or "", []),
            needs_clarification=True if message["kind"] == "clarification" else None,
        ),
        assistant_message_id=run.assistant_message_id,
        status=200,
    )
