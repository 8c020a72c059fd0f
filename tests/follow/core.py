"""Follows one project without input and output: told what came and when, it says what to do.

The rules are those of tests/conformance, which the browser client keeps, too. Times in seconds.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, Literal

from tests.follow.commands import Command, Connect, Disconnect, ReadHead, ReadSnapshot, Update
from tests.follow.intake import Intake
from tests.follow.ladder import MANY, Ladder, LoopGuard, after_restart, backoff
from tests.follow.state import apply, from_snapshot, is_broken
from tests.follow.wire import MALFORMED, REVOKED, Closing, read_cursor

SILENCE_MOST = 35.0  # without a word: 2.5 of the server's heartbeats
HELLO_MOST = 4.0  # until the first event of a connection
SHORT = 1.0  # a connection that lived no longer is suspicious
FLOWING = 1.0  # after a connection's begin: what comes then was not only flushed
BEHIND_MOST = 2.0  # that the log's head may be ahead of what arrived, or that text may be broken
STABLE_AFTER = 10.0  # of a good connection before its failures are forgotten
TICK = 1.0

MISFIT = (LookupError, TypeError, ValueError, AttributeError)  # of an event that is not as it was

Json = dict[str, Any]
# Why to read the snapshot: the transport seems not to get through, or the log has a hole.
Cause = Literal["short", "mute", "hole"] | None


class Core:
    """Carry out `commands`, call `tick` each second and `ring` when `alarm` says."""

    def __init__(self, ladder: Ladder, random: Callable[[], float]) -> None:
        self.commands: list[Command] = []
        self.updates: list[Update] = []
        self.state: Json | None = None
        self.connection: Literal["connecting", "live", "reconnecting", "ended"] = "connecting"
        self.resets = 0
        self.looping = False
        self.ending: BaseException | None = None
        self.alarm: tuple[float, Callable[[float], None]] | None = None
        self.ladder = ladder
        self._random = random
        self._guard = LoopGuard()
        self._intake = Intake(None)
        self._attempt = 0  # what an older connection still says is not heard
        self._failures = 0
        self._connected_at: float | None = None
        self._heard_at = 0.0
        self._heard = False
        self._waiting = False
        self._cause: Cause = None
        self._went_silent = False
        self._hole_at: int | None = None
        self._live_since: float | None = None
        self._behind_since: float | None = None
        self._broken_since: float | None = None
        self._ticked_at: float | None = None

    @property
    def cursor(self) -> str | None:
        return f"{self.state['epoch']}.{self.state['revision']}" if self.state else None

    def connect(self, now: float) -> None:
        """Begin, or begin again; what an older connection says counts no more."""
        self._drop()
        self._intake = Intake(self.state["revision"] if self.state else None)
        self._connected_at = self._heard_at = now
        self._heard = False
        self.alarm = (now + HELLO_MOST, lambda at: self._resync(at, "mute"))
        self.commands.append(Connect(self._attempt, self.ladder.transport, self.cursor))

    def hear(self, now: float, attempt: int, event: Json | None) -> None:
        """One event, or None for something that cannot be read."""
        if attempt != self._attempt:
            return
        self._heard_at = now
        if not self._heard:
            self._heard, self.alarm = True, None
        if self._live_since is not None and now - self._live_since > FLOWING:
            self.ladder.flows()
        if event is None:
            self.lost(now, attempt, MALFORMED)
            return
        data = event["data"]
        match event["type"]:
            case "project.snapshot":
                self._adopt(data)
            case "sync.ready":
                self._ready(now, data["cursor"])
            case "sync.heartbeat":
                self._compare_head(now, data["cursor"])
            case "sync.reset":
                self._intake = Intake(None)
                if self._guard.count(now):
                    self._slow_down(now)
            case "sync.revoked":
                self.lost(now, attempt, REVOKED)
            case _:
                self._take(now, event)

    def lost(self, now: float, attempt: int, closing: Closing) -> None:
        """The connection is over."""
        if attempt != self._attempt:
            return
        if closing.kind == "restart":
            wait = after_restart(self._random) if closing.wait is None else closing.wait
            self._later(now, self.connect, wait)
        elif closing.kind == "revoked":
            self._later(now, self._resync)
        elif not self._heard:
            self._later(now, lambda at: self._resync(at, "short"))
        else:
            if self._connected_at is not None and now - self._connected_at < SHORT:
                self.ladder.strike()
            self._later(now, self.connect)

    def snapshot(self, now: float, attempt: int, snapshot: Json) -> None:
        """What reading the snapshot gave."""
        if attempt != self._attempt:
            return
        if self._cause == "mute":
            self.ladder.next()
        if self._cause == "short":
            self.ladder.strike()
        if self._is_needed(snapshot):
            if self.state and self._guard.count(now):
                self._slow_down(now)
                return
            self._adopt(snapshot)
        self.connect(now)

    def no_snapshot(self, now: float, attempt: int, error: Exception, *, final: bool) -> None:
        """Reading the snapshot failed; `final`: no retry will cure it."""
        if attempt != self._attempt:
            return
        if final:
            self._drop()
            self.connection, self.ending = "ended", error
        else:
            hole: Cause = "hole" if self._cause == "hole" else None
            self._later(now, lambda at: self._resync(at, hole))

    def head(self, now: float, attempt: int, cursor: str | None) -> None:
        """How far the log is; None when nobody could say."""
        if attempt != self._attempt:
            return
        if cursor is None:
            self._later(now, self.connect)
        else:
            self._compare_head(now, cursor, at_once=True)

    def wake(self, now: float) -> None:
        """The network or the process is back: do not wait, and do not trust what was open."""
        if self.alarm and self._waiting:
            self.ring(now)
        elif self._connected_at is not None and now - self._heard_at > SILENCE_MOST:
            self.connect(now)
        elif self.state and self._live_since is not None:
            after = f"{self.state['epoch']}.{self._intake.received}"
            self.commands.append(ReadHead(self._attempt, after))

    def ring(self, now: float) -> None:
        """What `alarm` was set for."""
        if self.alarm:
            (_, action), self.alarm, self._waiting = self.alarm, None, False
            action(now)

    def tick(self, now: float) -> None:
        slept = self._ticked_at is not None and now - self._ticked_at > BEHIND_MOST + TICK
        self._ticked_at = now
        if self._connected_at is None:
            return
        if self._live_since is not None and now - self._live_since > STABLE_AFTER:
            self._failures, self.looping = 0, False
            self.ladder.stable()
        since = [at for at in (self._behind_since, self._broken_since) if at is not None]
        if now - self._heard_at > SILENCE_MOST:
            self._went_silent = not slept  # one who slept heard nothing either way
            self._later(now, self.connect)
        elif since and now - min(since) > BEHIND_MOST:
            self._later(now, self.connect)

    def _ready(self, now: float, cursor: str) -> None:
        muted = self._went_silent and self._intake.grew
        self._went_silent = False
        if muted and self.ladder.mute():
            self.connect(now)
            return
        self._live_since = now
        self.connection = "live"
        self._compare_head(now, cursor)

    def _take(self, now: float, event: Json) -> None:
        whole = self._intake.take(event)
        if whole is None:
            self._missed(now)
        elif whole and self.state:
            try:
                state = reduce(apply, whole, self.state)
            except MISFIT:
                if any("revision" in one for one in whole):
                    self._missed(now)
                return
            self.state = state
            if not is_broken(state):
                self._broken_since = None
            elif self._broken_since is None:
                self._broken_since = now
            self.updates.append(Update(state, whole))

    def _missed(self, now: float) -> None:
        """A hole, or what does not fit: the log has it right; if it has not, all is read anew."""
        revision = self.state["revision"] if self.state else None
        again = revision is None or self._hole_at == revision
        self._hole_at = revision
        self._later(now, (lambda at: self._resync(at, "hole")) if again else self.connect)

    def _adopt(self, snapshot: Json) -> None:
        self.resets += self.state is not None
        self._intake = Intake(snapshot["revision"])
        self._hole_at = self._behind_since = self._broken_since = None
        self.state = from_snapshot(snapshot)
        self.updates.append(Update(self.state, []))

    def _compare_head(self, now: float, text: str, *, at_once: bool = False) -> None:
        head = read_cursor(text)
        if head is None or self.state is None:
            return
        if head[0] != self.state["epoch"]:
            self._later(now, self._resync)
        elif head[1] <= self._intake.received:
            self._behind_since = None
        elif at_once:
            self.connect(now)
        elif self._behind_since is None:
            self._behind_since = now

    def _is_needed(self, snapshot: Json) -> bool:
        """Within an epoch the log tells what happened; a snapshot never takes anyone back."""
        known = self.state
        if known is None or snapshot["epoch"] != known["epoch"]:
            return True
        return self._cause == "hole" and snapshot["revision"] > known["revision"]

    def _resync(self, now: float, cause: Cause = None) -> None:
        """Ask plainly for what there is: it tells why a connection failed."""
        self._drop()
        self._cause = cause
        self.commands.append(ReadSnapshot(self._attempt))

    def _slow_down(self, now: float) -> None:
        self._failures, self.looping = MANY, True
        self._later(now, self.connect)

    def _later(
        self, now: float, action: Callable[[float], None], wait: float | None = None
    ) -> None:
        self._drop()
        if wait is None:
            self._failures += 1
            wait = backoff(self._failures, self._random)
        self.connection = "reconnecting" if self.state else "connecting"
        self.alarm, self._waiting = (now + wait, action), True

    def _drop(self) -> None:
        self._attempt += 1
        if self._connected_at is not None:
            self.commands.append(Disconnect())
        self._connected_at = None
        self._live_since = self._behind_since = self._broken_since = None
        self.alarm, self._waiting = None, False
        self._cause = None
