"""A TCP proxy that injects network faults, and an HTTP proxy that buffers answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FaultProxy:
    """A proxy between clients and one server. Its settings apply to open connections as well.

    `hold`: nothing passes either way, and connections look open. `refuse`: new connections are
    reset. `cut_after`: so many more bytes reach the clients, then their connections are reset.
    `delay`: seconds that each piece waits, either way.
    """

    def __init__(self, host: str, port: int) -> None:
        self.upstream = (host, port)
        self._passing = asyncio.Event()
        self._passing.set()
        self.open: dict[int, tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = {}
        self.refuse = False
        self.cut_after: int | None = None
        self.delay = 0.0
        self.connections = 0
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._lost = 0  # connections that are older than this number pass nothing

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
        for both in list(self.open.values()):
            for writer in both:
                writer.transport.abort()

    def silence(self) -> None:
        """Pass nothing more over the open connections, either way; they stay open."""
        self._lost = self.connections

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
            for task in list(self._tasks):  # also one that is just connecting upstream
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the proxy ends; asyncio logs a handler that ends cancelled
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        if self.refuse:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            writer.transport.abort()
            return
        self.open[number] = (writer, up_writer)
        try:
            await asyncio.gather(
                self._pump(number, reader, up_writer, to_client=False),
                self._pump(number, up_reader, writer, to_client=True),
            )
        except OSError:
            pass
        finally:
            del self.open[number]
            writer.transport.abort()
            up_writer.transport.abort()

    async def _pump(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        to_client: bool,
    ) -> None:
        while data := await reader.read(65_536):
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._passing.wait()
            if number <= self._lost:
                continue
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


BUFFER_BYTES = 64 * 1024  # of an answer that are held back: nginx's 8 buffers of two pages


class BufferingProxy:
    """A reverse proxy like a default nginx: without upgrades, and with buffered answers.

    An answer is sent when it is complete or fills the buffers, unless the server sends
    `X-Accel-Buffering: no` and the proxy `heeds` it. Each connection carries one request.
    """

    def __init__(self, port: int, *, heeds: bool) -> None:
        self.upstream = port
        self.heeds = heeds
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["BufferingProxy"]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_writer: asyncio.StreamWriter | None = None
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
            up_writer.write(_closing(request))
            await asyncio.gather(self._body(reader, up_writer), self._answer(up_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # either side has left
        finally:
            writer.close()
            if up_writer:
                up_writer.transport.abort()

    async def _body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(BUFFER_BYTES):
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError("the client has closed its side")

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        passes = self.heeds and b"x-accel-buffering: no" in head.lower()
        kept = head
        while data := await reader.read(BUFFER_BYTES):
            kept += data
            if passes or len(kept) > BUFFER_BYTES:
                writer.write(kept)
                await writer.drain()
                kept = b""
        writer.write(kept)
        await writer.drain()
        raise ConnectionResetError("the answer is complete")


def _closing(request: bytes) -> bytes:
    """The request head without hop-by-hop fields, so that no connection is upgraded."""
    first, *fields = request.removesuffix(b"\r\n\r\n").split(b"\r\n")
    hop = (b"connection:", b"upgrade:", b"sec-websocket")
    kept = [field for field in fields if not field.lower().startswith(hop)]
    return b"\r\n".join([first, *kept, b"Connection: close", b"", b""])
