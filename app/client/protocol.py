"""The rules of following a project, without I/O: events and times go in, commands come out.

Every client keeps these rules: tests/conformance holds them as data. Times are in seconds, on any
clock that only goes forward.
"""

from collections.abc import Callable
from functools import reduce
from typing import Literal

from app.client.assembly import TransactionAssembler
from app.client.commands import (
    Command,
    Connect,
    Disconnect,
    Json,
    ReadHead,
    ReadSnapshot,
    State,
    Update,
)
from app.client.fallback import (
    MAX_DELAY_FAILURES,
    ResetGuard,
    TransportFallback,
    backoff,
    restart_delay,
)
from app.client.state import apply, from_snapshot, has_text_gap
from app.client.wire import MALFORMED, REVOKED, Closing, parse_cursor

MAX_SILENCE_SECONDS = 35.0  # of a connection: 2.5 of the server's heartbeats
FIRST_EVENT_SECONDS = 4.0  # from a connection's attempt to its first event
SHORT_CONNECTION_SECONDS = 1.0  # a connection that lasted no longer is suspicious
FLOWING_SECONDS = 1.0  # what comes later than this after the catch-up was not only flushed
MAX_BEHIND_SECONDS = 2.0  # that the log may be ahead of what arrived, or a text have a gap
STABLE_SECONDS = 10.0  # of a good connection, after which earlier failures are forgotten
TICK_SECONDS = 1.0

# What applying an event raises whose form is not the known one.
UNEXPECTED_FORM = (LookupError, TypeError, ValueError, AttributeError)

ConnectionState = Literal["connecting", "live", "reconnecting", "ended"]
# Why the snapshot is read: a connection ended at once, or stayed silent, or the log has a gap.
Cause = Literal["short", "silent", "gap"] | None


class FeedProtocol:
    """The state of one client. Its driver carries out `commands` and takes `updates`.

    The driver calls `tick` each `TICK_SECONDS`, and `timer_fired` at the time that `timer` holds.
    Each command has the number of its attempt; what belongs to an older attempt is ignored.
    """

    def __init__(self, fallback: TransportFallback, random: Callable[[], float]) -> None:
        self.commands: list[Command] = []
        self.updates: list[Update] = []
        self.state: State | None = None
        self.connection: ConnectionState = "connecting"
        self.resets = 0  # snapshots that replaced a state
        self.slowed = False  # after too many resets in a row
        self.failure: BaseException | None = None  # once the connection has "ended"
        self.timer: tuple[float, Callable[[float], None]] | None = None
        self.fallback = fallback
        self.attempts = 0
        self._random = random
        self._resets = ResetGuard()
        self._assembler = TransactionAssembler(None)
        self._failures = 0
        self._connected_at: float | None = None
        self._received_at = 0.0
        self._received = False
        self._waiting = False
        self._cause: Cause = None
        self._was_silent = False
        self._gap_at: int | None = None
        self._live_since: float | None = None
        self._behind_since: float | None = None
        self._text_gap_since: float | None = None
        self._ticked_at: float | None = None

    @property
    def cursor(self) -> str | None:
        """The place of the state in the project's log; None before there is a state."""
        return f"{self.state['epoch']}.{self.state['revision']}" if self.state else None

    def connect(self, now: float) -> None:
        """Open a connection in place of the one there is."""
        self._abandon()
        self._assembler = TransactionAssembler(self.state["revision"] if self.state else None)
        self._connected_at = self._received_at = now
        self._received = False
        self.timer = (now + FIRST_EVENT_SECONDS, lambda at: self._resync(at, "silent"))
        self.commands.append(Connect(self.attempts, self.fallback.transport, self.cursor))

    def event_received(self, now: float, attempt: int, event: Json | None) -> None:
        """Take one event, or None for something that could not be read."""
        if attempt != self.attempts:
            return
        self._received_at = now
        if not self._received:
            self._received, self.timer = True, None
        if self._live_since is not None and now - self._live_since > FLOWING_SECONDS:
            self.fallback.flowing()
        if event is None:
            self.connection_lost(now, attempt, MALFORMED)
            return
        data = event["data"]
        match event["type"]:
            case "project.snapshot":
                self._replace_state(data)
            case "sync.ready":
                self._caught_up(now, data["cursor"])
            case "sync.heartbeat":
                self._compare_head(now, data["cursor"])
            case "sync.reset":
                self._assembler = TransactionAssembler(None)
                if self._resets.count(now):
                    self._slow_down(now)
            case "sync.revoked":
                self.connection_lost(now, attempt, REVOKED)
            case _:
                self._add(now, event)

    def connection_lost(self, now: float, attempt: int, closing: Closing) -> None:
        """Take the end of the connection."""
        if attempt != self.attempts:
            return
        if closing.kind == "restart":
            wait = restart_delay(self._random) if closing.wait is None else closing.wait
            self._schedule(now, self.connect, wait)
        elif closing.kind == "revoked":
            self._schedule(now, self._resync)
        elif not self._received:
            self._schedule(now, lambda at: self._resync(at, "short"))
        else:
            begun = self._connected_at
            if begun is not None and now - begun < SHORT_CONNECTION_SECONDS:
                self.fallback.count_short()
            self._schedule(now, self.connect)

    def snapshot_received(self, now: float, attempt: int, snapshot: Json) -> None:
        """Take the answer to `ReadSnapshot`."""
        if attempt != self.attempts:
            return
        if self._cause == "silent":
            self.fallback.advance()
        if self._cause == "short":
            self.fallback.count_short()
        if self._is_needed(snapshot):
            if self.state and self._resets.count(now):
                self._slow_down(now)
                return
            self._replace_state(snapshot)
        self.connect(now)

    def snapshot_failed(self, now: float, attempt: int, error: Exception, *, final: bool) -> None:
        """Take the failure of `ReadSnapshot`; `final` when no further attempt will succeed."""
        if attempt != self.attempts:
            return
        if final:
            self._abandon()
            self.connection, self.failure = "ended", error
        else:
            cause: Cause = "gap" if self._cause == "gap" else None
            self._schedule(now, lambda at: self._resync(at, cause))

    def head_received(self, now: float, attempt: int, cursor: str | None) -> None:
        """Take the answer to `ReadHead`; None when there was none."""
        if attempt != self.attempts:
            return
        if cursor is None:
            self._schedule(now, self.connect)
        else:
            self._compare_head(now, cursor, at_once=True)

    def wake(self, now: float) -> None:
        """The network or the process is back: end a wait, and check the connection."""
        if self.timer and self._waiting:
            self.timer_fired(now)
        elif self._connected_at is not None and now - self._received_at > MAX_SILENCE_SECONDS:
            self.connect(now)
        elif self.state and self._live_since is not None:
            after = f"{self.state['epoch']}.{self._assembler.received}"
            self.commands.append(ReadHead(self.attempts, after))

    def timer_fired(self, now: float) -> None:
        """Do what `timer` was set for."""
        if self.timer:
            (_, action), self.timer, self._waiting = self.timer, None, False
            action(now)

    def tick(self, now: float) -> None:
        """Look for what does not happen by itself: silence, and events that do not come."""
        last, self._ticked_at = self._ticked_at, now
        slept = last is not None and now - last > MAX_BEHIND_SECONDS + TICK_SECONDS
        if self._connected_at is None:
            return
        if self._live_since is not None and now - self._live_since > STABLE_SECONDS:
            self._failures, self.slowed = 0, False
            self.fallback.stable()
        since = [at for at in (self._behind_since, self._text_gap_since) if at is not None]
        if now - self._received_at > MAX_SILENCE_SECONDS:
            self._was_silent = not slept  # a machine that slept would have received nothing anyway
            self._schedule(now, self.connect)
        elif since and now - min(since) > MAX_BEHIND_SECONDS:
            self._schedule(now, self.connect)

    def _caught_up(self, now: float, cursor: str) -> None:
        held_back = self._was_silent and self._assembler.advanced
        self._was_silent = False
        if held_back and self.fallback.count_silent():
            self.connect(now)
            return
        self._live_since = now
        self.connection = "live"
        self._compare_head(now, cursor)

    def _add(self, now: float, event: Json) -> None:
        """Apply an event, or keep it until its transaction is complete."""
        complete = self._assembler.add(event)
        if complete is None:
            self._gap(now)
        elif complete and self.state:
            try:
                state = reduce(apply, complete, self.state)
            except UNEXPECTED_FORM:
                if any("revision" in one for one in complete):
                    self._gap(now)
                return
            self.state = state
            if not has_text_gap(state):
                self._text_gap_since = None
            elif self._text_gap_since is None:
                self._text_gap_since = now
            self.updates.append(Update(state, complete))

    def _gap(self, now: float) -> None:
        """An event is missing or does not fit: read the log, and the second time the snapshot."""
        revision = self.state["revision"] if self.state else None
        again = revision is None or self._gap_at == revision
        self._gap_at = revision
        self._schedule(now, (lambda at: self._resync(at, "gap")) if again else self.connect)

    def _replace_state(self, snapshot: Json) -> None:
        self.resets += self.state is not None
        self._assembler = TransactionAssembler(snapshot["revision"])
        self._gap_at = self._behind_since = self._text_gap_since = None
        self.state = from_snapshot(snapshot)
        self.updates.append(Update(self.state, []))

    def _compare_head(self, now: float, text: str, *, at_once: bool = False) -> None:
        """Compare what arrived with the end of the log, and reconnect when it stays behind."""
        head = parse_cursor(text)
        if head is None or self.state is None:
            return
        if head[0] != self.state["epoch"]:
            self._schedule(now, self._resync)
        elif head[1] <= self._assembler.received:
            self._behind_since = None
        elif at_once:
            self.connect(now)
        elif self._behind_since is None:
            self._behind_since = now

    def _is_needed(self, snapshot: Json) -> bool:
        """Whether a snapshot has to replace the state.

        Within an epoch the log has every change, and a snapshot must never go back.
        """
        known = self.state
        if known is None or snapshot["epoch"] != known["epoch"]:
            return True
        return self._cause == "gap" and snapshot["revision"] > known["revision"]

    def _resync(self, now: float, cause: Cause = None) -> None:
        """Read the snapshot by a plain request, whose answer also says why a connection failed."""
        self._abandon()
        self._cause = cause
        self.commands.append(ReadSnapshot(self.attempts))

    def _slow_down(self, now: float) -> None:
        self._failures, self.slowed = MAX_DELAY_FAILURES, True
        self._schedule(now, self.connect)

    def _schedule(
        self, now: float, action: Callable[[float], None], wait: float | None = None
    ) -> None:
        """Do something after a wait, by default one that grows with each failure in a row."""
        self._abandon()
        if wait is None:
            self._failures += 1
            wait = backoff(self._failures, self._random)
        self.connection = "reconnecting" if self.state else "connecting"
        self.timer, self._waiting = (now + wait, action), True

    def _abandon(self) -> None:
        """Begin a new attempt: close the connection and forget what was waited for."""
        self.attempts += 1
        if self._connected_at is not None:
            self.commands.append(Disconnect())
        self._connected_at = None
        self._live_since = self._behind_since = self._text_gap_since = None
        self.timer, self._waiting = None, False
        self._cause = None
