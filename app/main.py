"""Builds the app: the one place that knows every slice."""

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
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ASGIApp

from app.auth.credentials import Credentials
from app.auth.model import AccessRevoked
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
from app.http.policy import CREDENTIALS, check_routes, require_access
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

log = logging.getLogger(__name__)

OPENAPI = OpenAPIConfig(
    title="Reelroom",
    version="1",
    openapi_router=Router(
        "/schema", route_handlers=[], opt={"access": "public", "operation": "schema.read"}
    ),
    render_plugins=[JsonRenderPlugin()],
    use_handler_docstrings=True,
)


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What lives as long as the process does.

    `opens` is False when the database was given: then whoever gave it opens and closes it.
    """

    settings: Settings
    database: Database
    opens: bool
    credentials: Credentials
    redis: Any
    hubs: Hubs
    provider: Any
    runner: Runner
    generation_worker: GenerationWorker
    waiting: Waiting


def make_parts(
    settings: Settings, database: Database | None = None, limits: Limits | None = None
) -> Parts:
    redis, bus = _over_redis(settings.redis_url) if settings.redis_url else (None, LocalBus())
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
    return Parts(
        settings=settings,
        database=db,
        opens=database is None,
        credentials=Credentials(db, settings),
        redis=redis,
        hubs=hubs,
        provider=provider,
        runner=runner,
        generation_worker=GenerationWorker(db, provider),
        waiting=Waiting(db),
    )


@asynccontextmanager
async def living(parts: Parts, *, run_jobs: bool) -> AsyncIterator[None]:
    """The database, the bus and the runner, opened in this order and closed in reverse."""
    settings = parts.settings
    async with AsyncExitStack() as stack:
        if parts.opens:
            if settings.database_url is None:
                raise RuntimeError("DATABASE_URL is needed here; `reelroom serve` brings its own")
            await stack.enter_async_context(
                parts.database.opened(
                    settings.database_url, connections=settings.database_connections
                )
            )
        stack.push_async_callback(parts.provider.close)
        await stack.enter_async_context(parts.hubs.serving())
        stack.enter_context(_connected_signals(parts))
        if run_jobs:
            await stack.enter_async_context(parts.generation_worker.running())
            await stack.enter_async_context(parts.runner.running())
        yield


def create_app(
    settings: Settings | None = None,
    *,
    database: Database | None = None,
    run_jobs: bool = True,
    limits: Limits | None = None,
) -> ASGIApp:
    """Build the whole server as an ASGI app.

    Without `database` the app opens and closes its own, at `settings.database_url`; a given one
    is open for as long as the app is served. `run_jobs=False` leaves the runs to other
    processes. `limits` replace those of the subscriptions. Raises `UndeclaredRoute` when a route
    does not declare what it does and who may call it.
    """
    parts = make_parts(settings or Settings.read(), database, limits)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with living(parts, run_jobs=run_jobs):
            with _ending_answers_at_exit(parts.hubs, parts.waiting):
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
                "settings": parts.settings,
                "db": parts.database,
                "limiter": Limiter(parts.redis),
                "redis": parts.redis,
                "hubs": parts.hubs,
                "accesses": AccessLookups(parts.database),
                CREDENTIALS: parts.credentials,
            }
        ),
        dependencies={
            "caller": Provide(parts.credentials.provide_caller),
            "db": Provide(lambda: parts.database, sync_to_thread=False),
            "waiting": Provide(lambda: parts.waiting, sync_to_thread=False),
            "hubs": Provide(lambda: parts.hubs, sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        openapi_config=OPENAPI,
        logging_config=None,
    )
    check_routes(app)
    return cast(ASGIApp, Guard(Shortcuts(app), parts.settings))


def create_web_app() -> ASGIApp:
    """For a web process whose runs are worked on by `reelroom worker`."""
    return create_app(run_jobs=False)


async def run_worker(settings: Settings) -> None:
    """Work on runs until SIGTERM or SIGINT."""
    parts = make_parts(settings)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    async with living(parts, run_jobs=True):
        log.info("the worker is ready")
        await over.wait()


def _over_redis(url: str) -> tuple[Any, Bus]:
    """What limits and health ask, and the bus."""
    from app.realtime.bus.redis import RedisBus  # late: most servers of one process do without

    bus = RedisBus(url)
    return bus.server, bus


def choose_provider(settings: Settings) -> Provider:
    """The configured model, or the offline one when there is no key."""
    if settings.openai_api_key is None and settings.openai_base_url is None:
        return OfflineModel()
    from app.brain.openai import OpenAiModel  # late: importing the SDK takes half a second

    return OpenAiModel(
        api_key=settings.openai_api_key or "none",
        base_url=settings.openai_base_url,
        model=settings.openai_model,
    )


@contextlib.contextmanager
def _connected_signals(parts: Parts) -> Iterator[None]:
    """Connect what is sent after commits to its receivers, here and in the other processes."""
    hubs, runner, generation_worker = parts.hubs, parts.runner, parts.generation_worker
    receivers: list[tuple[type[Any], Callable[[Any], None]]] = [
        (RunQueued, lambda _: runner.wake()),
        (GenerationQueued, lambda _: generation_worker.wake()),
        (CancelRequested, lambda message: runner.cancel(message.run_id)),
        (AccessRevoked, lambda message: hubs.recheck_user(message.user_id)),
    ]
    signals = parts.database.signals
    disconnects = [signals.connect(LogGrew, parts.waiting.log_grew)]
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
def _ending_answers_at_exit(hubs: Hubs, waiting: Waiting) -> Iterator[None]:
    """End what may stay open at the signal: uvicorn waits for it before it shuts the app down."""
    loop = asyncio.get_running_loop()
    kept: dict[int, Any] = {}

    def close() -> None:
        hubs.close()
        waiting.close()

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(close)
        before = kept[number]
        if callable(before):
            before(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        found = signal.getsignal(number)
        if callable(found):
            kept[number] = found
            signal.signal(number, handle)
    try:
        yield
    finally:
        for kind, handler in kept.items():
            signal.signal(kind, handler)
