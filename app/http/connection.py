"""Limits of the size of request heads and of the time that they may take to arrive."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_TIMEOUT_SECONDS = 15.0  # for a whole head, after the connection or the head's first byte
# Of a head, of trailers, or of the framing of chunks, between two parts of a body. It is more than
# the guard allows, so that a head which is a little too long is answered with the envelope.
MAX_FRAMING_BYTES = 256 * 1024
HEAD_TOO_LARGE_RESPONSE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """One HTTP connection with limits on heads.

    Uvicorn's own class buffers a head of any length and waits for it without limit. It also
    reports a lost connection only to the last of several pipelined requests.
    """

    head_seconds = HEAD_TIMEOUT_SECONDS
    _framing = 0  # bytes since the last byte of a body
    _deadline: asyncio.TimerHandle | None = None
    _answering: RequestResponseCycle | None = None  # the first request, while others wait

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_head()
        super().connection_lost(exc)
        if self._answering and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def data_received(self, data: bytes) -> None:
        self._framing += len(data)
        super().data_received(data)
        if self._framing > MAX_FRAMING_BYTES and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(HEAD_TOO_LARGE_RESPONSE)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        self._on_head()
        before, waiting = self.cycle, len(self.pipeline)
        super().on_headers_complete()
        if len(self.pipeline) > waiting == 0:
            self._answering = before

    def on_response_complete(self) -> None:
        self._answering = self.pipeline[-1][0] if self.pipeline else None
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

    def _on_head(self) -> None:
        self._framing = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
