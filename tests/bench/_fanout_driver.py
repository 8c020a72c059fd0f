"""What commits the measured events, in a process of its own: `POST /pub/<n>` is one durable event.

Each body becomes a transaction with one sequenced event in PostgreSQL, then a hint over Redis: the
measured server gets it as from any other process of the product.
"""

import asyncio
import sys

import msgspec

from app.realtime import log
from app.realtime.bus.messages import LogHint
from app.realtime.bus.redis import RedisBus
from tests.bench._fanout_server import project_id
from tests.harness.database import DB, connected

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


async def commit(number: int, body: bytes) -> None:
    async with DB.transaction() as tx:
        async with log.changing(
            tx, project_id(number), actor_id="local", request_id="bench"
        ) as change:
            change.emit("scene.updated", msgspec.Raw(body))


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            number = int(head.split(b" ", 2)[1].rpartition(b"/")[2])
            size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await commit(number, await reader.readexactly(size))
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(dsn: str, redis: str) -> None:
    bus = RedisBus(redis)
    await bus.open("bench driver", lambda *_: None, lambda: None)
    async with connected(dsn, connections=8) as database:
        database.signals.connect(
            log.LogGrew, lambda grown: bus.publish(grown.project_id, LogHint.of(grown.rows))
        )
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
