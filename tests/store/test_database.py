"""Transactions and the pool under faults of PostgreSQL and the network, and cancellations."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.problems import DatabaseError, ServiceUnavailable
from app.store.database import SERVER_SETTINGS, Database
from tests.harness.database import DB
from tests.harness.proxies import FaultProxy

pytestmark = pytest.mark.usefixtures("pool")

DEFERRED = """
    create temporary table if not exists pair (a int primary key, b int,
        unique (b) deferrable initially deferred)
"""


@pytest.fixture
async def counter() -> AsyncIterator[None]:
    async with DB.transaction() as tx:
        await tx.execute("create table counter (n int not null)")
        await tx.execute("insert into counter values (0)")
    yield
    async with DB.transaction() as tx:
        await tx.execute("drop table counter")


async def count() -> int:
    return int(await DB.fetchval("select n from counter"))


def all_idle() -> bool:
    return DB.pool.get_idle_size() == DB.pool.get_size()


async def test_a_failed_commit_releases_its_connection() -> None:
    """Piccolo's own transaction leaks it, so that the pool runs out of connections."""
    for _ in range(30):  # more than the size of the pool
        with pytest.raises(asyncpg.UniqueViolationError):
            async with DB.transaction() as tx:
                await tx.execute(DEFERRED)
                await tx.execute("insert into pair values (1, 1), (2, 1)")
    assert all_idle()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancelled_transaction_rolls_back_and_releases_its_connection(
    counter: None, times: int
) -> None:
    """It is cancelled while a statement runs, and again while it rolls back."""
    for _ in range(25):
        inside = asyncio.Event()

        async def work(inside: asyncio.Event = inside) -> None:
            async with DB.transaction() as tx:
                await tx.execute("update counter set n = n + 1")
                inside.set()
                await tx.execute("select pg_sleep(30)")

        task = asyncio.create_task(work())
        await inside.wait()
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await count() == 0
    async with asyncio.timeout(20):
        while not all_idle():
            await asyncio.sleep(0.01)


async def test_callbacks_run_after_the_commit_and_only_then(counter: None) -> None:
    called: list[str] = []
    with pytest.raises(RuntimeError):
        async with DB.transaction() as tx:
            tx.after_commit.append(lambda: called.append("never"))
            raise RuntimeError
    async with DB.transaction() as tx:
        with pytest.raises(RuntimeError):
            async with tx.savepoint():
                tx.after_commit.append(lambda: called.append("undone"))
                raise RuntimeError
        tx.after_commit.append(lambda: called.append("done"))
        assert called == []
    assert called == ["done"]


class Proxied:
    """A database behind a proxy that injects network faults."""

    def __init__(self, proxy: FaultProxy, database: Database) -> None:
        self.proxy, self.database = proxy, database

    async def count(self) -> int:
        """Read the counter; retry while the pool still has connections that the fault broke."""
        for _ in range(3):
            try:
                return int(await self.database.fetchval("select n from counter"))
            except (DatabaseError, ServiceUnavailable):
                await asyncio.sleep(0.1)
        return int(await self.database.fetchval("select n from counter"))


@pytest.fixture
async def proxied(database_url: str) -> AsyncIterator[Proxied]:
    parts = urlsplit(database_url)
    assert parts.hostname
    assert parts.port
    settings = {**SERVER_SETTINGS, "idle_in_transaction_session_timeout": "700ms"}
    database = Database(acquire=1.0, command=1.0, settings=settings)
    async with FaultProxy(parts.hostname, parts.port).running() as proxy:
        dsn = database_url.replace(f":{parts.port}/", f":{proxy.port}/")
        async with database.opened(dsn, connections=4):
            yield Proxied(proxy, database)
            proxy.hold = False


async def test_a_commit_whose_answer_is_lost_is_an_error_with_unknown_outcome(
    counter: None, proxied: Proxied, database_url: str
) -> None:
    """The row has the new value although the call failed: only an idempotency key can tell."""

    with pytest.raises(DatabaseError) as caught:
        async with proxied.database.transaction() as tx:
            await tx.execute("update counter set n = n + 1")
            proxied.proxy.cut_after = 0
    assert caught.value.retryable
    assert caught.value.retry_after
    assert await proxied.count() == 1


async def test_a_network_that_drops_every_packet_is_an_error_and_no_hang(
    counter: None, proxied: Proxied
) -> None:
    """Without a command timeout a statement waits forever."""
    assert await proxied.count() == 0
    proxied.proxy.hold = True
    async with asyncio.timeout(10):
        with pytest.raises((DatabaseError, ServiceUnavailable)):
            await proxied.database.fetchval("select n from counter")
    proxied.proxy.hold = False
    assert await proxied.count() == 0


async def test_a_partitioned_client_loses_its_locks(
    counter: None, proxied: Proxied, database_url: str
) -> None:
    """The server ends the transaction of an unreachable client and releases its locks."""
    with pytest.raises((DatabaseError, ServiceUnavailable)):
        async with proxied.database.transaction() as tx:
            await tx.execute("update counter set n = 99")
            proxied.proxy.hold = True
            direct = await asyncpg.connect(database_url)
            async with asyncio.timeout(8):
                await direct.execute("update counter set n = 1")
            await direct.close()
    proxied.proxy.hold = False
    assert await proxied.count() == 1


async def test_an_exhausted_pool_fails_instead_of_waiting_forever(
    proxied: Proxied,
) -> None:
    async def sleep() -> None:
        async with proxied.database.reading() as reader:
            await reader.fetchval("select pg_sleep(0.9)")

    sleepers = [asyncio.create_task(sleep()) for _ in range(12)]
    await asyncio.sleep(0)  # they are queued first
    with pytest.raises(ServiceUnavailable) as caught:
        await proxied.database.fetchval("select 1")
    assert caught.value.retry_after
    await asyncio.gather(*sleepers, return_exceptions=True)


async def test_a_connection_closed_by_the_server_is_a_retryable_error(
    counter: None, proxied: Proxied, database_url: str
) -> None:
    with pytest.raises(DatabaseError):
        async with proxied.database.transaction() as tx:
            pid = await tx.fetchval("select pg_backend_pid()")
            direct = await asyncpg.connect(database_url)
            await direct.execute("select pg_terminate_backend($1)", pid)
            await direct.close()
            await tx.execute("update counter set n = 5")
    assert await proxied.count() == 0
