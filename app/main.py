"""Builds the app and its components; the only module that imports every slice."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import FrameType
from typing import Any, cast

import msgspec
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ASGIApp, Scope

from app.auth.credentials import Credentials
from app.auth.model import AccessRevoked, Caller
from app.auth.routes import router as auth
from app.brain.model import Provider
from app.brain.offline import OfflineModel
from app.chat.routes import router as chat
from app.chat.runner import Runner
from app.generations.model import GenerationQueued
from app.generations.routes import router as generations
from app.generations.worker import GenerationWorker
from app.health import router as health
from app.http.errors import HANDLERS
from app.http.guard import Guard
from app.http.limits import Limiter
from app.http.policy import CREDENTIALS_KEY, check_routes, require_access
from app.http.shortcut import Shortcuts
from app.http.strict import StrictRequest
from app.pages import assets
from app.pages import router as pages
from app.projects.access import AccessLookups
from app.projects.following import router as following
from app.projects.routes import router as projects
from app.realtime.bus.local import LocalBus
from app.realtime.bus.messages import Bus
from app.realtime.hubs import Hubs
from app.realtime.limits import Limits
from app.realtime.log import LogGrew
from app.runs.model import CancelRequested, RunQueued
from app.runs.reads import running_runs
from app.runs.waiting import Waiting
from app.scenes.history_routes import router as scene_history
from app.scenes.routes import router as scenes
from app.scenes.snapshot import read_snapshot
from app.settings import Settings
from app.store.database import Database

logger = logging.getLogger(__name__)

OPENAPI = OpenAPIConfig(
    title="Reelroom",
    version="1",
    openapi_router=Router(
        "/schema", route_handlers=[], opt={"access": "public", "operation": "schema.read"}
    ),
    render_plugins=[JsonRenderPlugin()],
    use_handler_docstrings=True,
)


class Components(msgspec.Struct, frozen=True, kw_only=True):
    """The components that exist once in a process.

    `owns_database` is False for a database that the caller opens and closes.
    """

    settings: Settings
    database: Database
    owns_database: bool
    credentials: Credentials
    redis: Any
    hubs: Hubs
    provider: Any
    runner: Runner
    generation_worker: GenerationWorker
    waiting: Waiting


def build_components(
    settings: Settings, database: Database | None = None, limits: Limits | None = None
) -> Components:
    """Build the components of a process, none of them started yet."""
    redis, bus = _redis_bus(settings.redis_url) if settings.redis_url else (None, LocalBus())
    db = database or Database()
    broadcasts = (RunQueued, GenerationQueued, CancelRequested, AccessRevoked)
    hubs = Hubs(
        db,
        bus,
        partial(read_snapshot, db),
        partial(running_runs, db),
        broadcasts=broadcasts,
        limits=limits,
    )
    provider = choose_provider(settings)
    runner = Runner(db, provider, hubs)
    return Components(
        settings=settings,
        database=db,
        owns_database=database is None,
        credentials=Credentials(db, settings),
        redis=redis,
        hubs=hubs,
        provider=provider,
        runner=runner,
        generation_worker=GenerationWorker(db, provider),
        waiting=Waiting(db),
    )


@asynccontextmanager
async def running(components: Components, *, run_jobs: bool) -> AsyncIterator[None]:
    """Start the database, the bus and the workers in this order; stop them in reverse."""
    settings = components.settings
    async with AsyncExitStack() as stack:
        if components.owns_database:
            if settings.database_url is None:
                raise RuntimeError("DATABASE_URL is not set; only `reelroom serve` can do without")
            await stack.enter_async_context(
                components.database.opened(
                    settings.database_url, connections=settings.database_connections
                )
            )
        stack.push_async_callback(components.provider.close)
        await stack.enter_async_context(components.hubs.serving())
        stack.enter_context(_connected_signals(components))
        if run_jobs:
            await stack.enter_async_context(components.generation_worker.running())
            await stack.enter_async_context(components.runner.running())
        yield


def create_app(
    settings: Settings | None = None,
    *,
    database: Database | None = None,
    run_jobs: bool = True,
    limits: Limits | None = None,
) -> ASGIApp:
    """Build the whole server as an ASGI app.

    Without `database` the app opens and closes its own, at `settings.database_url`; the caller
    keeps a given one open while the app is served. `run_jobs=False` leaves runs to other
    processes. `limits` replace the default limits of subscriptions. Raises `UndeclaredRoute` when
    a route does not declare its operation and its access.
    """
    components = build_components(settings or Settings.read(), database, limits)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with running(components, run_jobs=run_jobs):
            with _closing_streams_on_signal(components.hubs, components.waiting):
                yield

    routes = [
        auth,
        projects,
        following,
        scenes,
        scene_history,
        generations,
        chat,
        health,
        pages,
        *assets(),
    ]
    app = Litestar(
        [Router("", route_handlers=routes, guards=[require_access], request_class=StrictRequest)],
        lifespan=[lifespan],
        state=State(
            {
                "settings": components.settings,
                "db": components.database,
                "limiter": Limiter(components.redis),
                "redis": components.redis,
                "hubs": components.hubs,
                "accesses": AccessLookups(components.database),
                CREDENTIALS_KEY: components.credentials,
            }
        ),
        dependencies=_dependencies(components),
        exception_handlers=HANDLERS,
        openapi_config=OPENAPI,
        logging_config=None,
    )
    check_routes(app)
    return cast(ASGIApp, Guard(Shortcuts(app), components.settings))


def _dependencies(components: Components) -> dict[str, Provide]:
    """Return what handlers receive by name; each value depends on the one before.

    Litestar resolves values that do not depend on each other in a task group, which makes a small
    request with a caller and the database a quarter more expensive.
    """

    def waiting(db: NamedDependency[Any]) -> Any:
        return components.waiting

    def hubs(waiting: NamedDependency[Any]) -> Any:
        return components.hubs

    async def caller(hubs: NamedDependency[Any], scope: Scope) -> Caller:
        return await components.credentials.provide_caller(scope)

    return {
        "db": Provide(lambda: components.database, sync_to_thread=False),
        "waiting": Provide(waiting, sync_to_thread=False),
        "hubs": Provide(hubs, sync_to_thread=False),
        "caller": Provide(caller),
    }


def create_web_app() -> ASGIApp:
    """Build the app of a process that leaves runs to `reelroom worker`."""
    return create_app(run_jobs=False)


async def run_worker(settings: Settings) -> None:
    """Work on runs until SIGTERM or SIGINT."""
    components = build_components(settings)
    shutdown = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, shutdown.set)
    async with running(components, run_jobs=True):
        logger.info("the worker is ready")
        await shutdown.wait()


def _redis_bus(url: str) -> tuple[Any, Bus]:
    """Return the Redis client of the rate limits and the health check, and the bus."""
    from app.realtime.bus.redis import RedisBus  # late: most single-process servers need no Redis

    bus = RedisBus(url)
    return bus.server, bus


def choose_provider(settings: Settings) -> Provider:
    """Return the configured model, or the offline model when none is configured."""
    if settings.openai_api_key is None and settings.openai_base_url is None:
        return OfflineModel()
    from app.brain.openai import OpenAiModel  # late: importing the SDK takes half a second

    return OpenAiModel(
        api_key=settings.openai_api_key or "none",
        base_url=settings.openai_base_url,
        model=settings.openai_model,
    )


@contextlib.contextmanager
def _connected_signals(components: Components) -> Iterator[None]:
    """Connect the signals sent after commits to their receivers in this and other processes."""
    hubs, runner = components.hubs, components.runner
    generation_worker = components.generation_worker
    receivers: list[tuple[type[Any], Callable[[Any], None]]] = [
        (RunQueued, lambda _: runner.wake()),
        (GenerationQueued, lambda _: generation_worker.wake()),
        (CancelRequested, lambda message: runner.cancel(message.run_id)),
        (AccessRevoked, lambda message: hubs.recheck_user(message.user_id)),
    ]
    signals = components.database.signals
    disconnects = [signals.connect(LogGrew, components.waiting.log_grew)]
    for kind, receive in receivers:
        disconnects += [
            signals.connect(kind, receive),
            signals.connect(kind, hubs.broadcast),
            hubs.received.connect(kind, receive),
        ]
    try:
        yield
    finally:
        for disconnect in disconnects:
            disconnect()


@contextlib.contextmanager
def _closing_streams_on_signal(hubs: Hubs, waiting: Waiting) -> Iterator[None]:
    """Close streams and waiting requests at SIGTERM or SIGINT.

    Uvicorn waits for open connections to end before it shuts the app down.
    """
    loop = asyncio.get_running_loop()
    replaced: dict[int, Any] = {}

    def close() -> None:
        hubs.close()
        waiting.close()

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(close)
        replaced[number](number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        if callable(handler):
            replaced[number] = handler
            signal.signal(number, handle)
    try:
        yield
    finally:
        for signum, previous in replaced.items():
            signal.signal(signum, previous)
