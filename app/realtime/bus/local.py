"""The bus within one process, which needs no Redis."""

import asyncio
from collections import Counter

from app.realtime.bus.messages import EVERYBODY, Message, OnLoss, OnMessage, deliver, encode


class LocalBus:
    """A bus without a network. Several ends may share one, as processes share a Redis."""

    def __init__(self) -> None:
        self._ends: list[LocalBus] = [self]
        self._process = ""
        self._on_message: OnMessage | None = None
        self._subscribed = Counter([EVERYBODY])

    def sibling(self) -> "LocalBus":
        """Return another end of the same bus."""
        other = LocalBus()
        other._ends = self._ends
        self._ends.append(other)
        return other

    async def open(self, process: str, on_message: OnMessage, on_loss: OnLoss) -> None:
        self._process, self._on_message = process, on_message

    async def close(self) -> None:
        self._on_message = None

    async def subscribe(self, channel: str) -> None:
        self._subscribed[channel] += 1

    async def unsubscribe(self, channel: str) -> None:
        self._subscribed[channel] -= 1

    def publish(self, channel: str, message: Message) -> None:
        for other in self._ends:
            if other is self or other._on_message is None or not other._subscribed[channel]:
                continue
            raw = encode(self._process, message)
            asyncio.get_running_loop().call_soon(
                deliver, other._process, other._on_message, channel, raw
            )
