"""Transactions and the pool, against what PostgreSQL, the network and cancellation do to them."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.problems import DatabaseError, ServiceUnavailable
from app.store import engine
from app.store.engine import DB, Tx, reading, retrying, transaction
from app.store.tasks import spawn
from tests.fault_proxy import FaultProxy

pytestmark = pytest.mark.usefixtures("pool")

DEFERRED = """
    create temporary table if not exists pair (a int primary key, b int,
        unique (b) deferrable initially deferred)
"""


@pytest.fixture
async def counter() -> AsyncIterator[None]:
    async with transaction() as tx:
        await tx.execute("create table counter (n int not null)")
        await tx.execute("insert into counter values (0)")
    yield
    async with transaction() as tx:
        await tx.execute("drop table counter")


async def count() -> int:
    return int(await DB.fetchval("select n from counter"))


def all_idle() -> bool:
    return DB.live_pool.get_idle_size() == DB.live_pool.get_size()


async def test_a_commit_that_fails_gives_its_connection_back() -> None:
    """M3: Piccolo's own transaction leaks it, and the pool runs dry."""
    for _ in range(30):  # more than the pool holds
        with pytest.raises(asyncpg.UniqueViolationError):
            async with transaction() as tx:
                await tx.execute(DEFERRED)
                await tx.execute("insert into pair values (1, 1), (2, 1)")
    assert all_idle()


async def test_piccolos_transaction_gives_its_connection_back_too() -> None:
    """M3, for whoever uses Piccolo's queries."""
    for _ in range(30):
        with pytest.raises(asyncpg.UniqueViolationError):
            async with DB.transaction() as piccolo:
                await piccolo.connection.execute(DEFERRED)
                await piccolo.connection.execute("insert into pair values (1, 1), (2, 1)")
    assert all_idle()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancelled_transaction_rolls_back_and_gives_its_connection_back(
    counter: None, times: int
) -> None:
    """M3: once while a statement runs, and once more while it rolls back."""
    for _ in range(25):
        inside = asyncio.Event()

        async def work(inside: asyncio.Event = inside) -> None:
            async with transaction() as tx:
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


async def test_work_that_is_spawned_inside_a_transaction_is_not_part_of_it(counter: None) -> None:
    """M4: a task that inherits Piccolo's transaction breaks both itself and its parent."""

    async def own_work() -> int:
        return int(await DB.fetchval("select n from counter"))

    async with DB.transaction() as piccolo:
        await piccolo.connection.execute("update counter set n = 7")
        seen = await spawn(own_work(), name="own work")
        assert DB.current_transaction.get() is not None
    assert seen == 0
    assert await count() == 7


async def test_what_waits_for_the_commit_runs_after_it_and_only_after_it(counter: None) -> None:
    told: list[str] = []
    with pytest.raises(RuntimeError):
        async with transaction() as tx:
            tx.after_commit.append(lambda: told.append("never"))
            raise RuntimeError
    async with transaction() as tx:
        with pytest.raises(RuntimeError):
            async with tx.savepoint():
                tx.after_commit.append(lambda: told.append("undone"))
                raise RuntimeError
        tx.after_commit.append(lambda: told.append("done"))
        assert told == []
    assert told == ["done"]


class Proxied:
    """The engine behind a bad network."""

    def __init__(self, proxy: FaultProxy, pool: asyncpg.Pool) -> None:
        self.proxy, self.pool = proxy, pool


@pytest.fixture
async def proxied(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultProxy]:
    """The app's pool, for the length of a test, through a proxy that can misbehave."""
    parts = urlsplit(database_url)
    assert parts.hostname
    assert parts.port
    async with FaultProxy(parts.hostname, parts.port).running() as proxy:
        dsn = database_url.replace(f":{parts.port}/", f":{proxy.port}/")
        async with asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=4,
            command_timeout=1.0,
            timeout=1.0,
            server_settings={
                **engine.SERVER_SETTINGS,
                "idle_in_transaction_session_timeout": "700ms",
            },
            init=engine.prepare,
            reset=engine.keep_session,
        ) as pool:
            monkeypatch.setattr(DB, "pool", pool)
            monkeypatch.setattr(engine, "ACQUIRE", 1.0)
            monkeypatch.setattr(engine, "COMMAND", 1.0)
            yield proxy
            proxy.hold = False


async def test_a_commit_whose_answer_is_lost_is_an_error_that_may_have_happened(
    counter: None, proxied: FaultProxy, database_url: str
) -> None:
    """M5: the row has the new value although the caller saw a failure: only a key can tell."""

    async def lose(tx: Tx) -> None:
        await tx.execute("update counter set n = n + 1")
        proxied.cut_after = 0

    with pytest.raises(DatabaseError) as caught:
        async with transaction() as tx:
            await lose(tx)
    assert caught.value.retryable
    assert caught.value.retry_after
    assert await retrying(count) == 1


async def test_a_network_that_swallows_everything_ends_in_an_error_not_in_a_hang(
    counter: None, proxied: FaultProxy
) -> None:
    """M6: without a command timeout a statement waits for ever."""
    assert await count() == 0
    proxied.hold = True
    async with asyncio.timeout(10):
        with pytest.raises((DatabaseError, ServiceUnavailable)):
            await count()
    proxied.hold = False
    assert await retrying(count) == 0


async def test_a_partitioned_client_loses_its_locks(
    counter: None, proxied: FaultProxy, database_url: str
) -> None:
    """M6: the server ends a transaction whose client is silent, so that others may go on."""
    with pytest.raises((DatabaseError, ServiceUnavailable)):
        async with transaction() as tx:
            await tx.execute("update counter set n = 99")
            proxied.hold = True
            direct = await asyncpg.connect(database_url)
            async with asyncio.timeout(8):
                await direct.execute("update counter set n = 1")
            await direct.close()
    proxied.hold = False
    assert await retrying(count) == 1


async def test_a_pool_that_is_used_up_answers_instead_of_waiting_for_ever(
    proxied: FaultProxy,
) -> None:
    async def sleep() -> None:
        async with reading() as reader:
            await reader.fetchval("select pg_sleep(0.9)")

    sleepers = [asyncio.create_task(sleep()) for _ in range(12)]
    await asyncio.sleep(0)  # they queue before us
    with pytest.raises(ServiceUnavailable) as caught:
        await DB.fetchval("select 1")
    assert caught.value.retry_after
    await asyncio.gather(*sleepers, return_exceptions=True)


async def test_a_server_that_closes_the_connection_is_an_error_that_may_be_tried_again(
    counter: None, proxied: FaultProxy, database_url: str
) -> None:
    with pytest.raises(DatabaseError):
        async with transaction() as tx:
            pid = await tx.fetchval("select pg_backend_pid()")
            direct = await asyncpg.connect(database_url)
            await direct.execute("select pg_terminate_backend($1)", pid)
            await direct.close()
            await tx.execute("update counter set n = 5")
    assert await retrying(count) == 0
