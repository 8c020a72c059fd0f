"""One reader whose bytes the hub writes itself: nothing waits for it, no task belongs to it."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import TYPE_CHECKING

from app.realtime import metrics
from app.realtime.frames import Encoding, Frame, joined
from app.realtime.opening import MOST, Making
from app.realtime.wire import Wire, cut, line_of
from app.store.tasks import spawn

if TYPE_CHECKING:
    from app.realtime.fan import Fan, Place
    from app.realtime.follow import Follower

Ended = Callable[["Stream"], None]
Batches = AsyncGenerator[list[Frame], None]
to_socket = os.write


class Stream:
    """A follower on a wire.

    It is caught up until it is in the ring; from then on `Fan` writes to it. One that reads
    too slowly is left out of the passes and told the rest when it has read, from the ring or, if
    that has moved on, from the log. `ended` is called once, when no more events will be written:
    it says the last words, if somebody is there to hear them.
    """

    __slots__ = (
        "_busy", "_ended", "_fan", "_held", "_room", "encoding", "follower", "gone", "over",
        "paused_at", "place", "send", "wire", "write",
    )  # fmt: skip

    def __init__(self, follower: "Follower", wire: Wire, encoding: Encoding, ended: Ended) -> None:
        self.follower = follower
        self.wire = wire
        self.encoding: Encoding = encoding
        self.write: Callable[[bytes], None] = self._hold  # once it is in the ring, the wire's
        self.send: Callable[[bytes], int] = self.through
        self.place: Place | None = None  # in the ring, while it reads fast enough
        self.over = False
        self.gone = False  # the connection is
        self.paused_at: float | None = None
        self._fan: Fan = follower.hub.fan
        self._ended = ended
        self._busy = False  # somebody else decides what is written next
        self._room: asyncio.Event | None = None
        self._held: list[bytes] | None = None
        follower.driver = self
        wire.take(self)

    @property
    def live(self) -> bool:
        """Whether the passes write to it."""
        return self.place is not None

    def push(self, body: bytes) -> None:
        """Write what the socket may not take whole; what follows waits behind it."""
        self.send = self.through
        self.write(body)

    def through(self, body: bytes) -> int:
        """Write behind what the transport still has; from then on past it, if that is nothing.

        Returns how many bytes were taken, or raises `OSError`, as a socket does.
        """
        line = None if self.gone else line_of(self.wire.transport)
        if line is None or self.wire.transport.get_write_buffer_size():
            self.write(body)
            return len(body)
        self.send = partial(to_socket, line)
        return self.send(body)

    def step_out(self) -> None:
        """Be written to no more, and know where we are."""
        if self.place is not None:
            self.follower.position = self.place.position
            self.follower.cursor = self.place.cursor or self.follower.cursor
            self.place = None

    async def join(self) -> None:
        """Tell everything up to the ring's end; from then on the hub does.

        A reader that is behind is told the rest by a task: this waits for the log, never for it.
        """
        follower, making = self.follower, None
        if follower.position < 0:
            openings = follower.hub.openings
            self._busy = True
            try:
                await openings.wait(self.encoding, follower.after)
            finally:
                self._busy = False
            opening = openings.find(self.encoding, follower.after)
            if opening and not self.over and follower.open(opening):
                metrics.WRITES.inc()
                metrics.WRITTEN.inc(opening.events)
                self.write(opening.body)
                self.look()
                return
            making = openings.make(self.encoding, follower.after)
        self._busy = True
        await self._catch_up(follower.joining(), making, waits=False)

    async def _catch_up(self, batches: Batches, making: Making | None, *, waits: bool) -> None:
        over, told = True, 0
        try:
            while not self.over:
                if self.paused_at is not None and not waits:
                    over = False
                    spawn(self._catch_up(batches, None, waits=True), name="stream catching up")
                    return
                await self._space()
                batch = None if self.over else await anext(batches, None)
                if batch is None or self.over:
                    break
                told += len(batch)
                body = self._fan.bytes_of(self.encoding, batch)
                self.write(body)
                if making:
                    making.add(batch, body)
            if making and self.follower.cursor and not self.follower.ending:
                position = self.follower.position
                self.follower.hub.openings.keep(making, self.follower.cursor, position)
        except BaseException:
            self.follower.end("unavailable")
            raise
        finally:
            if making:
                self.follower.hub.openings.done(making)
            metrics.WRITES.inc()
            metrics.WRITTEN.inc(told)
            if over:
                await batches.aclose()
                self._busy = False
                self.look()

    def look(self) -> None:
        """Do what there is to do now: end, fall back to the log, or write what is pending."""
        if self.over or self._busy:
            return
        self._let_go()
        self.step_out()
        if self.follower.ending is not None:
            self._end()
        elif self.follower.lost():
            spawn(self.join(), name="stream catching up")
        elif self.paused_at is None:
            self.write, self.send = self.wire.transport.write, self.through
            self.place = self._fan.place_of(self.encoding, self.follower.position, self._version())
            self._fan.add(self)
            self._fan.pump(self)

    def _version(self) -> int:
        """That of the hub's rights if we hold them all, else one that makes a pass ask."""
        return -1 if self.follower.loss() else self.follower.hub.rights.version

    def tick(self, now: float) -> None:
        """Called now and then: end one that does not read or may not, reassure the others."""
        if self.paused_at is not None:
            if now - self.paused_at > self.follower.pace.stall:
                metrics.SLOW_KILLS.inc()
                self.follower.end("slow")
            else:
                self.follower.allowed([])
        if not self.over and now >= self.follower.beat:
            self._fan.beat(self, now)

    def may_read(self) -> bool:
        """Whether all that is in the ring may be told; else tell what may be, and end."""
        if self.follower.loss() is None:
            return True
        self.step_out()
        batch, _ = self.follower.hub.ring.take(self.follower.position)
        self._busy = True
        if kept := self.follower.allowed(batch):
            self.write(joined(self.encoding, kept))
        self._busy = False
        self.look()
        return False

    # What the connection says (`Owner`)

    def shares(self) -> None:
        """Somebody else writes through the transport."""
        if not self.over:
            self.send = self.through

    def pause(self) -> None:
        self.step_out()
        self.paused_at = asyncio.get_running_loop().time()

    def resume(self) -> None:
        self.paused_at = None
        if self._room:
            self._room.set()
        self.look()

    def lost(self) -> None:
        self.gone = True
        self.send = _refuse  # the socket's number is another's soon
        self.follower.end("left")
        if not self.over:
            self._end()

    def leave(self) -> None:
        self.follower.end("restart")

    def _hold(self, data: bytes) -> None:
        """Write with all that is told in this pass of the loop: the opening is one packet."""
        if self._held is None:
            self._held = []
            asyncio.get_running_loop().call_soon(self._let_go)
        self._held.append(data)
        if sum(map(len, self._held)) > MOST:
            self._let_go()

    def _let_go(self) -> None:
        if self._held:
            held, self._held = self._held, None
            if not self.gone and not self.wire.transport.is_closing():
                self.wire.transport.write(b"".join(held))

    async def _space(self) -> None:
        """Wait for a reader that is behind; `tick` ends one that stays so."""
        if self.paused_at is not None and not self.follower.ending:
            self._room = asyncio.Event()
            await self._room.wait()
            self._room = None

    def _end(self) -> None:
        self.step_out()
        self.over = True
        if self._room:
            self._room.set()
        if self.follower.ending and self.follower.ending.kind == "slow":
            cut(self.wire.transport)
        self._fan.discard(self)
        ended, self._ended = self._ended, _nothing
        ended(self)
        # What refers to itself waits for the garbage collector, which halts everybody.
        self.follower.driver = None
        self.write, self.send = self.wire.transport.write, _refuse


def _refuse(body: bytes) -> int:
    """Take nothing: it is over."""
    raise BrokenPipeError


def _nothing(stream: "Stream") -> None:
    """It was told that it ended."""
