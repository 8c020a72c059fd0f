"""Writes to a connection through ASGI's `send`, without a task for each message."""

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextvars import copy_context
from typing import Any, cast

from app.realtime.encoding import Payload
from app.realtime.writer import ConnectionListener, Ending, Writer
from app.store.concurrency import spawn

Message = Any  # of ASGI
Send = Callable[[Message], Awaitable[None]]

CLOSE_TIMEOUT_SECONDS = 1.0  # for the last message to be sent


class AsgiWriter(Writer):
    """Drives `send` itself: most calls end without waiting, and then no task is needed.

    A call that would wait means that the client reads slowly: a task finishes it and sends what
    is written meanwhile. Create it in the task that handles the request; `send` always runs as that
    task and in its context, as the server and its middleware expect.
    """

    kind = "asgi"

    def __init__(self, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._send = send
        self._handler = task
        self._context = copy_context()
        self._listener: ConnectionListener | None = None
        self._pending: deque[Iterator[Message]] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._sent = 0  # messages, while the client was congested
        self._closed = False
        self._waiting = False  # whether the handler waits in `until_closed`
        self.write = self._write

    def open(self, listener: ConnectionListener) -> None:
        self._listener = listener

    def progress(self) -> int:
        return self._sent

    def close(self, ending: Ending) -> None:
        self._listener = None  # nothing more is reported, and no reference cycle remains
        if ending.kind in ("left", "slow"):
            self._give_up()
            return
        self._pending.append(iter(self.last_messages(ending)))
        if self._sending is None:
            self._sending = spawn(self._send_pending(), name="closing message")
        timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_SECONDS, self._give_up)
        self._sending.add_done_callback(lambda _: self._finish(timer))

    @abstractmethod
    def messages(self, payload: Payload) -> Iterator[Message]:
        """Turn a payload into messages for `send`, one after the other as they are sent."""

    @abstractmethod
    def last_messages(self, ending: Ending) -> list[Message]:
        """Return the messages that end the response or close the WebSocket."""

    async def until_closed(self, listening: Coroutine[Any, Any, None]) -> None:
        """Run the handler's own coroutine until it returns, or until the writer has closed.

        Some servers never end a pending `receive()` after the application has closed.
        """
        if self._closed:
            listening.close()
            return
        self._waiting = True
        try:
            await listening
        except asyncio.CancelledError:
            if not self._closed or self._handler.uncancel() > 0:
                raise
        finally:
            self._waiting = False

    def _finish(self, timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        self._give_up()

    def _give_up(self) -> None:
        """Drop what is not sent, and let the handler return."""
        if self._closed:
            return
        self._closed = True
        self._pending.clear()
        if self._sending is not None:
            self._sending.cancel()
        if self._waiting and asyncio.current_task() is not self._handler:
            self._handler.cancel()

    def _write(self, payload: Payload) -> None:
        messages = self.messages(payload)
        if self._sending is not None:
            self._pending.append(messages)
            return
        for message in messages:
            call = cast(Coroutine[Any, Any, None], self._send(message))
            try:
                waits_for = self._run_until_it_waits(call)
            except StopIteration:
                continue
            except Exception:  # noqa: BLE001  servers raise various errors for a lost connection
                self._lost()
                return
            self._pending.append(messages)
            self._sending = spawn(self._send_pending(call, waits_for), name="slow subscriber")
            if self._listener:
                self._listener.on_congested()
            return

    def _run_until_it_waits(self, call: Coroutine[Any, Any, None]) -> Any:
        """Run a call of `send` until it waits, and return what it waits for.

        Raises `StopIteration` when it has ended.
        """
        if asyncio.current_task() is not None:
            return self._context.run(call.send, None)
        loop = asyncio.get_running_loop()
        asyncio._enter_task(loop, self._handler)
        try:
            return self._context.run(call.send, None)
        finally:
            asyncio._leave_task(loop, self._handler)

    async def _send_pending(
        self, call: Coroutine[Any, Any, None] | None = None, waits_for: Any = None
    ) -> None:
        """Finish a call that waits, then send everything that was written meanwhile."""
        try:
            if call is not None:
                await _Resumed(call, waits_for)
                self._sent += 1
            while self._pending:
                for message in self._pending[0]:
                    await self._send(message)
                    self._sent += 1
                if self._pending:
                    self._pending.popleft()
        except Exception:  # noqa: BLE001  as above
            self._lost()
            return
        self._sending = None
        if self._listener:
            self._listener.on_drained()

    def _lost(self) -> None:
        self._pending.clear()
        listener, self._listener = self._listener, None
        if listener:
            listener.on_lost()


class _Resumed:
    """Awaits the rest of a coroutine that was driven up to something it waits for."""

    def __init__(self, call: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._call = call
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        while True:
            try:
                try:
                    value = yield waits_for
                except BaseException as error:  # noqa: BLE001  it belongs to the coroutine
                    waits_for = self._call.throw(error)
                else:
                    waits_for = self._call.send(value)
            except StopIteration:
                return
