"""The id and the start time of a request, which the guard assigns."""

from typing import Any

import msgspec
from litestar import Request

AnyRequest = Request[Any, Any, Any]

REQUEST_KEY = "reelroom.request"  # where the guard puts the RequestInfo in scope["state"]


class RequestInfo(msgspec.Struct, kw_only=True):
    """A request's id and when it began; known before anything of the request is read."""

    request_id: str
    began: float  # time.perf_counter()


def info_of(scope: Any) -> RequestInfo:
    """Return the id and the start time of this request."""
    info = scope["state"].get(REQUEST_KEY)
    if not isinstance(info, RequestInfo):
        raise RuntimeError("the request guard did not run")
    return info
