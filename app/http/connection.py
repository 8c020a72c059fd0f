"""How much a client may send, and how long it may take, before its request has even begun."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_SECONDS = 15.0  # for a whole head to arrive, from the connection or the head's first byte on
# Bytes in a row that are no body: a head, trailers, or the framing of chunks. More than the guard
# lets through, so that a head which is merely too long is answered with the envelope.
FRAMING_MOST = 256 * 1024
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """One HTTP connection. Uvicorn's own keeps a head of any length and waits for it for ever."""

    head_seconds = HEAD_SECONDS  # see there
    _framing = 0  # bytes since the last of a body
    _deadline: asyncio.TimerHandle | None = None
    _answered: RequestResponseCycle | None = None  # while others wait behind it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)
        if self._answered and not self._answered.response_complete:  # uvicorn tells the last alone
            self._answered.disconnected = True
            self._answered.message_event.set()

    def data_received(self, data: bytes) -> None:
        self._framing += len(data)
        super().data_received(data)
        if self._framing > FRAMING_MOST and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        before, waiting = self.cycle, len(self.pipeline)
        super().on_headers_complete()
        if len(self.pipeline) > waiting == 0:
            self._answered = before

    def on_response_complete(self) -> None:
        self._answered = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()

    def on_body(self, body: bytes) -> None:
        self._framing = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._framing = 0
        super().on_message_complete()

    def _await_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _head_came(self) -> None:
        self._framing = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
