"""Accounts with API tokens. They are inserted into the database: a registration is slow."""

import asyncio
import hashlib
import uuid
from typing import NamedTuple

import asyncpg

from tests.recordings.client import Header


class Person(NamedTuple):
    """Holds the id and the API token of an account."""

    id: str
    token: str

    @property
    def headers(self) -> list[Header]:
        return [("authorization", f"Bearer {self.token}")]


class People:
    """Inserts accounts into one database."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self._lock = asyncio.Lock()

    async def make_local(self) -> None:
        """Insert the local admin, whom a server without `reelroom serve` lacks."""
        await self._connection.execute(
            "insert into user_account (id, name, role) values ('local', 'Local admin', 'admin')"
        )

    async def make(self, name: str, chapter: str) -> Person:
        """Insert an account whose id and token name the chapter."""
        person = Person(f"{chapter}-{name}", f"rr_{chapter}-{name}")
        async with self._lock, self._connection.transaction():
            await self._connection.execute(
                "insert into user_account (id, email, name) values ($1, $2, $3)",
                person.id,
                f"{name}@{chapter}.test",
                name.title(),
            )
            await self._connection.execute(
                "insert into api_token (id, user_id, name, secret_hash)"
                " values ($1, $2, 'recordings', $3)",
                uuid.uuid4(),
                person.id,
                hashlib.sha256(person.token.encode()).hexdigest(),
            )
        return person
