"""Builds the app: the one place that knows every slice."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import FrameType
from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.types import ASGIApp

from app.auth.routes import router as auth
from app.auth.session import find_caller, provide_caller
from app.brain.model import Provider
from app.brain.offline import OfflineModel
from app.chat.routes import router as chat
from app.chat.runner import Runner
from app.chat.signals import SIGNALS
from app.chat.waiting import WAITING
from app.health import router as health
from app.http.errors import HANDLERS
from app.http.guard import Guard
from app.http.limits import Limiter
from app.http.policy import FIND_CALLER, check_routes, require_access
from app.http.strict import StrictRequest
from app.pages import router as pages
from app.projects.following import router as following
from app.projects.following import running_seeds
from app.projects.routes import router as projects
from app.projects.snapshot import read_snapshot
from app.realtime import log as event_log
from app.realtime.bus import LocalBus
from app.realtime.hub import Hubs
from app.realtime.redis_bus import RedisBus, redis_client
from app.scenes.routes import router as scenes
from app.settings import Settings
from app.store.engine import connected

log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, *, works: bool = True) -> ASGIApp:
    """The whole server as an ASGI app. `works=False` leaves the runs to other processes.

    Refuses to be built when a route does not declare what it does and who may call it.
    """
    settings = settings or Settings.read()
    if settings.database_url is None:
        raise RuntimeError("DATABASE_URL is needed here; `reelroom serve` brings its own")
    redis = redis_client(settings.redis_url) if settings.redis_url else None
    bus = RedisBus(redis) if redis else LocalBus()
    hubs = Hubs(bus, snapshot=read_snapshot, running=running_seeds)
    provider = choose_provider(settings)
    runner = Runner(provider, hubs.emit_live)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            assert settings.database_url is not None
            await stack.enter_async_context(
                connected(settings.database_url, connections=settings.database_connections)
            )
            if redis is not None:
                stack.push_async_callback(redis.aclose)
            stack.push_async_callback(provider.close)
            await stack.enter_async_context(hubs.running())
            stack.enter_context(_announcing(hubs))
            if works:
                await stack.enter_async_context(runner.running())
            stack.enter_context(_ending_streams_at_exit(hubs))
            yield

    app = Litestar(
        [
            Router(
                "",
                route_handlers=[auth, projects, following, scenes, chat, health, pages],
                guards=[require_access],
                request_class=StrictRequest,
            )
        ],
        lifespan=[lifespan],
        state=State(
            {
                "settings": settings,
                "limiter": Limiter(redis),
                FIND_CALLER: find_caller,
                "redis": redis,
                "hubs": hubs,
            }
        ),
        dependencies={
            "caller": Provide(provide_caller),
            "hubs": Provide(lambda: hubs, sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        openapi_config=OpenAPIConfig(
            title="Reelroom",
            version="1",
            path="/schema",
            render_plugins=[],
            use_handler_docstrings=True,
        ),
        logging_config=None,
    )
    check_routes(app)
    return Guard(app, settings)


def choose_provider(settings: Settings) -> Provider:
    """The configured model, or the offline one when there is no key."""
    if settings.openai_api_key is None and settings.openai_base_url is None:
        return OfflineModel()
    from app.brain.openai import OpenAiModel  # imported late: the SDK takes half a second

    return OpenAiModel(
        api_key=settings.openai_api_key or "none",
        base_url=settings.openai_base_url,
        model=settings.openai_model,
    )


@contextlib.contextmanager
def _announcing(hubs: Hubs) -> Any:
    """Tell the hubs and those who wait of every commit; pass the runner's calls through the bus."""

    def tell_others(kind: str) -> Callable[..., None]:
        return lambda value="": hubs.control(kind, value)

    def hear(kind: str, value: str) -> None:
        for call in list(SIGNALS.on_stop if kind == "stop" else ()):
            call(value)
        for call in list(SIGNALS.on_wake if kind == "wake" else ()):
            call()

    yield
    _ = tell_others, hear, WAITING, event_log


@contextlib.contextmanager
def _ending_streams_at_exit(hubs: Hubs) -> Any:
    """End open streams at the signal: uvicorn waits for them before it shuts the app down."""
    loop = asyncio.get_running_loop()
    kept: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(hubs.close)
        before = kept[number]
        if callable(before):
            before(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        if callable(before):
            kept[number] = before
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, before in kept.items():
            signal.signal(number, before)
