"""Following by long poll."""

import asyncio
from typing import cast

import msgspec

from app.problems import InvalidInput, Unauthorized
from app.realtime import metrics
from app.realtime.follow import Follower
from app.realtime.frames import Frame
from app.realtime.hubs import Hubs
from app.realtime.log import PAGE
from app.realtime.model import Cursor, Event
from app.realtime.watcher import Watcher

WAIT_MOST = 30.0  # seconds


class Changes(msgspec.Struct, rename="camel", kw_only=True):
    """What came after a cursor. With `reset` the cursor cannot be served: get the snapshot.

    `events` and `runs` (a `run.snapshot` for each running turn) hold finished JSON.
    """

    events: list[Event]
    cursor: str
    reset: bool
    runs: list[Event]


async def changes(
    hubs: Hubs,
    project_id: str,
    watcher: Watcher,
    *,
    after: str | None,
    limit: int = PAGE,
    wait: float = 0,
) -> Changes:
    """Durable events after a cursor, oldest first: about `limit`, whole transactions only.

    With nothing to tell it waits up to `wait` seconds (at most 30) for something. The caller has
    authorised; a role lost meanwhile ends the answer before the loss. Raises `InvalidInput` for a
    malformed cursor, `Unauthorized` when the session ended, `DatabaseError`.
    """
    if after is None:
        raise InvalidInput("Say after which cursor; the snapshot has one.")
    Cursor.parse(after)
    async with hubs.follow(project_id, watcher, after) as follower:
        until = asyncio.get_running_loop().time() + min(max(wait, 0.0), WAIT_MOST)
        while True:
            why = await follower.enter()
            if follower.ending and follower.ending.kind == "unauthorised":
                raise Unauthorized("The session has ended.")
            found = None if why else await _after(follower, max(1, min(limit, PAGE)))
            if found is None:
                metrics.RESETS.labels(why or "trimmed").inc()
                return _answer(follower, [], reset=True)
            told = follower.allowed(found)
            if told or follower.ending or not await _news(follower, until):
                return _answer(follower, told, reset=False)


async def _after(follower: Follower, limit: int) -> list[Frame] | None:
    """The frames to tell; None when the log no longer has them."""
    if follower.behind():
        page = await follower.page()
        if page is None:
            return None
        found = [frame for piece in page for frame in piece]
    else:
        found = follower.hub.ring.durable_after(cast(Cursor, follower.cursor).revision)
    for index, frame in enumerate(found, 1):
        if index >= limit and frame.ends_commit:
            return found[:index]
    return found


async def _news(follower: Follower, until: float) -> bool:
    """Wait until the log has grown or history was replaced; False when the time is over."""
    hub, head = follower.hub, follower.hub.head
    while not follower.ending and hub.head == head and not follower.restarted():
        try:
            async with asyncio.timeout_at(until):
                await follower.woken()
        except TimeoutError:
            return False
    return follower.ending is None


def _answer(follower: Follower, told: list[Frame], *, reset: bool) -> Changes:
    hub = follower.hub
    cursor = hub.cursor if reset else follower.cursor
    return Changes(
        events=_raw(told),
        cursor=str(cursor),
        reset=reset,
        runs=_raw(hub.live.snapshots()) if follower.ending is None else [],
    )


def _raw(batch: list[Frame]) -> list[Event]:
    """Typed for the schema as what they encode to."""
    return cast(list[Event], [msgspec.Raw(frame.json) for frame in batch])
