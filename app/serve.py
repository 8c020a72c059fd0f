"""The command `reelroom serve`: binds the socket, prepares the database and runs the processes."""

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

from app.prepare import CommandError, DatabaseUnavailable, open_database, prepare_database
from app.settings import MAX_WORKERS, Settings

REQUEST_GRACE_SECONDS = 4  # for open requests at shutdown; runs are drained after them
ORPHAN_EXIT_SECONDS = 12.0  # until a worker process whose parent died exits without shutdown
STALLED_CONNECTION_SECONDS = 60  # that a client takes nothing of what was sent, then it is reset
MAX_FRAME_BYTES = 64 * 1024  # of a WebSocket frame from a client
DATABASE_RETRY_SECONDS = 1.0  # between attempts to reach an unavailable database
GC_THRESHOLDS = 5_000, 20, 20  # arguments of `gc.set_threshold`
logger = logging.getLogger(__name__)

READY_MESSAGE = "Reelroom is ready: {url}"
LOGIN_LINK_MESSAGE = "Log in once: {url}"


def serve(settings: Settings, *, workers: int, run_jobs: bool) -> None:
    """Serve until SIGTERM or SIGINT. Raises `CommandError`, `EmbeddedError` or `MigrationError`."""
    _check_options(settings, workers, run_jobs)
    migrates = settings.database_url is None or settings.loopback
    with open_listener(settings) as listener:
        url = f"http://{_client_host(settings.host)}:{listener.getsockname()[1]}"
        preload = threading.Thread(target=_preload_modules, daemon=True)
        preload.start()
        service = Service(listener, url, run_jobs=run_jobs, migrates=migrates)
        with open_database(settings, service) as connected:
            preload.join()  # two threads must not import modules that import each other
            service.prepare(connected)
            if workers > 1:
                service.run_many(workers)
            else:
                service.run_one()


def _check_options(settings: Settings, workers: int, run_jobs: bool) -> None:
    if not 1 <= workers <= MAX_WORKERS:
        raise CommandError(f"--workers takes 1 to {MAX_WORKERS}.")
    if settings.redis_url is None:
        if workers > 1:
            raise CommandError(
                f"{workers} workers need REDIS_URL: processes exchange messages through Redis."
                " Set REDIS_URL, or run one worker."
            )
        if not run_jobs:
            raise CommandError("--no-runs needs REDIS_URL: other processes work on the runs.")


def _preload_modules() -> None:
    """Import the slow modules while PostgreSQL starts."""
    for name in ("app.main", "app.store.migration", "uvicorn.lifespan.on"):
        importlib.import_module(name)


class Service:
    """Serves the app on one listening socket, in this process or in several worker processes."""

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
        self._request_exit: Callable[[], None] | None = None

    def fail(self, failure: Exception) -> None:
        """Shut the service down; `run_one` or `run_many` then raises `failure`."""
        self._failure = failure
        if self._request_exit:
            self._request_exit()

    def prepare(self, settings: Settings) -> None:
        """Prepare the database and create a login link.

        When the database is unavailable, preparation is retried after the server has started.
        """
        self._settings = settings
        try:
            self._link = asyncio.run(prepare_database(self._settings, migrates=self._migrates))
            self._prepared = True
        except DatabaseUnavailable as error:
            print(f"reelroom: {error}; retrying until it does", file=sys.stderr)

    def run_one(self) -> None:
        """Serve in this process."""
        import uvicorn

        from app.logs import configure_logging
        from app.main import create_app
        from app.store.concurrency import spawn

        configure_logging(self._settings.log_level)
        service = self

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                freeze_garbage_collector()
                service._print_ready()
                if not service._prepared:
                    spawn(service._retry_prepare(), name="prepare the database")

            async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
                await super().shutdown(sockets)
                if self.force_exit:  # a second Ctrl-C aborts requests, but leases are released
                    await self.lifespan.shutdown()

            def request_exit(self) -> None:
                self.should_exit = True

        server = Server(
            _config(self._settings, create_app(self._settings, run_jobs=self._run_jobs))
        )
        self._request_exit = server.request_exit
        self._raise_failure()
        server.run(sockets=[self._listener])
        self._raise_failure()

    def run_many(self, workers: int) -> None:
        """Serve in `workers` processes; a process that dies is replaced."""
        from uvicorn.config import STARTUP_FAILURE

        from app.logs import configure_logging
        from app.supervisor import Supervisor

        configure_logging(self._settings.log_level)
        self._settings.export()
        factory = "app.serve:worker_app" if self._run_jobs else "app.serve:web_worker_app"
        config = _config(self._settings, factory, factory=True, workers=workers)
        supervisor = Supervisor(config, [self._listener])
        self._request_exit = supervisor.should_exit.set
        self._raise_failure()
        threading.Thread(target=self._await_workers, args=[supervisor], daemon=True).start()
        supervisor.run()
        self._raise_failure()
        if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
            raise CommandError("the server did not start; see its log")

    def _await_workers(self, supervisor: Any) -> None:
        """Wait until a worker process answers, then print that the server is ready."""
        while not supervisor.should_exit.is_set():
            try:
                with urllib.request.urlopen(self.url + "/health/live", timeout=1):
                    break
            except OSError:
                time.sleep(0.05)
        else:
            return
        self._print_ready()
        if not self._prepared:
            asyncio.run(self._retry_prepare())

    def _print_ready(self) -> None:
        print(READY_MESSAGE.format(url=self.url + (self._link or "/")), flush=True)

    async def _retry_prepare(self) -> None:
        """Retry preparing the database while it is unavailable; any other error is a failure."""
        while True:
            await asyncio.sleep(DATABASE_RETRY_SECONDS)
            try:
                link = await prepare_database(self._settings, migrates=self._migrates)
            except DatabaseUnavailable:
                continue
            except Exception as failure:  # noqa: BLE001  `_raise_failure` raises it
                self.fail(failure)
                return
            if link:
                print(LOGIN_LINK_MESSAGE.format(url=self.url + link), flush=True)
            return

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


@contextmanager
def open_listener(settings: Settings) -> Iterator[socket.socket]:
    """Yield the listening socket. Raises `CommandError` when the address cannot be used."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # Python appends the address
        raise CommandError(f"can't listen on {settings.host}:{settings.port}: {reason}") from error
    with listener:
        listener.set_inheritable(True)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted connections inherit it
            milliseconds = STALLED_CONNECTION_SECONDS * 1000
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        yield listener


def _client_host(host: str) -> str:
    """Return the host of a URL by which a client on this machine reaches a server on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _config(settings: Settings, app: Any, **options: Any) -> Any:
    """Return the configuration of uvicorn with further `options`."""
    import uvicorn

    http, ws = _protocols()
    return uvicorn.Config(
        app,
        http=cast(Any, http),
        ws=cast(Any, ws),
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=REQUEST_GRACE_SECONDS,
        proxy_headers=bool(settings.allowed_origins),
        server_header=False,
        access_log=False,
        log_config=None,
        **options,
    )


def _protocols() -> tuple[str, str]:
    """Return the names of uvicorn's HTTP and WebSocket protocol classes.

    The accelerated classes are used with the versions of uvicorn and its libraries that they were
    tested with. With others, or without them, events are delivered through ASGI, which is slower.
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
    """Return the app of a worker process that also works on runs."""
    return _app_of_worker(run_jobs=True)


def web_worker_app() -> Any:
    """Return the app of a worker process that leaves runs to `reelroom worker`."""
    return _app_of_worker(run_jobs=False)


def _app_of_worker(*, run_jobs: bool) -> Any:
    from app.logs import configure_logging
    from app.main import create_app

    settings = Settings.read()
    configure_logging(settings.log_level)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and sends SIGTERM
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    app = create_app(settings, run_jobs=run_jobs)
    freeze_garbage_collector()
    return app


def freeze_garbage_collector() -> None:
    """Exclude the objects that exist now from garbage collection, and collect less often.

    With the default settings, collections take a sixth of the time in which many clients connect
    at once.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _exit_with_parent() -> None:
    """Wait for the parent process to die, then shut this worker process down."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_EXIT_SECONDS)
    os._exit(1)
