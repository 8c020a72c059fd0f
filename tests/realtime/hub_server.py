"""A small app around the real log and hubs, and projects whose log grows."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Litestar, Request, WebSocket, get, websocket
from litestar.params import FromPath, FromQuery
from litestar.response import Response

from app.problems import Problem
from app.realtime import log
from app.realtime.bus.messages import Bus, LogHint
from app.realtime.encoding import durable_event
from app.realtime.events import Cursor, LiveEvent
from app.realtime.hub import EncodedSnapshot, Hub
from app.realtime.hubs import Hubs
from app.realtime.limits import Limits
from app.realtime.live import LiveRun, LiveRuns
from app.realtime.log import LogGrew
from app.realtime.subscription import Subscriber, Subscription
from app.realtime.transports.long_poll import Changes, PollReader, changes
from app.realtime.transports.sse import EventStream, last_event_id, stream_project, stream_run
from app.realtime.transports.websocket import refuse, serve_socket
from app.signals import Signals
from app.store.ids import new_id
from tests.harness.database import DB
from tests.harness.in_process import WS_PING_SECONDS, Delivery, serving

USER = "user 1"
open_processes: list["Process"] = []  # the processes that serve now
NO_HEAD_CHECK = Limits(head_check=3600.0)  # a hub learns of commits from hints alone


class Project:
    """A project that consists of its log alone."""

    def __init__(self, project_id: str, epoch: str) -> None:
        self.id = project_id
        self.epoch = epoch

    def cursor(self, revision: int) -> str:
        return f"{self.epoch}.{revision}"

    async def commit(self, *events: tuple[str, Any] | tuple[str, Any, str]) -> int:
        """Commit events in one transaction; return the last revision."""
        async with DB.transaction() as tx:
            async with log.changing(tx, self.id, actor_id=USER, request_id="test") as change:
                for kind, data, *run in events:
                    change.emit(kind, data, run_id=run[0] if run else None)
        return change.revision

    async def note(self, text: str = "", size: int = 1) -> int:
        """Commit `size` events without a meaning in one transaction."""
        return await self.commit(*[("scene.updated", {"text": text, "n": n}) for n in range(size)])

    async def head(self) -> int:
        head = await log.head_of(DB, self.id)
        assert head
        return head.revision

    async def logged(self) -> list[tuple[int, Any]]:
        """What the log holds: each revision with its data."""
        rows = await DB.fetch(
            "select revision, payload from project_event where project_id = $1 order by revision",
            self.id,
        )
        return [(row["revision"], row["payload"]) for row in rows]


async def open_project() -> Project:
    """A new project without events."""
    project = Project(new_id(), log.new_epoch())
    async with DB.transaction() as tx:
        await tx.execute(
            "insert into user_account (id, name) values ($1, 'A') on conflict do nothing", USER
        )
        await tx.execute(
            "insert into project (id, owner_id, title, epoch, request_id)"
            " values ($1::uuid, $2, $1::text, $3, 'test')",
            project.id,
            USER,
            project.epoch,
        )
    return project


class Turn:
    """A run that publishes what a worker would, in one process."""

    def __init__(self, project: Project, hubs: Hubs) -> None:
        self.project, self.hubs = project, hubs
        self.id, self.message_id = new_id(), new_id()
        self.attempt = 1
        self.after = 0
        self.live_run = LiveRun(
            run_id=self.id, request_id="test", actor_id=USER, attempt=1, run=self.run()["run"],
            message_id=self.message_id,
        )  # fmt: skip

    def run(self, status: str = "running") -> dict[str, Any]:
        return {
            "run": {
                "id": self.id,
                "status": status,
                "attempt": self.attempt,
                "assistantMessageId": self.message_id,
            }
        }

    async def queue(self) -> None:
        self.after = await self.project.commit(
            ("message.created", {"message": {"id": self.message_id}}, self.id),
            ("run.queued", self.run("queued"), self.id),
        )

    async def durable(self, kind: str, data: Any) -> int:
        self.after = await self.project.commit((kind, data, self.id))
        return self.after

    async def start(self) -> None:
        await self.queue()
        await self.durable("run.started", self.run())
        await self.durable("brain.decision", {"decision": {"toolName": "addScene"}})

    async def call(self, call_id: str, step: int = 1) -> None:
        await self.durable(
            "tool.started", {"callId": call_id, "toolName": "addScene", "step": step, "steps": 1}
        )

    async def finish(self, status: str = "succeeded") -> int:
        done = await self.durable("run.finished", self.run(status))
        self.hubs.forget_run(self.id)
        return done

    def live(self, kind: str, data: Any) -> None:
        self.live_run.attempt = self.attempt
        if kind == "run.progress":
            self.live_run.set_progress(data)
        self.hubs.publish_live(
            LiveEvent(
                type=kind,
                project_id=self.project.id,
                run_id=self.id,
                request_id="test",
                actor_id=USER,
                at=datetime.now(UTC),
                data=data,
                attempt=self.attempt,
                after=self.after,
            ),
            self.live_run,
        )

    def write(self, text: str, call_id: str | None = None) -> None:
        """Publish a delta of the message, or of a call's code."""
        if call_id and call_id not in self.live_run.calls:
            self.live_run.open_call({"callId": call_id, "toolName": "addScene"})
        grown = self.live_run.calls[call_id].code if call_id else self.live_run.message
        name, kind = ("callId", "code.delta") if call_id else ("messageId", "message.delta")
        data = {name: call_id or self.message_id, "offset": grown.offset, "text": text}
        grown.append(text)
        self.live(kind, data)


async def snapshot(project_id: str) -> EncodedSnapshot:
    async with DB.reading(snapshot=True) as tx:
        head = await log.head_of(tx, project_id)
        assert head
        count = await tx.fetchval(
            "select count(*) from project_event where project_id = $1", project_id
        )
    data = {"cursor": str(Cursor(*head)), "revision": head.revision, "events": count}
    return EncodedSnapshot(head.epoch, head.revision, msgspec.json.encode(data))


async def running(project_id: str) -> list[LiveRun]:
    """The turns that run now, as the log has them."""
    fold = LiveRuns(project_id)
    after = 0
    while rows := await log.read(DB, project_id, after):
        for row in rows:
            fold.apply(durable_event(project_id, row))
        after = rows[-1].revision
    return list(fold.runs.values())


class Notice(msgspec.Struct, frozen=True):
    """A broadcast that only the tests send."""

    text: str


class Process:
    """Hubs, an app around them, and its address, as one process of a server has them.

    `valid` is the result of rechecking any subscriber's rights, unless `recheck_error` is raised.
    """

    def __init__(self, bus: Bus, limits: Limits | None, receives_commits: bool) -> None:
        self._signals = Signals()
        self.receives_commits = receives_commits
        self.hubs = Hubs(
            DB, bus, snapshot, running, broadcasts=[Notice], limits=limits, signals=self._signals
        )
        self._bus = bus
        self.address = ""
        self.valid = True
        self.recheck_error: Exception | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve the hubs; commits of this process reach them while `receives_commits` holds."""

        def forward(grown: LogGrew) -> None:
            if self.receives_commits:
                self._signals.send(grown)

        disconnect = DB.signals.connect(LogGrew, forward)
        try:
            async with self.hubs.serving():
                yield
        finally:
            disconnect()

    @contextmanager
    def missing_commits(self) -> Iterator[None]:
        """Within the block, commits count as another process's whose hints are lost."""
        self.receives_commits = False
        try:
            yield
        finally:
            self.receives_commits = True

    def hint(self, project_id: str, revision: int, rows: Sequence[log.Row] = ()) -> None:
        """Deliver a hint as a commit of this process, or a message of the bus, does."""
        if hub := self.hubs._hubs.get(project_id):
            hub.hint(revision, rows)
        self._bus.publish(project_id, LogHint(revision))

    def hub(self, project_id: str) -> Hub:
        """The hub of a project, created if there is none."""
        return self.hubs._hub(project_id)

    def has_hub(self, project_id: str) -> bool:
        """Whether this process holds a hub for the project now."""
        return project_id in self.hubs._hubs

    @contextmanager
    def missing_live_events(self, project_id: str) -> Iterator[None]:
        """Within the block, live events are lost before they reach the hub."""
        hub = self.hubs._hubs.pop(project_id)
        try:
            yield
        finally:
            self.hubs._hubs[project_id] = hub

    def lose_messages(self) -> None:
        """Report, as the bus does, that messages may have been lost."""
        self.hubs._on_loss()

    @property
    def subscriptions(self) -> list[Subscription]:
        """The open subscriptions, in no particular order."""
        return list(self.hubs._subscriptions)

    @property
    def readers(self) -> int:
        """How many subscriptions and long polls are open."""
        return len(self.hubs._subscriptions) + len(self.hubs._readers)

    @property
    def waiting_polls(self) -> int:
        """How many long polls wait for an event."""
        readers = [one for one in self.hubs._readers if isinstance(one, PollReader)]
        return sum(one._waiter is not None for one in readers)

    @property
    def sockets(self) -> str:
        return self.address.replace("http", "ws", 1)

    def subscriber(self, request: Any) -> Subscriber:
        query = request.query_params

        async def recheck() -> bool:
            if self.recheck_error:
                raise self.recheck_error
            return self.valid

        seen = query.get("seen")
        return Subscriber(
            user_id=query.get("user", USER),
            role=query.get("role", "owner"),
            seen=Cursor.parse(seen) if seen else None,
            recheck=recheck,
        )

    def app(self) -> Litestar:
        @get("/p/{project_id:str}/events")
        async def events(
            request: Request[Any, Any, Any],
            project_id: FromPath[str],
            after: FromQuery[str | None] = None,
        ) -> EventStream:
            cursor = last_event_id(request.scope, after)
            return await stream_project(
                self.hubs, project_id, self.subscriber(request), after=cursor
            )

        @get("/p/{project_id:str}/runs/{run_id:str}/events")
        async def run_events(
            request: Request[Any, Any, Any],
            project_id: FromPath[str],
            run_id: FromPath[str],
            after: FromQuery[str | None] = None,
            begun: FromQuery[int | None] = None,
        ) -> EventStream:
            cursor, subscriber = last_event_id(request.scope, after), self.subscriber(request)
            return await stream_run(
                self.hubs, project_id, run_id, subscriber, after=cursor, begun=begun
            )

        @get("/p/{project_id:str}/changes")
        async def poll(
            request: Request[Any, Any, Any],
            project_id: FromPath[str],
            after: FromQuery[str | None] = None,
            limit: FromQuery[int] = 200,
            wait: FromQuery[float] = 0,
        ) -> Changes:
            return await changes(
                self.hubs, project_id, self.subscriber(request), after=after, limit=limit, wait=wait
            )

        @websocket("/p/{project_id:str}/socket")
        async def socket(socket: WebSocket[Any, Any, Any], project_id: FromPath[str]) -> None:
            if project_id == "foreign":
                await refuse(socket)
            else:
                await serve_socket(self.hubs, socket, project_id, self.subscriber(socket))

        @get("/health")
        async def health() -> str:
            return "ok"

        return Litestar(
            [events, run_events, poll, socket, health],
            exception_handlers={Problem: _problem},
            openapi_config=None,
            logging_config=None,
        )


def _problem(_: Any, problem: Problem) -> Response[Any]:
    return Response({"code": problem.code}, status_code=problem.status)


NewProcess = Callable[..., AbstractAsyncContextManager[Process]]
TwoProcesses = Callable[..., AbstractAsyncContextManager[tuple[Process, Process]]]


@asynccontextmanager
async def serving_hubs(
    bus: Bus,
    limits: Limits | None = None,
    *,
    delivery: Delivery,
    receives_commits: bool = True,
    ws_ping: float = WS_PING_SECONDS,
) -> AsyncIterator[Process]:
    """Run a process that serves; without `receives_commits` only its bus brings it hints.

    `ws_ping`: seconds, see `tests.harness.in_process.serving`.
    """
    one = Process(bus, limits, receives_commits)
    async with one.serving():
        async with serving(one.app(), delivery=delivery, ws_ping=ws_ping) as address:
            one.address = address
            open_processes.append(one)
            try:
                yield one
            finally:
                open_processes.remove(one)
                one.hubs.close()
