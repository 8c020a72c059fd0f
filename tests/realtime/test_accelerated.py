"""The accelerated delivery is found through the scope, and used only with tested versions."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from app import serve
from app.realtime.accelerated import versions
from app.realtime.bus.local import LocalBus
from app.realtime.transports.sse import EventStreamWriter
from app.realtime.writer import ConnectionListener
from tests.harness.in_process import serving
from tests.harness.waiting import eventually
from tests.realtime.clients import events, socket
from tests.realtime.hub_server import Process, Project, serving_hubs

pytestmark = pytest.mark.one_delivery


def copying(app: Any) -> Callable[..., Any]:
    """A middleware that passes a copy of the scope to the app, as many do."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await app(dict(scope), receive, send)

    return middleware


async def test_a_middleware_that_copies_the_scope_loses_nothing(
    database: str, project: Project
) -> None:
    async with serving_hubs(LocalBus(), delivery="uvicorn") as here:
        async with serving(copying(here.app()), delivery="uvicorn") as address:
            here.address = address
            async with events(here, project) as one, socket(here, project) as (other, _):
                await one.ready()
                await other.ready()
                kinds = {subscription.writer.kind for subscription in here.subscriptions}
                assert kinds == {"uvicorn"}
                for received in (one, other):
                    await received.revision(await project.note())


def test_the_installed_versions_are_those_that_were_tested() -> None:
    assert versions.untested() == []


@pytest.mark.parametrize("library", ["uvicorn", "websockets"])
def test_an_untested_version_is_served_through_asgi_and_named_in_the_log(
    library: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert "accelerated" in serve._protocols()[0]
    monkeypatch.setitem(versions.TESTED_VERSIONS, library, ("0.0.1",))
    with caplog.at_level(logging.WARNING):
        assert serve._protocols() == ("httptools", "websockets-sansio")
    [record] = caplog.records
    assert f"{library} " in record.getMessage()


class Listener(ConnectionListener):
    """Counts the reports of a writer."""

    congested = drained = lost = 0

    def on_congested(self) -> None:
        self.congested += 1

    def on_drained(self) -> None:
        self.drained += 1

    def on_lost(self) -> None:
        self.lost += 1

    def on_shutdown(self) -> None:
        """Nothing: no server stops here."""


async def test_send_runs_in_the_task_of_its_request_even_when_it_waits() -> None:
    """Middleware may use `asyncio.timeout` or anyio, which ask for the current task."""
    free = asyncio.Event()
    sent: list[bytes] = []
    tasks: list[asyncio.Task[Any] | None] = []
    listener = Listener()
    writers: list[EventStreamWriter] = []

    async def send(message: Any) -> None:
        tasks.append(asyncio.current_task())
        async with asyncio.timeout(5):
            await free.wait()
        sent.append(message["body"])

    async def request() -> None:
        writer = EventStreamWriter(send, lambda _: b"")
        writer.open(listener)
        writers.append(writer)
        await free.wait()

    handler = asyncio.create_task(request())
    await eventually(lambda: writers)
    asyncio.get_running_loop().call_soon(writers[0].write, b"one")
    await eventually(lambda: listener.congested == 1)
    writers[0].write(b"two")
    free.set()
    await eventually(lambda: listener.drained == 1)
    await handler
    assert tasks[0] is handler
    assert sent == [b"one", b"two"]
    assert (listener.congested, listener.lost) == (1, 0)


async def test_a_connection_whose_send_fails_is_lost(here: Process) -> None:
    async def send(message: Any) -> None:
        raise OSError("gone")

    listener = Listener()
    writer = EventStreamWriter(send, lambda _: b"")
    writer.open(listener)
    writer.write(b"one")
    assert (listener.congested, listener.lost) == (0, 1)
