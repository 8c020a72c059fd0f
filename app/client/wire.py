"""What the server sends, as bytes and text, and what the end of a connection means."""

from typing import Any, Literal

import msgspec

Json = dict[str, Any]

CLOSE_RESTARTING = 1012
CLOSE_REVOKED = (4401, 4403, 4404)  # not signed in, role lost, no such project


class Closing(msgspec.Struct, frozen=True):
    """Why a connection ended, and in how many seconds to return if the server said so.

    "lost": cut, refused, or unexplained. "malformed": something could not be read, so an event
    may be missing. "restart": the server announced it. "revoked": the right to read is in question.
    """

    kind: Literal["lost", "malformed", "restart", "revoked"]
    wait: float | None = None


LOST, MALFORMED, REVOKED = Closing("lost"), Closing("malformed"), Closing("revoked")


def closing_of_code(code: int | None) -> Closing:
    """What a WebSocket's close code means; None for a connection that was cut."""
    if code == CLOSE_RESTARTING:
        return Closing("restart")
    return REVOKED if code in CLOSE_REVOKED else LOST


def closing_of_status(status: int, retry_after: str | None) -> Closing:
    """What an HTTP error in place of the first event means."""
    if status in (401, 403, 404):
        return REVOKED
    if status in (429, 503) and retry_after and retry_after.isdecimal():
        return Closing("restart", float(retry_after))
    return LOST


def decode_event(raw: str | bytes) -> Json | None:
    """The event in a JSON text or a MessagePack frame; None when it is not one.

    An event of a type that is unknown here is an event, too.
    """
    try:
        if isinstance(raw, str):
            return checked_event(msgspec.json.decode(raw))
        return checked_event(msgspec.msgpack.decode(raw))
    except msgspec.DecodeError:
        return None


def checked_event(value: Any) -> Json | None:
    """The value when it has the form of an event, else None."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return None
    if not isinstance(value.get("data"), dict):
        return None
    if "revision" in value and not all(type(value.get(n)) is int for n in ("revision", "commit")):
        return None
    return value


def parse_cursor(text: str) -> tuple[str, int] | None:
    """Epoch and revision of `<epoch>.<revision>`; None when the text is no cursor."""
    epoch, dot, number = text.partition(".")
    if not (epoch and dot and number.isascii() and number.isdecimal()):
        return None
    return epoch, int(number)


class SseReader:
    """Splits a stream of text into the data of its events.

    `retry_milliseconds` is the last `retry:` that came after an event: only then it announces a
    restart; the one at the beginning of a stream is for browsers.
    """

    def __init__(self) -> None:
        self.retry_milliseconds: int | None = None
        self._rest = ""
        self._begun = False

    def feed(self, text: str) -> list[str]:
        """The data of the events that are complete now."""
        *blocks, self._rest = (self._rest + text).split("\n\n")
        found = [self._read(block) for block in blocks]
        return [data for data in found if data is not None]

    def _read(self, block: str) -> str | None:
        data = []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                data.append(value)
            if field == "retry" and self._begun and value.isascii() and value.isdecimal():
                self.retry_milliseconds = int(value)
        if not data:
            return None
        self._begun = True
        return "\n".join(data)


def events_of_poll(project_id: str, answer: Json, *, first: bool) -> list[Json | None]:
    """The events of a poll's answer as a stream would have sent them.

    The last one is `sync.ready` for the first answer, else a heartbeat. None stands for what is
    not an event.
    """
    kind = "sync.ready" if first else "sync.heartbeat"
    events = [checked_event(event) for event in [*answer["events"], *answer["runs"]]]
    last = {"type": kind, "projectId": project_id, "data": {"cursor": answer["cursor"]}}
    return [*events, last]
