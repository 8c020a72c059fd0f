"""The routes for operators: liveness, readiness and metrics."""

import asyncio
from typing import Any

import msgspec
from litestar import Response, Router, get
from litestar.openapi.datastructures import ResponseSpec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.http.envelope import declare
from app.http.request import AnyRequest
from app.problems import Problem
from app.store.database import Database

CHECK_TIMEOUT_SECONDS = 2.0  # of the check of PostgreSQL, and of that of Redis


class Health(msgspec.Struct, kw_only=True):
    """`degraded`: everything works, with up to two seconds of latency, while Redis is away."""

    status: str
    database: bool
    redis: bool | None = None


@get("/health/live", **declare("health.live", "public"))
async def live() -> dict[str, str]:
    return {"status": "ok"}


@get(
    "/health/ready",
    **declare(
        "health.ready",
        "public",
        responses={503: ResponseSpec(Health, description="Without PostgreSQL.")},
    ),
)
async def ready(request: AnyRequest) -> Response[Health]:
    database, redis = await asyncio.gather(
        _ping_database(request.app.state.db), _ping_redis(request.app.state.redis)
    )
    status = "down" if not database else "degraded" if redis is False else "ok"
    health = Health(status=status, database=database, redis=redis)
    return Response(health, status_code=200 if database else 503)


@get(
    "/metrics",
    **declare(
        "metrics.read",
        "public",
        responses={
            200: ResponseSpec(
                str,
                description="Prometheus text.",
                media_type="text/plain",
                generate_examples=False,
            )
        },
    ),
)
async def metrics() -> Response[bytes]:
    """Prometheus text; keep it away from the public with the reverse proxy."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _ping_database(database: Database) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            return bool(await database.fetchval("select 1"))
    except (Problem, TimeoutError):
        return False


async def _ping_redis(redis: Any) -> bool | None:
    if redis is None:
        return None
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            return bool(await redis.ping())
    except Exception:  # noqa: BLE001  any error means that Redis is unavailable
        return False


router = Router("", route_handlers=[live, ready, metrics])
