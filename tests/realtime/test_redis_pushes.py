"""What Redis pushes is parsed, and each end of the connection is noticed."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis.exceptions import RedisError

from app.realtime.bus.redis_pushes import Push, PushReceiver
from tests.harness.waiting import eventually


@asynccontextmanager
async def receiving(
    on_pushes: Callable[[list[Push]], None],
) -> AsyncIterator[tuple[socket.socket, PushReceiver]]:
    """Yield Redis's end of a connection, and a receiver on a transport of the other end."""
    redis, ours = socket.socketpair()
    with redis:
        reader, writer = await asyncio.open_connection(sock=ours)
        connection = SimpleNamespace(_reader=reader, _writer=writer)
        yield redis, PushReceiver(cast(Any, SimpleNamespace(connection=connection)), on_pushes)
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_pushes_are_parsed_however_they_are_split(size: int) -> None:
    pushed = (
        b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
        b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhe\r\nl\r\n"
        b"*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$0\r\n\r\n+PONG\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n"
    )
    received: list[Push] = []
    async with receiving(received.extend) as (redis, receiver):
        redis.sendall(pushed[:size])  # may come before `start`
        await asyncio.sleep(0)
        await receiver.start()
        for start in range(size, len(pushed), size):
            redis.sendall(pushed[start : start + size])
        await eventually(lambda: len(received) == 5)
        assert received == [
            (b"subscribe", b"a", 1), (b"message", b"a", b"he\r\nl"), (b"message", b"b", b""),
            (b"PONG", b"", b""), (b"pong", b"", b""),
        ]  # fmt: skip
        assert not receiver.failed.is_set()


@pytest.mark.parametrize(
    ("sent", "error"),
    [(b"-MOVED 1 other\r\n", "MOVED"), (b"nonsense\r\n", "malformed"), (b"", "closed")],
)
async def test_what_ends_receiving_is_reported_once(sent: bytes, error: str) -> None:
    async with receiving(lambda _: None) as (redis, receiver):
        await receiver.start()
        redis.sendall(sent) if sent else redis.shutdown(socket.SHUT_WR)
        await asyncio.wait_for(receiver.failed.wait(), 5)
        assert isinstance(receiver.error, RedisError)
        assert error in str(receiver.error)
        first = receiver.error
    assert receiver.error is first


async def test_an_error_of_the_handler_ends_receiving() -> None:
    def refuse(pushes: list[Push]) -> None:
        if pushes:
            raise RedisError("the slot has moved")

    async with receiving(refuse) as (redis, receiver):
        await receiver.start()
        redis.sendall(b"+PONG\r\n")
        await asyncio.wait_for(receiver.failed.wait(), 5)
    assert "moved" in str(receiver.error)
