"""Changes: each is one transaction, and an idempotency key replays its answer."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec
from litestar import Response
from litestar.enums import MediaType

from app.http.envelope import ActionResult, Envelope, envelope, failure
from app.http.errors import StoredRefusal
from app.http.request import AnyRequest, info_of
from app.http.tables import IdempotencyRecord
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
from app.store.query import Param, built, named

T = TypeVar("T")
Action = Callable[[Tx], Awaitable[ActionResult[T]]]

KEY_TTL_HOURS = 24
MAX_KEY_LENGTH = 255  # characters
MAX_ATTEMPTS = 3  # of a change while the database is busy or unavailable
NOT_STORED = (Unauthorized, RateLimited)  # errors that a retry of the same request can avoid

# Inserts or renews nothing, and so touches no row, when the key is in use.
CLAIM_KEY = named(f"""
    insert into idempotency_record (user_id, scope, key, request_hash, expires_at)
    values (:user_id, :scope, :key, :request_hash,
        clock_timestamp() + interval '{KEY_TTL_HOURS} hours')
    on conflict (user_id, scope, key) do update set
        request_hash = excluded.request_hash, status = null, headers = null, body = null,
        created_at = clock_timestamp(), expires_at = excluded.expires_at
    where idempotency_record.expires_at < clock_timestamp()
""")
IS_KEY = (
    (IdempotencyRecord.user_id == Param("user_id"))
    & (IdempotencyRecord.scope == Param("scope"))
    & (IdempotencyRecord.key == Param("key"))
)
STORE_ANSWER = built(
    IdempotencyRecord.update(
        {
            IdempotencyRecord.status: Param("status"),
            IdempotencyRecord.headers: Param("headers"),
            IdempotencyRecord.body: Param("body"),
        }
    ).where(IS_KEY)
)
FIND_ANSWER = built(
    IdempotencyRecord.select(
        IdempotencyRecord.request_hash,
        IdempotencyRecord.status,
        IdempotencyRecord.headers,
        IdempotencyRecord.body,
    ).where(IS_KEY)
)


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An encoded answer, as it is sent and stored."""

    status: int
    body: bytes
    headers: dict[str, str]

    def response(self, cookies: list[Any] | None = None) -> Response[Any]:
        return Response(
            self.body,
            status_code=self.status,
            media_type=MediaType.JSON,
            headers=self.headers,
            cookies=cookies or [],
        )


class Outcome(Generic[T]):
    """The outcome of a change: its result and its response.

    `replayed` is True when the request's idempotency key was used before: the action did not run,
    and `result` is read from the stored answer.
    """

    def __init__(
        self,
        answer: _Answer,
        result: ActionResult[T] | None,
        result_type: type[T] | None,
    ) -> None:
        self.replayed = result is None
        self._answer = answer
        self._result = result
        self._result_type = result_type

    @property
    def result(self) -> ActionResult[T]:
        """The action's result. Raises `TypeError` for a change without `result_type`."""
        if self._result_type is None:
            raise TypeError("change() needs result_type, so that a stored answer can be read")
        if self._result is None:
            self._result = _decode(self._answer.body, self._result_type)
        return self._result

    def response(self) -> Response[Envelope[T]]:
        """Return the answer; that of a replayed request has the bytes of the first."""
        return self._answer.response(self._result.cookies if self._result else None)


async def change(
    request: AnyRequest,
    user_id: str,
    action: Action[T],
    *,
    scope: str = "",
    status: int = 200,
    result_type: type[T] | None = None,
) -> Outcome[T]:
    """Run `action` in one transaction and return its outcome after the commit.

    With an `Idempotency-Key` the answer is stored in the same transaction, and the same request
    with the same key gets it again, also when both arrive at the same time. A `Problem` that the
    action raises is stored as well, unless it is a failure of the server; it is raised as
    `StoredRefusal`. `scope` is the namespace of the key: the project, or another text for the
    second change of one request. `result_type` is required to read the outcome's `result`.

    While the database is busy or unavailable the change is retried; without a key only if it was
    certainly not committed. Raises `Conflict` when the key was used for another request.
    """
    db: Database = request.app.state.db
    key = key_of(request)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            if key is None:
                async with db.transaction() as tx:
                    result = await action(tx)
                    answer = _encode_result(request, result, status)
                return Outcome(answer, result, result_type)
            return await _change_once(
                db, request, action, (user_id, scope, key), status, result_type
            )
        except ServiceUnavailable:
            if attempt == MAX_ATTEMPTS:
                raise
        except DatabaseError:
            if attempt == MAX_ATTEMPTS or key is None:
                raise
    raise AssertionError("unreachable")


async def _change_once(
    db: Database,
    request: AnyRequest,
    action: Action[T],
    identity: tuple[str, str, str],
    status: int,
    result_type: type[T] | None,
) -> Outcome[T]:
    """Run the action or read its stored answer; raise `StoredRefusal` for a refusal."""
    key = dict(zip(("user_id", "scope", "key"), identity, strict=True))
    request_hash = await _hash_of(request)
    result: ActionResult[T] | None = None
    async with db.transaction() as tx:
        if await tx.execute(*CLAIM_KEY(**key, request_hash=request_hash)):
            try:
                async with tx.savepoint():
                    result = await action(tx)
                answer = _encode_result(request, result, status)
            except Problem as problem:
                if problem.status >= 500 or isinstance(problem, NOT_STORED):
                    raise
                body = msgspec.json.encode(failure(request.scope, problem))
                answer = _Answer(status=problem.status, body=body, headers={})
            headers = {"x-request-id": info_of(request.scope).request_id}
            await tx.execute(
                *STORE_ANSWER(**key, status=answer.status, headers=headers, body=answer.body)
            )
        else:
            answer = await _stored_answer(tx, key, request_hash)
    if answer.status >= 400:
        raise StoredRefusal(answer.response())
    return Outcome(answer, result, result_type)


async def _stored_answer(tx: Tx, key: dict[str, str], request_hash: str) -> _Answer:
    record = await tx.fetchrow(*FIND_ANSWER(**key))
    if record is None or record["status"] is None:
        raise ServiceUnavailable("The first request with this key is not over.", retry_after=1)
    if record["request_hash"] != request_hash:
        raise Conflict("This Idempotency-Key was used for another request.")
    headers = {**record["headers"], "idempotency-replayed": "true"}
    return _Answer(status=record["status"], body=bytes(record["body"]), headers=headers)


def key_of(request: AnyRequest) -> str | None:
    """Return the request's idempotency key, if any; raise `InvalidInput`."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= MAX_KEY_LENGTH and key.isprintable()):
        raise InvalidInput(f"Idempotency-Key must have 1 to {MAX_KEY_LENGTH} printable characters.")
    return key


async def _hash_of(request: AnyRequest) -> str:
    """Return the hash that identifies a request: of method, path, query, `If-Match` and body."""
    digest = hashlib.sha256()
    target = f"{request.method} {request.url.path}?{request.url.query}"
    digest.update(f"{target}\n{request.headers.get('if-match', '')}\n".encode())
    digest.update(await request.body())
    return digest.hexdigest()


def _encode_result(request: AnyRequest, result: ActionResult[Any], status: int) -> _Answer:
    body = msgspec.json.encode(envelope(request.scope, result))
    return _Answer(status=result.status or status, body=body, headers={})


def _decode(body: bytes, result_type: type[T]) -> ActionResult[T]:
    stored: Envelope[T] = msgspec.json.decode(body, type=Envelope[result_type])  # type: ignore[valid-type]
    return ActionResult(
        data=stored.data,  # type: ignore[arg-type]
        affected=stored.meta.affected_ids,
        revision=stored.meta.revision,
        context=stored.context or None,
        assistant_message_id=stored.assistant_message_id or None,
    )
