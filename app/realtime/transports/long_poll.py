"""Reading a project's events by long poll."""

import asyncio
from typing import cast

import msgspec

from app.problems import InvalidInput, Unauthorized
from app.realtime import metrics
from app.realtime.encoding import Batch
from app.realtime.events import Cursor, Event
from app.realtime.hubs import Hubs
from app.realtime.log import PAGE_EVENTS
from app.realtime.subscription import Reader, Subscriber
from app.realtime.writer import EndKind

MAX_WAIT_SECONDS = 30.0


class Changes(msgspec.Struct, rename="camel", kw_only=True):
    """What came after a cursor. With `reset` the cursor cannot be served: get the snapshot.

    `events` and `runs` (a `run.snapshot` for each running turn) hold finished JSON.
    """

    events: list[Event]
    cursor: str
    reset: bool
    runs: list[Event]


class PollReader(Reader):
    """The reader of one request, which can wait until its hub has something new."""

    _waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Have `news` check again."""
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self, kind: EndKind, reason: str = "") -> None:
        super().end(kind, reason)
        self.wake()

    async def events(self, limit: int) -> Batch | None:
        """Return durable events after the cursor; None when the log no longer has them."""
        if self.is_behind():
            page = await self.page()
            if page is None:
                return None
            found: Batch = [event for part in page for event in part]
        else:
            found = self.hub.ring.durable_after(cast(Cursor, self.cursor).revision)
        for index, event in enumerate(found, 1):
            if index >= limit and event.ends_commit:
                return found[:index]
        return found

    async def news(self, until: float) -> bool:
        """Wait until the log has grown or history was replaced; return False when time is up."""
        head = self.hub.head
        while self.ending is None and self.hub.head == head and not self.is_restarted():
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout_at(until):
                    await self._waiter
            except TimeoutError:
                return False
            finally:
                self._waiter = None
        return self.ending is None


async def changes(
    hubs: Hubs,
    project_id: str,
    subscriber: Subscriber,
    *,
    after: str | None,
    limit: int = PAGE_EVENTS,
    wait: float = 0,
) -> Changes:
    """Return durable events after a cursor, oldest first: about `limit`, whole transactions only.

    With nothing to return it waits up to `wait` seconds (at most 30) for something. The caller has
    authorised; a role lost meanwhile ends the answer before the loss. Raises `InvalidInput` for a
    malformed cursor, `Unauthorized` when the session ended, `DatabaseError`.
    """
    if after is None:
        raise InvalidInput("Say after which cursor; the snapshot has one.")
    Cursor.parse(after)
    async with hubs.reading(project_id, subscriber, after, PollReader) as reader:
        reader.hub.listeners.add(reader.wake)
        try:
            return await _changes(reader, limit, wait)
        finally:
            reader.hub.listeners.discard(reader.wake)


async def _changes(reader: PollReader, limit: int, wait: float) -> Changes:
    until = asyncio.get_running_loop().time() + min(max(wait, 0.0), MAX_WAIT_SECONDS)
    while True:
        why = await reader.open()
        if reader.ending and reader.ending.kind == "unauthorised":
            raise Unauthorized("The session has ended.")
        found = None if why else await reader.events(max(1, min(limit, PAGE_EVENTS)))
        if found is None:
            metrics.RESETS.labels(why or "trimmed").inc()
            return _answer(reader, [], reset=True)
        allowed = reader.allow(found)
        if allowed or reader.ending or not await reader.news(until):
            return _answer(reader, allowed, reset=False)


def _answer(reader: PollReader, batch: Batch, *, reset: bool) -> Changes:
    hub = reader.hub
    cursor = hub.cursor if reset else reader.cursor
    return Changes(
        events=_raw(batch),
        cursor=str(cursor),
        reset=reset,
        runs=_raw(hub.live.snapshots()) if reader.ending is None else [],
    )


def _raw(batch: Batch) -> list[Event]:
    """Return finished JSON, typed for the schema as the events that it encodes."""
    return cast(list[Event], [msgspec.Raw(event.json) for event in batch])
