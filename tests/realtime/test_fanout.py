"""Fan-out to many subscriptions: whatever happens between two slices, each gets every event."""

import asyncio
import random

import pytest

from app.realtime.bus.local import LocalBus
from app.realtime.encoding import Payload, sse_blocks, stream_event
from app.realtime.fanout import Fanout
from app.realtime.hub import Hub
from app.realtime.limits import Limits
from app.realtime.rights import Rights
from app.realtime.subscription import Subscriber, Subscription
from app.realtime.writer import ConnectionListener, Ending, Writer
from tests.realtime.hub_server import NewProcess, Process, Project

SUBSCRIPTIONS = 40


class MemoryWriter(Writer):
    """Keeps what is written, and is congested for a moment at random."""

    kind = "asgi"
    encode = staticmethod(sse_blocks)

    def __init__(self, chance: random.Random) -> None:
        self.written = b""
        self.reads_slowly = False
        self._chance = chance
        self._listener: ConnectionListener | None = None
        self.write = self._write

    def open(self, listener: ConnectionListener) -> None:
        self._listener = listener

    def progress(self) -> int:
        return len(self.written)

    def close(self, ending: Ending) -> None:
        self._listener = None

    def _write(self, payload: Payload) -> None:
        self.written += payload
        if self.reads_slowly and self._listener and self._chance.random() < 0.02:
            self._listener.on_congested()
            pause = self._chance.random() / 500
            asyncio.get_running_loop().call_later(pause, self._listener.on_drained)


@pytest.fixture
async def here(process: NewProcess, database: str) -> object:
    async with process(LocalBus(), Limits(slice_subscriptions=5)) as one:
        yield one


@pytest.mark.parametrize("seed", range(40))
async def test_every_subscription_receives_each_event_without_a_later_one(
    here: Process, project: Project, seed: int
) -> None:
    chance, published = random.Random(seed), 0
    writers = [MemoryWriter(chance) for _ in range(SUBSCRIPTIONS)]
    subscriber = Subscriber(user_id="user 1", role="owner")
    joined = [await here.hubs.subscribe(project.id, subscriber, None, one) for one in writers]
    await asyncio.gather(*(one.join() for one in joined))
    for one in writers:
        one.reads_slowly = True
    hub: Hub = here.hub(project.id)
    fanout: Fanout = here.hubs._fanouts[project.id]
    for _ in range(30):
        for _ in range(chance.randint(1, 3)):
            published += 1
            hub._append_stream_event(stream_event("note", "p", {"n": published}))
            for _ in range(chance.choice([0, 0, 1, 2, 5])):
                await asyncio.sleep(0)
        if chance.random() < 0.3:
            fanout.drop_caches()
        if chance.random() < 0.1:
            hub.rights.version = Rights().version
    async with asyncio.timeout(2):
        while any(one.written.count(b"event: note") < published for one in writers):
            await asyncio.sleep(0.001)
    for one in writers:
        blocks = one.written.split(b"event: note")[1:]
        numbers = [int(block.partition(b'"n":')[2].partition(b"}")[0]) for block in blocks]
        assert numbers == list(range(1, published + 1))
    for subscription in joined:
        assert isinstance(subscription, Subscription)
        subscription.end("left")
