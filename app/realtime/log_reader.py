"""How the hubs of a process read the log: what is wanted at once comes with one query."""

import asyncio
from contextlib import AsyncExitStack

from asyncpg import InterfaceError

from app.realtime import log, metrics
from app.realtime.log import Place, Row
from app.store.engine import Tx, reading
from app.store.gather import Gathered
from app.store.tasks import spawn

MANY = 10  # places from which on each is given fewer events at once
FEW = 20  # events, about
LINGER = 0.5  # seconds that a connection is kept for the next read


class LogReader:
    """Pages of the log for many who ask at once.

    One connection of the pool stays ours while there is something to read: taking one and giving
    it back costs four times what such a query does.
    """

    def __init__(self) -> None:
        self._gathered: Gathered[Place, list[Row]] = Gathered("read the log", self._find)
        self._kept: AsyncExitStack | None = None
        self._tx: Tx | None = None
        self._busy = False
        self._used = 0.0

    async def get(self, project_id: str, after: int) -> list[Row]:
        """The next events after a revision, as `log.read`, though perhaps fewer; raises `Problem`.

        Fewer than `FEW` are all that there were.
        """
        return await self._gathered.get((project_id, after)) or []

    async def close(self) -> None:
        """Give the connection back."""
        kept, self._kept, self._tx = self._kept, None, None
        if kept:
            await kept.aclose()

    async def _find(self, places: list[Place]) -> dict[Place, list[Row]]:
        metrics.LOG_QUERIES.inc()
        limit = log.PAGE if len(places) <= MANY else FEW
        if self._busy:  # another lane has it
            async with reading() as tx:
                return await log.read_many(tx, places, limit)
        self._busy = True
        try:
            return await log.read_many(await self._connection(), places, limit)
        except BaseException as error:
            kept, self._kept, self._tx = self._kept, None, None
            if kept:  # says it as a `Problem` if it was the database
                await kept.__aexit__(type(error), error, error.__traceback__)
            raise
        finally:
            self._busy = False
            self._used = asyncio.get_running_loop().time()

    async def _connection(self) -> Tx:
        if self._tx is not None and _is_open(self._tx):
            return self._tx
        await self.close()
        async with AsyncExitStack() as stack:
            tx = await stack.enter_async_context(reading())
            self._tx, self._kept = tx, stack.pop_all()
        asyncio.get_running_loop().call_later(LINGER, self._look, tx)
        return tx

    def _look(self, tx: Tx) -> None:
        """Give the connection back when it was not used for a while."""
        if self._tx is not tx:
            return
        loop = asyncio.get_running_loop()
        if self._busy or loop.time() - self._used < LINGER:
            loop.call_later(LINGER, self._look, tx)
        else:
            spawn(self.close(), name="give back the log's connection")


def _is_open(tx: Tx) -> bool:
    try:
        return not tx.connection.is_closed()
    except InterfaceError:  # the pool has let it go: it died
        return False
