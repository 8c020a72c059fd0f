"""Reads a subscribed Redis connection in bulk: everything that has arrived with one call."""

from typing import Any, NamedTuple

import hiredis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import RedisError, ResponseError

CHUNK = 65_536  # bytes read at once

_nothing = object()


class Push(NamedTuple):
    """One push of Redis; `kind` is `message`, `subscribe`, `pong` and so on."""

    kind: bytes
    channel: bytes = b""
    data: Any = b""


class PushReader:
    """Reads a connection that redis-py has opened and subscribed, in its place.

    redis-py's `get_message` costs a hundred calls and two timers for each message, which is
    half of what an event costs us that few are told. Commands still go out through `pubsub`.
    """

    def __init__(self, pubsub: PubSub) -> None:
        connection = pubsub.connection
        stream = getattr(connection, "_reader", None)
        if stream is None:
            raise Lost("the connection is gone")
        self._stream = stream
        self._parser = hiredis.Reader(notEnoughData=_nothing)

    async def read(self) -> list[Push]:
        """Wait for a word; return it with all that came with it. May be stopped at any time.

        Raises `RedisError` when Redis refuses something, closes or cannot be understood.
        """
        data = await self._stream.read(CHUNK)
        if not data:
            raise Lost("Redis closed the connection")
        try:
            self._parser.feed(data)
            words = []
            while (word := self._parser.gets()) is not _nothing:
                if isinstance(word, hiredis.ReplyError):
                    raise ResponseError(str(word))
                words.append(Push(*word[:3]) if isinstance(word, list) else Push(word))
        except hiredis.ProtocolError as error:
            raise RedisError(f"Redis speaks nonsense: {error}") from error
        return words
