"""What is answered when a turn is over: its scenes, and what the brain thought."""

from typing import Any

from app.http.envelope import ActionResult, AnswerContext
from app.problems import AiError, Conflict, InternalError, NotFound, Problem, ServiceUnavailable
from app.runs.model import Run
from app.scenes.model import Scene
from app.scenes.reads import scenes_of_run
from app.store.database import Reader

CANCELLED = "This turn was cancelled."
SUGGESTIONS = {
    "addScene": ["Make it 3 seconds", "Change the colours", "Add a closing title"],
    "editScene": ["Make the text bigger", "Slow it down", "Undo this change"],
    "trimScene": ["Make it 5 seconds", "Add another scene"],
    "deleteScene": ["Undo this change", "Add another scene"],
}
PROBLEMS: dict[str, type[Problem]] = {
    **{kind.code: kind for kind in Problem.__subclasses__()},
    "TIMEOUT": AiError,
    "WORKER_LOST": ServiceUnavailable,
    "STALE_BASE": Conflict,
}


async def answer_of(reader: Reader, run: Run) -> ActionResult[list[Scene]]:
    """The scenes that a run changed, as they are now. Raises the problem of one that failed."""
    if run.status == "failed" and run.error is not None:
        kind = PROBLEMS.get(run.error.code, InternalError)
        raise kind(run.error.message, details={"run": run})
    scenes = await scenes_of_run(reader, run.id)
    said = await reader.fetchrow(
        "select content, kind, (select revision from project where id = project_id)"
        " from message where id = $1",
        run.assistant_message_id,
    )
    if said is None:
        raise NotFound("The answer of this turn was deleted.")
    decision: dict[str, Any] = run.decision or {}
    cancelled = run.status == "cancelled"
    return ActionResult(
        data=scenes,
        affected=[scene.id for scene in scenes],
        revision=said["revision"],
        context=AnswerContext(
            reasoning=decision.get("reasoning"),
            chat_response=said["content"] or (CANCELLED if cancelled else ""),
            suggestions=[] if cancelled else SUGGESTIONS.get(decision.get("toolName") or "", []),
            needs_clarification=True if said["kind"] == "clarification" else None,
        ),
        assistant_message_id=run.assistant_message_id,
        status=200,
    )
