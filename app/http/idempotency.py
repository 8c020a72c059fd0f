"""One path for every change: a transaction, its answer, and the key that gives it again."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response
from litestar.enums import MediaType

from app.http.envelope import Done, Envelope, envelope, failure, info_of
from app.problems import (
    Conflict,
    DatabaseError,
    InvalidInput,
    Problem,
    RateLimited,
    ServiceUnavailable,
    Unauthorized,
)
from app.store.database import Database, Tx

T = TypeVar("T")
Action = Callable[[Tx], Awaitable[Done[T]]]

KEPT = "24 hours"
KEY_MOST = 255  # characters
TRIES = 3  # of a change that the database refused to take for the moment
NOT_KEPT = (Unauthorized, RateLimited)  # the next try with the same key may well succeed

CLAIM = f"""
    insert into idempotency_record (user_id, scope, key, request_hash, expires_at)
    values ($1, $2, $3, $4, clock_timestamp() + interval '{KEPT}')
    on conflict (user_id, scope, key) do update set
        request_hash = excluded.request_hash, status = null, headers = null, body = null,
        created_at = clock_timestamp(), expires_at = excluded.expires_at
    where idempotency_record.expires_at < clock_timestamp()
"""


def key_of(request: Request[Any, Any, Any]) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= KEY_MOST and key.isprintable()):
        raise InvalidInput(f"Idempotency-Key must have 1 to {KEY_MOST} printable characters.")
    return key


async def hash_of(request: Request[Any, Any, Any]) -> str:
    """Of method, path, query and body: what must be equal for a key to be the same request."""
    digest = hashlib.sha256()
    target = f"{request.method} {request.url.path}?{request.url.query}"
    digest.update(f"{target}\n{request.headers.get('if-match', '')}\n".encode())
    digest.update(await request.body())
    return digest.hexdigest()


async def change(
    request: Request[Any, Any, Any],
    user_id: str,
    action: Action[T],
    *,
    scope: str = "",
    status: int = 200,
) -> Response[Envelope[T]]:
    """Do `action` in one transaction and answer after its commit.

    With an `Idempotency-Key` the answer is stored in the same transaction, and the same request
    with the same key gets it again, byte for byte, whether it comes later or at once; a broken
    rule is kept as well, a failure of ours is not. `scope` is the project. A change that meets a
    busy or a vanished database is tried again: without a key only when it was surely not committed.
    """
    key = key_of(request)
    keyed = (user_id, scope, key, await hash_of(request)) if key is not None else None
    for attempt in range(1, TRIES + 1):
        try:
            return await _once(request, action, keyed, status)
        except ServiceUnavailable:
            if attempt == TRIES:
                raise
        except DatabaseError:
            if attempt == TRIES or keyed is None:
                raise
    raise AssertionError("unreachable")


async def once(
    request: Request[Any, Any, Any], user_id: str, action: Action[T], *, scope: str
) -> Response[Envelope[T]]:
    """Answer with what `action` reads; with a key, whoever asks again gets the first answer.

    For the late half of a request whose change was committed already: `scope` must differ from
    that of its change.
    """
    return await change(request, user_id, action, scope=scope)


async def _once(
    request: Request[Any, Any, Any],
    action: Action[T],
    keyed: tuple[str, str, str, str] | None,
    status: int,
) -> Response[Envelope[T]]:
    db: Database = request.app.state.db
    async with db.transaction() as tx:
        if keyed is None:
            done = await action(tx)
            return _response(request, _encode(request, done), done.status or status, done)
        if not await tx.execute(CLAIM, *keyed):
            return await _again(request, tx, keyed)
        done_: Done[T] | None = None
        extra: dict[str, str] = {}
        try:
            async with tx.savepoint():
                done_ = await action(tx)
            code, body = done_.status or status, _encode(request, done_)
        except Problem as problem:
            if problem.status >= 500 or isinstance(problem, NOT_KEPT):
                raise
            code, body = problem.status, msgspec.json.encode(failure(request.scope, problem))
        extra["x-request-id"] = info_of(request.scope).request_id
        await tx.execute(
            "update idempotency_record set status = $4, headers = $5, body = $6"
            " where user_id = $1 and scope = $2 and key = $3",
            *keyed[:3], code, extra, body,
        )  # fmt: skip
        return _response(request, body, code, done_)


async def _again(
    request: Request[Any, Any, Any], tx: Tx, keyed: tuple[str, str, str, str]
) -> Response[Any]:
    record = await tx.fetchrow(
        "select request_hash, status, headers, body from idempotency_record"
        " where user_id = $1 and scope = $2 and key = $3",
        *keyed[:3],
    )
    if record is None or record["status"] is None:
        raise ServiceUnavailable("The first request with this key is not over.", retry_after=1)
    if record["request_hash"] != keyed[3]:
        raise Conflict("This Idempotency-Key was used for another request.")
    headers = {**record["headers"], "idempotency-replayed": "true"}
    return Response(
        bytes(record["body"]),
        status_code=record["status"],
        media_type=MediaType.JSON,
        headers=headers,
    )


def _encode(request: Request[Any, Any, Any], done: Done[Any]) -> bytes:
    return msgspec.json.encode(envelope(request.scope, done))


def _response(
    request: Request[Any, Any, Any], body: bytes, status: int, done: Done[Any] | None
) -> Response[Any]:
    return Response(
        body,
        status_code=status,
        media_type=MediaType.JSON,
        cookies=done.cookies if done else [],
    )
