"""Snapshots: the state of a project, current or at a past revision."""

import msgspec
from asyncpg import Record

from app.problems import InvalidInput, NotFound
from app.projects.members import list_members
from app.projects.model import Member, Project
from app.projects.projects import find_project
from app.projects.replay import EVENTS_OUTSIDE_SNAPSHOT, MAX_MESSAGES, State, replay, snapshot_parts
from app.realtime.events import Cursor, Event
from app.realtime.hub import EncodedSnapshot
from app.realtime.log import PAGE_EVENTS, head_of
from app.runs.model import Message, Run
from app.runs.reads import last_messages, open_runs
from app.scenes.model import Scene
from app.scenes.reads import live_scenes
from app.store.database import Database, Reader
from app.store.query import named

LIST_EVENTS = named("""
    select revision, commit_revision, type, payload, run_id, request_id, actor_id, created_at
    from project_event
    where project_id = :project_id and revision > :after and revision <= :until
        and type <> all(:excluded_types::text[])
    order by revision limit :limit
""")


class ProjectSnapshot(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The events after `cursor`, applied to this, give every later snapshot.

    `messages` are the last 100, oldest first; `runs` those that are not over.
    """

    cursor: str
    epoch: str
    revision: int
    project: Project
    members: list[Member]
    scenes: list[Scene]
    messages: list[Message]
    runs: list[Run]


async def read_snapshot(db: Database, project_id: str) -> EncodedSnapshot:
    """Read the current snapshot in one transaction; raise `NotFound`, also if deleted."""
    async with db.reading(snapshot=True) as reader:
        return await snapshot_now(reader, project_id)


async def snapshot_now(
    reader: Reader, project_id: str, *, deleted: bool = False
) -> EncodedSnapshot:
    """Read the current snapshot in a constant number of statements.

    `reader` should be a transaction with a single snapshot of the database. Raises `NotFound`,
    for a deleted project unless `deleted`.
    """
    head, project = await head_of(reader, project_id), await find_project(reader, project_id)
    if head is None or project is None or (project.deleted_at is not None and not deleted):
        raise NotFound("There is no such project.")
    snapshot = ProjectSnapshot(
        cursor=str(Cursor(*head)),
        epoch=head.epoch,
        revision=head.revision,
        project=project,
        members=await list_members(reader, project_id),
        scenes=await live_scenes(reader, project_id),
        messages=await last_messages(reader, project_id, MAX_MESSAGES),
        runs=await open_runs(reader, project_id),
    )
    return EncodedSnapshot(head.epoch, head.revision, msgspec.json.encode(snapshot))


async def snapshot_at(reader: Reader, project_id: str, revision: int) -> EncodedSnapshot:
    """Build the snapshot of a revision by replay; raise `InvalidInput` for a future one."""
    head = await head_of(reader, project_id)
    if head is None:
        raise NotFound("There is no such project.")
    if revision > head.revision:
        raise InvalidInput(f"The project is at revision {head.revision} only.")
    state = await replayed(reader, project_id, revision)
    cursor = {
        "cursor": str(Cursor(head.epoch, revision)),
        "epoch": head.epoch,
        "revision": revision,
    }
    return EncodedSnapshot(
        head.epoch, revision, msgspec.json.encode(cursor | snapshot_parts(state))
    )


async def replayed(reader: Reader, project_id: str, revision: int) -> State:
    """Replay events 1 to `revision`, with one page of them in memory at a time."""
    state, after = State(), 0
    while rows := await reader.fetch(
        *LIST_EVENTS(
            project_id=project_id,
            after=after,
            until=revision,
            excluded_types=EVENTS_OUTSIDE_SNAPSHOT,
            limit=PAGE_EVENTS,
        )
    ):
        for row in rows:
            state = replay(state, _event_of(row, project_id))
        after = rows[-1]["revision"]
    return state


def _event_of(row: Record, project_id: str) -> Event:
    return Event(
        type=row["type"],
        project_id=project_id,
        revision=row["revision"],
        commit=row["commit_revision"],
        run_id=row["run_id"],
        request_id=row["request_id"],
        actor_id=row["actor_id"],
        at=row["created_at"],
        data=row["payload"],
    )
