"""One server and the accounts of one test that make projects on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from app.projects.replay import State, replay
from app.realtime import log
from app.realtime.events import Event
from app.scenes.snapshot import read_snapshot
from tests.harness.database import DB
from tests.harness.person import Person, new_person
from tests.harness.replaying import assert_shows, state_of

Json = dict[str, Any]


async def events_of(project_id: str, after: int = 0) -> list[Event]:
    """The log of a project in the form that clients get, read from the database."""
    events: list[Event] = []
    async with DB.reading() as reader:
        while rows := await log.read(reader, project_id, after):
            after = rows[-1].revision
            events += [
                Event(
                    type=row.type,
                    project_id=project_id,
                    revision=row.revision,
                    commit=row.commit,
                    run_id=row.run_id,
                    request_id=row.request_id,
                    actor_id=row.actor_id,
                    at=row.at,
                    data=msgspec.json.decode(row.payload),
                )
                for row in rows
            ]
    return events


async def snapshot_of(project_id: str) -> Json:
    """The snapshot of a project, also of one that its caller may not read."""
    snapshot: Json = msgspec.json.decode((await read_snapshot(DB, project_id)).body)
    return snapshot


class Studio:
    """A server, and the people of one test."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._people: list[Person] = []

    async def person(self, name: str) -> Person:
        """The client of a new account; the ids of a test's accounts sort as their names do."""
        return self._kept(await new_person(self.address, name))

    def anonymous(self) -> Person:
        """A client that is not signed in."""
        return self._kept(Person(self.address))

    def _kept(self, person: Person) -> Person:
        self._people.append(person)
        return person

    async def member(self, owner: Person, project_id: str, name: str, role: str) -> Person:
        """The client of a new account that has joined by an invite."""
        guest = await self.person(name)
        await owner.invite(guest, project_id, role)
        return guest

    @asynccontextmanager
    async def watching(self, project_id: str) -> AsyncIterator[list[Event]]:
        """Assert that the old snapshot and what happens in the block give the new snapshot.

        The list holds the events once the block is over.
        """
        before, events = await snapshot_of(project_id), list[Event]()
        yield events
        after = await snapshot_of(project_id)
        for event in await events_of(project_id, before["revision"]):
            if event.revision <= after["revision"]:
                events.append(event)
        state = state_of(before)
        for event in events:
            state = replay(state, event)
        assert_shows(state, after)
        assert after["revision"] == before["revision"] + len(events)

    async def check(self) -> None:
        """Assert that the log of each project of these people gives its snapshot."""
        async with DB.reading() as reader:
            rows = await reader.fetch(
                "select id from project where deleted_at is null and owner_id = any($1)",
                [person.user_id for person in self._people],
            )
        for row in rows:
            state = State()
            for event in await events_of(row["id"]):
                state = replay(state, event)
            assert_shows(state, await snapshot_of(row["id"]))

    async def close(self) -> None:
        for person in self._people:
            await person.aclose()
