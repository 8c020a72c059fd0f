"""Passes over many streams: whatever comes between two slices, nobody is left behind."""

import asyncio
import random
from typing import Any, cast

import pytest

from app.realtime import frames
from app.realtime.fan import Fan, Place
from app.realtime.model import Cursor
from app.realtime.rights import Rights
from app.realtime.ring import Ring

STREAMS = 40


class Hub:
    """As much of a hub as its passes see."""

    project_id, epoch, generation, ready = "p", "e", 0, True

    def __init__(self) -> None:
        self.ring, self.rights = Ring(0), Rights()
        self.fan = Fan(cast(Any, self))

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.ring.head)


class Reader:
    """A stream that keeps what it is written, and reads no more now and then."""

    encoding = "sse"

    def __init__(self, hub: Hub, chance: random.Random) -> None:
        self.hub, self.chance = hub, chance
        self.place: Place | None = None
        self.position = 0
        self.told = b""

    def send(self, body: bytes) -> int:
        self.told += body
        if self.chance.random() < 0.02:
            self.step_out()
            asyncio.get_running_loop().call_later(self.chance.random() / 500, self.look)
        return len(body)

    def step_out(self) -> None:
        if self.place is not None:
            self.position, self.place = self.place.position, None

    def look(self) -> None:
        self.step_out()
        self.place = self.hub.fan.place_of("sse", self.position, self.hub.rights.version)
        self.hub.fan.add(cast(Any, self))
        self.hub.fan.pump(cast(Any, self))

    def may_read(self) -> bool:
        return True


@pytest.mark.parametrize("seed", range(40))
async def test_nobody_is_left_behind_until_the_next_event(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.realtime.fan.SLICE", 5)
    chance, hub, told = random.Random(seed), Hub(), 0
    readers = [Reader(hub, chance) for _ in range(STREAMS)]
    for reader in readers:
        reader.look()
    for _ in range(30):
        for _ in range(chance.randint(1, 3)):
            told += 1
            hub.ring.append([frames.own("word", "p", {"n": told})])
            hub.fan.wake()
            for _ in range(chance.choice([0, 0, 1, 2, 5])):
                await asyncio.sleep(0)
        if chance.random() < 0.3:
            hub.fan.tidy()
        if chance.random() < 0.1:
            hub.rights.version += chance.randint(1, 1000)
    async with asyncio.timeout(2):
        while any(reader.told.count(b"event: ") < told for reader in readers):
            await asyncio.sleep(0.001)
    for reader in readers:
        numbers = [int(part.split(b"}")[0]) for part in reader.told.split(b'"n":')[1:]]
        assert numbers == list(range(1, told + 1))
