"""Everything that a client needs of a project, as it is at one moment or was at a revision."""

import msgspec
from asyncpg import Record

from app.problems import InvalidInput, NotFound
from app.projects.members import list_members
from app.projects.model import Member, Project
from app.projects.projects import find_project
from app.projects.replay import MESSAGES, SILENT, State, replay, shown
from app.realtime.events import Cursor, Event
from app.realtime.hub import EncodedSnapshot
from app.realtime.log import PAGE_EVENTS, head_of
from app.runs.model import MESSAGE, OVER, RUN, Message, Run, message_of, run_of
from app.scenes.model import Scene
from app.scenes.reads import live_scenes
from app.store.database import Database, Reader


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


async def read_snapshot(database: Database, project_id: str) -> EncodedSnapshot:
    """In one transaction that sees one moment. Raise `NotFound` for a deleted project too."""
    async with database.reading(snapshot=True) as reader:
        return await snapshot_now(reader, project_id)


async def snapshot_now(
    reader: Reader, project_id: str, *, deleted: bool = False
) -> EncodedSnapshot:
    """In the caller's transaction, which should see one moment; a constant number of queries."""
    head, project = await head_of(reader, project_id), await find_project(reader, project_id)
    if head is None or project is None or (project.deleted_at is not None and not deleted):
        raise NotFound("There is no such project.")
    body = ProjectSnapshot(
        cursor=str(Cursor(*head)),
        epoch=head.epoch,
        revision=head.revision,
        project=project,
        members=await list_members(reader, project_id),
        scenes=await live_scenes(reader, project_id),
        messages=await last_messages(reader, project_id),
        runs=await open_runs(reader, project_id),
    )
    return EncodedSnapshot(head.epoch, head.revision, msgspec.json.encode(body))


async def snapshot_at(reader: Reader, project_id: str, revision: int) -> EncodedSnapshot:
    """As the project was, by replay of its log. Raise `InvalidInput` for a revision to come."""
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
    return EncodedSnapshot(head.epoch, revision, msgspec.json.encode(cursor | shown(state)))


async def replayed(reader: Reader, project_id: str, revision: int) -> State:
    """The fold of events 1 to `revision`; memory for one page of them and the state."""
    state, after = State(), 0
    while rows := await _page(reader, project_id, after, revision):
        for row in rows:
            state = replay(state, event_of(row))
        after = rows[-1]["revision"]
    return state


async def _page(reader: Reader, project_id: str, after: int, last: int) -> list[Record]:
    return await reader.fetch(
        "select revision, commit_revision, type, payload, run_id, request_id, actor_id,"
        " created_at from project_event"
        " where project_id = $1 and revision > $2 and revision <= $3 and type <> all($4::text[])"
        " order by revision limit $5",
        project_id,
        after,
        last,
        list(SILENT),
        PAGE_EVENTS,
    )


def event_of(row: Record, project_id: str = "") -> Event:
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


async def last_messages(reader: Reader, project_id: str) -> list[Message]:
    """Oldest first."""
    rows = await reader.fetch(
        f"select {MESSAGE} from message where project_id = $1 order by sequence desc limit $2",
        project_id,
        MESSAGES,
    )
    return [message_of(row) for row in reversed(rows)]


async def open_runs(reader: Reader, project_id: str) -> list[Run]:
    """Oldest first."""
    rows = await reader.fetch(
        f"select {RUN} from run where project_id = $1 and status <> all($2::text[])"
        " order by sequence",
        project_id,
        list(OVER),
    )
    return [run_of(row) for row in rows]
