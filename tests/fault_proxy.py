"""A TCP proxy that does what bad networks do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FaultProxy:
    """Between clients and one server. Settings hold for connections that are open, too.

    `hold`: nothing passes either way, and nobody is told. `refuse`: new connections are reset.
    `cut_after`: so many more bytes reach the clients, then their connections are reset. `delay`:
    seconds that each piece waits, either way.
    """

    def __init__(self, host: str, port: int) -> None:
        self.upstream = (host, port)
        self._passing = asyncio.Event()
        self._passing.set()
        self._open: set[asyncio.StreamWriter] = set()
        self.refuse = False
        self.cut_after: int | None = None
        self.delay = 0.0
        self.connections = 0
        self.port = 0

    @property
    def hold(self) -> bool:
        return not self._passing.is_set()

    @hold.setter
    def hold(self, value: bool) -> None:
        if value:
            self._passing.clear()
        else:
            self._passing.set()

    def reset(self) -> None:
        """Reset every open connection, on both sides."""
        for writer in list(self._open):
            writer.transport.abort()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FaultProxy"]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.hold = False
            self.reset()
            await server.wait_closed()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuse:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, up_writer}
        try:
            await asyncio.gather(
                self._pump(reader, up_writer, to_client=False),
                self._pump(up_reader, writer, to_client=True),
            )
        except OSError:
            pass
        finally:
            self._open -= {writer, up_writer}
            writer.transport.abort()
            up_writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_client: bool
    ) -> None:
        while data := await reader.read(65_536):
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._passing.wait()
            if to_client and self.cut_after is not None:
                data = data[: self.cut_after]
                self.cut_after -= len(data)
                writer.write(data)
                if self.cut_after <= 0:
                    self.cut_after = None
                    raise ConnectionResetError("cut")
                continue
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
