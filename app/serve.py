"""`reelroom serve`: its socket, its processes, and the line that says it is ready."""

import asyncio
import gc
import importlib
import importlib.util
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from app.prepare import DatabaseAway, Refused, database, prepare
from app.settings import WORKERS_MOST, Settings

GRACE = 4  # seconds that requests under way get at shutdown; runs get some more after them
LEAVE = 12.0  # seconds after which a worker whose parent died ends in any case
FRAME_MOST = 64 * 1024  # bytes of a WebSocket frame from a client
AGAIN = 1.0  # seconds between two looks for a database that is away
COLLECT = 5_000, 20, 20  # new objects, and passes over young ones, between two collections
logger = logging.getLogger(__name__)

READY = "Reelroom is ready: {url}"
LINK = "Log in once: {url}"


def serve(settings: Settings, *, workers: int, run_jobs: bool) -> None:
    """Serve until SIGTERM or SIGINT. Raises `Refused`, `EmbeddedError` or `MigrationError`."""
    _check(settings, workers, run_jobs)
    migrates = settings.database_url is None or settings.loopback
    with _listener(settings) as listener:
        url = f"http://{_shown(settings.host)}:{listener.getsockname()[1]}"
        early = threading.Thread(target=_import_early, daemon=True)
        early.start()
        service = Service(listener, url, run_jobs=run_jobs, migrates=migrates)
        with database(settings, service) as ready:
            early.join()  # two threads must not import what imports itself in a circle
            service.prepare(ready)
            if workers > 1:
                service.run_many(workers)
            else:
                service.run_one()


def _check(settings: Settings, workers: int, run_jobs: bool) -> None:
    if not 1 <= workers <= WORKERS_MOST:
        raise Refused(f"--workers takes 1 to {WORKERS_MOST}.")
    if settings.redis_url is None:
        if workers > 1:
            raise Refused(
                f"{workers} workers need REDIS_URL: without Redis one process can't tell another"
                " what it does. Set REDIS_URL, or run one worker."
            )
        if not run_jobs:
            raise Refused("--no-runs needs REDIS_URL: the runs would be worked on elsewhere.")


def _import_early() -> None:
    """While PostgreSQL starts we wait anyway."""
    for name in (
        "app.main",
        "app.store.migration",
        "uvicorn.lifespan.on",
    ):
        importlib.import_module(name)


class Service:
    """One listening socket, the database behind it, and the processes that serve both."""

    _settings: Settings

    def __init__(
        self, listener: socket.socket, url: str, *, run_jobs: bool, migrates: bool
    ) -> None:
        self.url = url
        self._listener = listener
        self._run_jobs = run_jobs
        self._migrates = migrates
        self._prepared = False
        self._link: str | None = None
        self._failure: Exception | None = None
        self._leave: Callable[[], None] | None = None

    def fail(self, failure: Exception) -> None:
        """End the service, and raise this where it was run."""
        self._failure = failure
        if self._leave:
            self._leave()

    def prepare(self, settings: Settings) -> None:
        """Bring the schema up to date and make a login link; later, if the database is away."""
        self._settings = settings
        try:
            self._link = asyncio.run(prepare(self._settings, migrates=self._migrates))
            self._prepared = True
        except DatabaseAway as error:
            print(f"reelroom: {error}; it is asked again until it does", file=sys.stderr)

    def run_one(self) -> None:
        """Serve in this process."""
        import uvicorn

        from app.logs import set_up
        from app.main import create_app
        from app.store.concurrency import spawn

        set_up(self._settings.log_level)
        service = self

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                settle()
                service._say_ready()
                if not service._prepared:
                    spawn(service._prepare_later(), name="prepare the database")

            async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
                await super().shutdown(sockets)
                if self.force_exit:  # a second Ctrl-C hurries requests, but leases are given back
                    await self.lifespan.shutdown()

            def leave(self) -> None:
                self.should_exit = True

        server = Server(
            _config(self._settings, create_app(self._settings, run_jobs=self._run_jobs))
        )
        self._leave = server.leave
        self._raise_failure()
        server.run(sockets=[self._listener])
        self._raise_failure()

    def run_many(self, workers: int) -> None:
        """Serve in several processes, which are started again when they die."""
        from uvicorn.config import STARTUP_FAILURE

        from app.logs import set_up
        from app.supervisor import Supervisor

        set_up(self._settings.log_level)
        self._settings.hand_down()
        factory = "app.serve:worker_app" if self._run_jobs else "app.serve:web_worker_app"
        config = _config(self._settings, factory, factory=True, workers=workers)
        supervisor = Supervisor(config, [self._listener])
        self._leave = supervisor.should_exit.set
        self._raise_failure()
        threading.Thread(target=self._watch_many, args=[supervisor], daemon=True).start()
        supervisor.run()
        self._raise_failure()
        if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
            raise Refused("the server did not start; its log says why")

    def _watch_many(self, supervisor: Any) -> None:
        while not supervisor.should_exit.is_set():
            try:
                with urllib.request.urlopen(self.url + "/health/live", timeout=1):
                    break
            except OSError:
                time.sleep(0.05)
        else:
            return
        self._say_ready()
        if not self._prepared:
            asyncio.run(self._prepare_later())

    def _say_ready(self) -> None:
        print(READY.format(url=self.url + (self._link or "/")), flush=True)

    async def _prepare_later(self) -> None:
        """Ask the database until it answers; end when it turns out to be of no use."""
        while True:
            await asyncio.sleep(AGAIN)
            try:
                link = await prepare(self._settings, migrates=self._migrates)
            except DatabaseAway:
                continue
            except Exception as failure:  # noqa: BLE001  raised again where the process ends
                self.fail(failure)
                return
            if link:
                print(LINK.format(url=self.url + link), flush=True)
            return

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


@contextmanager
def _listener(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # Python adds the address again
        raise Refused(f"can't listen on {settings.host}:{settings.port}: {reason}") from error
    with listener:
        listener.set_inheritable(True)
        yield listener


def _shown(host: str) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _config(settings: Settings, app: Any, **more: Any) -> Any:
    import uvicorn

    http, ws = _protocols()
    return uvicorn.Config(
        app,
        http=cast(Any, http),
        ws=cast(Any, ws),
        ws_max_size=FRAME_MOST,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=GRACE,
        proxy_headers=bool(settings.allowed_origins),
        server_header=False,
        access_log=False,
        log_config=None,
        **more,
    )


def _protocols() -> tuple[str, str]:
    """Choose uvicorn's protocol classes: ours for the versions that they were tested with.

    Without the accelerated ones events are delivered through ASGI, which is correct and slower.
    """
    plain = ("app.http.connection:Connection", "websockets-sansio")
    if importlib.util.find_spec("app.realtime.accelerated") is None:
        logger.info("events are delivered through ASGI: the accelerated delivery is not installed")
        return plain
    from app.realtime.accelerated.versions import untested

    if others := untested():
        logger.warning(
            "events are delivered through ASGI and the limits of request heads are off: not tested"
            " with %s", ", ".join(others),
        )  # fmt: skip
        return "httptools", "websockets-sansio"
    protocols = "app.realtime.accelerated.protocols"
    return f"{protocols}:AcceleratedHttpProtocol", f"{protocols}:AcceleratedWebSocketProtocol"


def worker_app() -> Any:
    """The app of one process among several."""
    return _app_of_worker(run_jobs=True)


def web_worker_app() -> Any:
    """The same, with the runs left to `reelroom worker`."""
    return _app_of_worker(run_jobs=False)


def _app_of_worker(*, run_jobs: bool) -> Any:
    from app.logs import set_up
    from app.main import create_app

    settings = Settings.read()
    set_up(settings.log_level)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for our parent, who then tells us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    app = create_app(settings, run_jobs=run_jobs)
    settle()
    return app


def settle() -> None:
    """Have the garbage collector let be what lives as long as the process, and look less often.

    Its passes over everything would cost a herd of new connections a sixth of their time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)


def _end_with_parent() -> None:
    """A worker whose parent was killed ends like one that was told to."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LEAVE)
    os._exit(1)
