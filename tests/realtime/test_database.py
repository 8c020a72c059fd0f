"""PostgreSQL closes connections: streams stay open and receive every committed event."""

import asyncio

import asyncpg
import pytest

from app.problems import Problem
from tests.realtime.clients import events
from tests.realtime.hub_server import Process, Project

pytestmark = pytest.mark.one_delivery

CLOSED = (Problem, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
TERMINATE_CONNECTIONS = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where pid <> pg_backend_pid() and application_name = 'reelroom'
      and datname = current_database()
"""


async def test_killed_connections_lose_nothing(
    database: str, here: Process, project: Project
) -> None:
    admin = await asyncpg.connect(database)
    async with events(here, project) as received, events(here, project) as other:
        await received.ready()
        await other.ready()
        for number in range(60):
            if number % 15 == 7:
                await admin.execute(TERMINATE_CONNECTIONS)
            for _ in range(5):
                try:
                    await project.note(str(number))
                except CLOSED:
                    await asyncio.sleep(0.02)
                    continue
                break
        await admin.execute(TERMINATE_CONNECTIONS)
        while True:
            try:
                head = await project.head()
            except CLOSED:
                await asyncio.sleep(0.02)
                continue
            break
        await received.revision(head, within=3)
        await other.revision(head, within=3)
        assert received.logged == other.logged == await project.logged()
    await admin.close()


async def test_publish_no_commit(here: Process, project: Project) -> None:
    async with events(here, project) as received:
        await received.ready()
        with pytest.raises((TypeError, asyncpg.DataError)):
            await project.commit(("scene.updated", {"a": 1}), ("scene.updated", object()))
        await received.revision(await project.note("after"))
    assert received.logged == [(1, {"text": "after", "n": 0})]
