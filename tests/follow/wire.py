"""What the server says, as bytes and text, and why a connection ends."""

from typing import Any, Literal

import msgspec

Json = dict[str, Any]


class Closing(msgspec.Struct, frozen=True):
    """Why a connection is over. `wait`: seconds after which to come again, when the server says.

    lost: cut, refused, or unexplained. malformed: something that cannot be read, so something may
    be missing. restart: the server says so. revoked: the right to read is in question.
    """

    kind: Literal["lost", "malformed", "restart", "revoked"]
    wait: float | None = None


LOST, MALFORMED, REVOKED = Closing("lost"), Closing("malformed"), Closing("revoked")

RESTARTING = 1012
REVOKING = (4401, 4403, 4404)  # unauthorised, role lost, no such project


def closing_of(code: int | None) -> Closing:
    """What a WebSocket's close code means."""
    if code == RESTARTING:
        return Closing("restart")
    return REVOKED if code in REVOKING else LOST


def refusal(status: int, retry_after: str | None) -> Closing:
    """What a refusal before the first event means."""
    if status in (401, 403, 404):
        return REVOKED
    if status in (429, 503) and retry_after and retry_after.isdecimal():
        return Closing("restart", float(retry_after))
    return LOST


def read_event(raw: str | bytes) -> Json | None:
    """The event in a JSON text or a msgpack frame, of whatever type; None when it is none."""
    try:
        if isinstance(raw, str):
            return checked(msgspec.json.decode(raw))
        return checked(msgspec.msgpack.decode(raw))
    except msgspec.DecodeError:
        return None


def checked(value: Any) -> Json | None:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return None
    if not isinstance(value.get("data"), dict):
        return None
    if "revision" in value and not all(type(value.get(n)) is int for n in ("revision", "commit")):
        return None
    return value


def read_cursor(text: str) -> tuple[str, int] | None:
    epoch, dot, number = text.partition(".")
    if not (epoch and dot and number.isascii() and number.isdecimal()):
        return None
    return epoch, int(number)


class SseReader:
    """Blocks from a stream of text: `feed` gives the data of those that are complete."""

    def __init__(self) -> None:
        self.hint: int | None = None  # the last `retry:` in ms, once an event has come
        self._rest = ""
        self._began = False

    def feed(self, text: str) -> list[str]:
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
            if field == "retry" and self._began and value.isascii() and value.isdecimal():
                self.hint = int(value)
        if not data:
            return None
        self._began = True
        return "\n".join(data)


def told_by(project_id: str, changes: Json, *, first: bool) -> list[Json | None]:
    """An answer to a poll as a stream would have told it."""
    kind = "sync.ready" if first else "sync.heartbeat"
    told = [checked(event) for event in [*changes["events"], *changes["runs"]]]
    last = {"type": kind, "projectId": project_id, "data": {"cursor": changes["cursor"]}}
    return [*told, last]
