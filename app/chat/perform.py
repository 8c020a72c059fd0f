"""What a worker does with a run that it holds: decide, write, commit, and end it once."""

import asyncio
import logging
import time
from typing import Any

import msgspec

from app.brain.decide import decide
from app.brain.model import Decision, Provider, Step, WriteJob, answering_model
from app.chat import steps
from app.chat.context import GatheredContext, gather
from app.chat.endings import Ending
from app.chat.leases import LeasedRun, RunCancelled
from app.chat.ledger import calling
from app.chat.live import LiveSink, LiveTurn
from app.chat.steps import Effect, arguments_of, commit, is_stale
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
from app.tools.registry import TOOLS, run_tool

RUN_MOST = 300.0  # seconds of one attempt
COMMIT_TRIES = 3  # each waits for the project's lock as long as the database lets it
APOLOGY = "I could not finish this."

log = logging.getLogger(__name__)


class RunAttempt:
    """One attempt at a run."""

    def __init__(self, leased: LeasedRun, provider: Provider, stage: LiveSink) -> None:
        self.leased = leased
        self.provider = provider
        self.live = LiveTurn(leased, stage)
        self.model = answering_model(provider, leased.run.model)
        self._announced = set(leased.started)  # call ids
        self._tokens = 0

    async def perform(self) -> None:
        """Work until the run has ended or is someone else's; every failure ends it in words.

        Raises `DatabaseError` and `ServiceUnavailable`: then the run goes on in another attempt.
        """
        try:
            async with asyncio.timeout(RUN_MOST):
                await self._work()
        except LeaseLost:
            log.info("run %s is someone else's now", self.leased.run.id)
        except RunCancelled:
            await self.cancelled()
        except TimeoutError:
            await self._fail(AiError("This took longer than five minutes."), "TIMEOUT")
        except (DatabaseError, ServiceUnavailable):
            raise  # nobody knows what was written: another attempt reads it anew
        except Problem as problem:
            await self._fail(problem)
        except Exception:
            log.exception("run %s broke", self.leased.run.id)
            await self._fail(InternalError())

    async def cancelled(self) -> None:
        """End the run as cancelled; keep what was said so far."""
        await self._end(Ending(status="cancelled", content=self.live.content))

    async def _fail(self, problem: Problem, code: str | None = None) -> None:
        log.warning("run %s failed: %s", self.leased.run.id, problem.message)
        self.live.say(f"{APOLOGY} {problem.message}")
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
            log.info("run %s was ended by another", self.leased.run.id)

    async def _work(self) -> None:
        await steps.still_wanted(self.leased)
        self.live.progress("deciding", 5, "Reading the project")
        gathered = await gather(self.leased)
        decision = self.leased.decision
        if decision is None:
            decision = await self._decide(gathered)
        else:
            self._take(decision)
        if decision.needs_clarification and decision.tool_name is None:
            await self._ask(decision)
            return
        wanted = steps_of(decision, self.leased.run.prompt)
        for number, step in enumerate(wanted, 1):
            await self._step(decision, step, number, len(wanted), gathered)

    async def _decide(self, gathered: GatheredContext) -> Decision:
        began = time.perf_counter()
        async with calling(self.leased, "decide", self.provider, self.model) as call:
            decided = await decide(
                self.provider,
                gathered.context,
                model=self.leased.run.model,
                on_text=call.saw_text,
            )
            call.usage = decided.usage
        self._tokens = decided.usage.input_tokens + decided.usage.output_tokens
        decision = decided.decision
        first = None
        wanted = steps_of(decision, self.leased.run.prompt)
        if wanted:
            first = self._call_of(wanted[0], 1, len(wanted))
        data = {
            "model": self.model,
            "provider": self.provider.name,
            "milliseconds": round((time.perf_counter() - began) * 1000),
        }
        self.live.after = await steps.decided(self.leased, decision, data, first)
        if first is not None:
            self._announced.add(first["callId"])
        self._take(decision)
        return decision

    def _take(self, decision: Decision) -> None:
        self.live.decided(msgspec.to_builtins(decision))
        if not decision.needs_clarification or decision.tool_name:
            self.live.say(decision.user_feedback)

    async def _ask(self, decision: Decision) -> None:
        self.live.say(decision.clarification_question or decision.user_feedback)
        self.live.flush()
        ending = Ending(status="succeeded", content=self.live.content, kind="clarification")
        await steps.finish(self.leased, ending)

    def _call_of(self, step: Step, number: int, of: int) -> dict[str, Any]:
        call: dict[str, Any] = {
            "callId": step_id(self.leased.run.id, number),
            "toolName": step.tool_name,
            "step": number,
            "steps": of,
        }
        if step.target_scene_id is not None:
            call["sceneId"] = step.target_scene_id
        return call

    async def _step(
        self, decision: Decision, step: Step, number: int, of: int, gathered: GatheredContext
    ) -> None:
        call = self._call_of(step, number, of)
        last = number == of
        if (done := self.leased.finished.get(call["callId"])) is not None:
            self.live.say(done)
            if last:
                await steps.finish(
                    self.leased, Ending(status="succeeded", content=self.live.content)
                )
            return
        if call["callId"] not in self._announced:
            self.live.after = await steps.step_started(self.leased, call)
        self.live.start_call(call)
        if number > 1:
            gathered = await gather(self.leased)
        try:
            await self._try_step(decision, step, call, last, gathered)
        except StaleBase as stale:
            self.live.after = await steps.writing_left(self.leased, stale)
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
            writing = await self._write(job, call, base)
        made = writing.made if writing else None
        arguments = arguments_of(step, made.code if made else None, decision.edit_complexity)
        try:
            change = run_tool(step.tool_name, base.state if base else None, arguments)
        except ValidationFailed as problem:
            if not is_unchanged(problem):
                raise
            why = (made and made.note) or problem.message
            if made is not None:
                self.live.after = await steps.writing_left(self.leased, ValidationFailed(why))
            await self._leave(call, last, why)
            return
        self.live.progress("saving", 90, "Saving")
        if await is_stale(base, self.leased.database):
            raise StaleBase
        summary = change.summary
        if made and made.note:
            summary = f"{summary} {made.note}"
        cause = Cause(
            source="llm",
            prompt=self.leased.run.prompt,
            message_id=self.leased.run.assistant_message_id,
            run_id=self.leased.run.id,
            call_id=call["callId"],
            brain_reasoning=decision.reasoning,
            tool_reasoning=change.reasoning,
            complexity=change.complexity,
            generation_time_ms=round((time.perf_counter() - began) * 1000),
            model_used=self.model,
            tokens_used=self._tokens + (_tokens(made) if made else 0),
            generation_id=writing.generation_id if writing else None,
        )
        change = msgspec.structs.replace(change, summary=summary)
        effect = Effect(change=change, base=base, cause=cause, call=call, made=made)
        await self._commit(effect, last)

    async def _commit(self, effect: Effect, last: bool) -> None:
        """Said before it is done, so that the words go out before the end; taken back if not."""
        before = self.live.content
        self.live.say(effect.change.summary)
        self.live.flush()
        ending = Ending(status="succeeded", content=self.live.content) if last else None
        revisions: list[int] = []
        try:
            for patience in reversed(range(COMMIT_TRIES)):
                try:
                    await commit(self.leased, effect, ending, revisions.append)
                    break
                except ServiceUnavailable:  # somebody holds the project; surely nothing was written
                    if not patience:
                        raise
        finally:
            if revisions:
                self.live.after = revisions[0]
                self.live.end_call(effect.call["callId"])
            else:
                self.live.unsay(before)

    def _target(self, step: Step, gathered: GatheredContext) -> Scene | None:
        if step.target_scene_id is None:
            return None
        scene = gathered.scenes.get(step.target_scene_id)
        if scene is None:
            raise NotFound("The scene is not there any more.")
        return scene

    async def _write(self, job: WriteJob, call: dict[str, Any], base: Scene | None) -> Writing:
        self.live.progress("writing", 30, "Writing the scene")
        return await write(self.leased, self.live, self.provider, job, call, base)

    async def _leave(self, call: dict[str, Any], last: bool, why: str) -> None:
        """A tool that found nothing to change: said, and no scene touched."""
        self.live.say(why)
        if last:
            ending = Ending(status="succeeded", content=self.live.content)
            await steps.finish(self.leased, ending)
        else:
            self.live.after = await steps.step_left(self.leased, {**call, "summary": why})
        self.live.end_call(call["callId"])


def steps_of(decision: Decision, prompt: str) -> list[Step]:
    """The tool calls of a decision, in order; none for a clarification."""
    if decision.workflow:
        return decision.workflow
    if decision.tool_name is None:
        return []
    return [
        Step(
            tool_name=decision.tool_name,
            context=prompt,
            target_scene_id=decision.target_scene_id if needs(decision.tool_name) else None,
            target_duration=decision.target_duration,
        )
    ]


def needs(tool_name: str) -> bool:
    return TOOLS[tool_name].needs_target


def is_unchanged(problem: ValidationFailed) -> bool:
    details = problem.details or []
    return any(isinstance(item, dict) and item.get("rule") == "unchanged" for item in details)


def _tokens(made: GeneratedCode) -> int:
    return made.usage.input_tokens + made.usage.output_tokens
