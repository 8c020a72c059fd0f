"""One attempt at a run by the worker that holds its lease: decide, write, commit, end."""

import asyncio
import logging
import time
from typing import Any

import msgspec

from app.brain.decide import decide
from app.brain.model import Decision, Provider, Step, answering_model
from app.chat import steps
from app.chat.context import GatheredContext, gather
from app.chat.endings import Ending
from app.chat.leases import LeasedRun, RunCancelled
from app.chat.live import LiveSink, LiveTurn
from app.chat.model_calls import recorded_call_of_run
from app.chat.steps import Effect, arguments_of, is_stale
from app.chat.writing import Writing, job_of, write
from app.generations.records import GeneratedCode
from app.problems import (
    AiError,
    DatabaseError,
    InternalError,
    LeaseLost,
    NotFound,
    Problem,
    ServiceUnavailable,
    StaleBase,
    ValidationFailed,
)
from app.scenes.history import Cause
from app.scenes.model import Scene
from app.store.concurrency import run_to_completion
from app.store.ids import step_id
from app.tools.model import SceneChange
from app.tools.registry import TOOLS, run_tool

MAX_ATTEMPT_SECONDS = 300.0
MAX_COMMIT_ATTEMPTS = 3  # each waits for the project's lock, up to `lock_timeout`
FAILURE_PREFIX = "I could not finish this."

logger = logging.getLogger(__name__)


class RunAttempt:
    """One attempt at a run; `perform` executes it."""

    def __init__(self, leased: LeasedRun, provider: Provider, sink: LiveSink) -> None:
        self.leased = leased
        self.provider = provider
        self.live = LiveTurn(leased, sink)
        self.model = answering_model(provider, leased.run.model)
        self._announced = set(leased.started)  # call ids
        self._tokens = 0

    async def perform(self) -> None:
        """Work until the run has ended or the lease is lost; a failure ends the run with an error.

        Raises `DatabaseError` and `ServiceUnavailable`, after which another attempt is made.
        """
        try:
            async with asyncio.timeout(MAX_ATTEMPT_SECONDS):
                await self._work()
        except LeaseLost:
            logger.info("run %s: the lease is lost", self.leased.run.id)
        except RunCancelled:
            await self.end_cancelled()
        except TimeoutError:
            await self._fail(AiError("This took longer than five minutes."), "TIMEOUT")
        except (DatabaseError, ServiceUnavailable):
            raise  # the outcome of a commit is unknown; another attempt reads it
        except Problem as problem:
            await self._fail(problem)
        except Exception:
            logger.exception("run %s failed", self.leased.run.id)
            await self._fail(InternalError())

    async def end_cancelled(self) -> None:
        """End the run as cancelled, with the text so far as its message."""
        await self._end(Ending(status="cancelled", content=self.live.content))

    async def _fail(self, problem: Problem, code: str | None = None) -> None:
        logger.warning("run %s failed: %s", self.leased.run.id, problem.message)
        self.live.append_paragraph(f"{FAILURE_PREFIX} {problem.message}")
        await self._end(
            Ending(
                status="failed",
                content=self.live.content,
                problem=problem,
                code=code,
            )
        )

    async def _end(self, ending: Ending) -> None:
        self.live.flush()
        try:
            await run_to_completion(steps.finish(self.leased, ending))
        except LeaseLost:
            logger.info("run %s has been ended already", self.leased.run.id)

    async def _work(self) -> None:
        await steps.check_lease(self.leased)
        self.live.progress("deciding", 5, "Reading the project")
        gathered = await gather(self.leased)
        decision = self.leased.decision
        if decision is None:
            decision = await self._decide(gathered)
        else:
            self._publish_decision(decision)
        if decision.needs_clarification and decision.tool_name is None:
            await self._clarify(decision)
            return
        planned = steps_of(decision, self.leased.run.prompt)
        for number, step in enumerate(planned, 1):
            await self._step(decision, step, number, len(planned), gathered)

    async def _decide(self, gathered: GatheredContext) -> Decision:
        began = time.perf_counter()
        async with recorded_call_of_run(self.leased, "decide", self.provider, self.model) as call:
            decided = await decide(
                self.provider,
                gathered.context,
                model=self.leased.run.model,
                on_text=call.record_text,
            )
            call.usage = decided.usage
        self._tokens = decided.usage.input_tokens + decided.usage.output_tokens
        decision = decided.decision
        first = None
        planned = steps_of(decision, self.leased.run.prompt)
        if planned:
            first = self._call_of(planned[0], 1, len(planned))
        data = {
            "model": self.model,
            "provider": self.provider.name,
            "milliseconds": round((time.perf_counter() - began) * 1000),
        }
        self.live.after = await steps.store_decision(self.leased, decision, data, first)
        if first is not None:
            self._announced.add(first["callId"])
        self._publish_decision(decision)
        return decision

    def _publish_decision(self, decision: Decision) -> None:
        """Publish the decision and its text for the user."""
        self.live.set_decision(msgspec.to_builtins(decision))
        if not decision.needs_clarification or decision.tool_name:
            self.live.append_paragraph(decision.user_feedback)

    async def _clarify(self, decision: Decision) -> None:
        """End the run with a question to the user."""
        self.live.append_paragraph(decision.clarification_question or decision.user_feedback)
        self.live.flush()
        ending = Ending(status="succeeded", content=self.live.content, kind="clarification")
        await steps.finish(self.leased, ending)

    def _call_of(self, step: Step, number: int, count: int) -> dict[str, Any]:
        """Return the data of `tool.started`; the id is the same in every attempt."""
        call: dict[str, Any] = {
            "callId": step_id(self.leased.run.id, number),
            "toolName": step.tool_name,
            "step": number,
            "steps": count,
        }
        if step.target_scene_id is not None:
            call["sceneId"] = step.target_scene_id
        return call

    async def _step(
        self, decision: Decision, step: Step, number: int, count: int, gathered: GatheredContext
    ) -> None:
        call = self._call_of(step, number, count)
        last = number == count
        if (summary := self.leased.finished.get(call["callId"])) is not None:
            self.live.append_paragraph(summary)
            if last:
                await steps.finish(
                    self.leased, Ending(status="succeeded", content=self.live.content)
                )
            return
        if call["callId"] not in self._announced:
            self.live.after = await steps.announce_step(self.leased, call)
        self.live.start_call(call)
        if number > 1:
            gathered = await gather(self.leased)
        try:
            await self._try_step(decision, step, call, last, gathered)
        except StaleBase as stale:
            self.live.after = await steps.discard_writing(self.leased, stale)
            self.live.restart_code(call["callId"])
            await self._try_step(decision, step, call, last, await gather(self.leased))

    async def _try_step(
        self,
        decision: Decision,
        step: Step,
        call: dict[str, Any],
        last: bool,
        gathered: GatheredContext,
    ) -> None:
        began = time.perf_counter()
        base = self._target(step, gathered)
        writing = None
        if TOOLS[step.tool_name].writes_code:
            job = job_of(decision, step, base, gathered)
            self.live.progress("writing", 30, "Writing the scene")
            writing = await write(self.leased, self.live, self.provider, job, call, base)
        generated = writing.generated if writing else None
        code = generated.code if generated else None
        arguments = arguments_of(step, code, decision.edit_complexity)
        try:
            change = run_tool(step.tool_name, base.state if base else None, arguments)
        except ValidationFailed as problem:
            if not is_unchanged(problem):
                raise
            await self._leave_unchanged(call, last, generated, problem)
            return
        self.live.progress("saving", 90, "Saving")
        if await is_stale(self.leased.database, base):
            raise StaleBase
        if generated and generated.note:
            change = msgspec.structs.replace(change, summary=f"{change.summary} {generated.note}")
        cause = self._cause(decision, change, call, writing, began)
        effect = Effect(change=change, base=base, cause=cause, call=call, generated=generated)
        await self._commit(effect, last)

    def _cause(
        self,
        decision: Decision,
        change: SceneChange,
        call: dict[str, Any],
        writing: Writing | None,
        began: float,
    ) -> Cause:
        run = self.leased.run
        return Cause(
            source="llm",
            prompt=run.prompt,
            message_id=run.assistant_message_id,
            run_id=run.id,
            call_id=call["callId"],
            brain_reasoning=decision.reasoning,
            tool_reasoning=change.reasoning,
            complexity=change.complexity,
            generation_time_ms=round((time.perf_counter() - began) * 1000),
            model_used=self.model,
            tokens_used=self._tokens + (_tokens(writing.generated) if writing else 0),
            generation_id=writing.generation_id if writing else None,
        )

    async def _commit(self, effect: Effect, last: bool) -> None:
        """Commit a step; with the last one, end the run.

        The summary is published before the commit, since no text may follow the run's last event,
        and is removed if the commit fails.
        """
        before = self.live.content
        self.live.append_paragraph(effect.change.summary)
        self.live.flush()
        ending = Ending(status="succeeded", content=self.live.content) if last else None
        revisions: list[int] = []
        try:
            for attempts_left in reversed(range(MAX_COMMIT_ATTEMPTS)):
                try:
                    await steps.commit(self.leased, effect, ending, revisions.append)
                    break
                except ServiceUnavailable:  # the project is locked; nothing was written
                    if not attempts_left:
                        raise
        finally:
            if revisions:
                self.live.after = revisions[0]
                self.live.end_call(effect.call["callId"])
            else:
                self.live.restore_content(before)

    def _target(self, step: Step, gathered: GatheredContext) -> Scene | None:
        if step.target_scene_id is None:
            return None
        scene = gathered.scenes.get(step.target_scene_id)
        if scene is None:
            raise NotFound("The scene is not there any more.")
        return scene

    async def _leave_unchanged(
        self,
        call: dict[str, Any],
        last: bool,
        generated: GeneratedCode | None,
        problem: ValidationFailed,
    ) -> None:
        """Finish a step whose tool found nothing to change."""
        reason = (generated and generated.note) or problem.message
        if generated is not None:
            self.live.after = await steps.discard_writing(self.leased, ValidationFailed(reason))
        self.live.append_paragraph(reason)
        if last:
            ending = Ending(status="succeeded", content=self.live.content)
            await steps.finish(self.leased, ending)
        else:
            call = {**call, "summary": reason}
            self.live.after = await steps.finish_unchanged(self.leased, call)
        self.live.end_call(call["callId"])


def steps_of(decision: Decision, prompt: str) -> list[Step]:
    """Return the tool calls of a decision, in order; none for a clarification."""
    if decision.workflow:
        return decision.workflow
    if decision.tool_name is None:
        return []
    needs_target = TOOLS[decision.tool_name].needs_target
    return [
        Step(
            tool_name=decision.tool_name,
            context=prompt,
            target_scene_id=decision.target_scene_id if needs_target else None,
            target_duration=decision.target_duration,
        )
    ]


def is_unchanged(problem: ValidationFailed) -> bool:
    """Return whether a tool refused a change because it would have no effect."""
    details = problem.details or []
    return any(isinstance(item, dict) and item.get("rule") == "unchanged" for item in details)


def _tokens(generated: GeneratedCode) -> int:
    return generated.usage.input_tokens + generated.usage.output_tokens
