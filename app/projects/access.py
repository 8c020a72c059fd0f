"""May this caller do that here: loads and authorises in one verb."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec
from asyncpg import Record

from app.auth.model import Caller
from app.problems import Forbidden, NotFound
from app.projects.model import RANK, Format, Role
from app.realtime.log import Change, changing
from app.store.concurrency import BatchLoader
from app.store.database import Database, Reader, Tx

FIND = """
    select p.id, m.user_id, m.role, p.epoch, p.revision, p.format, p.fps
    from unnest($1::uuid[], $2::text[]) as asked (project_id, user_id)
        join project p on p.id = asked.project_id
        join project_member m on m.project_id = p.id and m.user_id = asked.user_id
    where p.deleted_at is null
"""

Key = tuple[str, str]  # project, user


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """A project that the caller may use, and as what."""

    project_id: str
    role: Role
    epoch: str
    revision: int
    format: Format
    fps: int


async def access_project(reader: Reader, caller: Caller, project_id: str, role: Role) -> Access:
    """Raise `NotFound` for an absent, deleted or foreign project, `Forbidden` for a low role.

    In a transaction that changes something call it with the transaction, so that a role taken
    away meanwhile is seen. With a `Database` those who ask at once share a query, which begins
    after all of them have asked.
    """
    key = project_id, caller.user_id
    if isinstance(reader, Database):
        row = await reader.shared(_batch_loader).get(key)
    else:
        row = (await _find(reader, [key])).get(key)
    if row is None:
        raise NotFound("There is no such project.")
    access = Access(
        project_id=row["id"],
        role=row["role"],
        epoch=row["epoch"],
        revision=row["revision"],
        format=row["format"],
        fps=row["fps"],
    )
    require_role(access.role, role)
    return access


async def _find(reader: Reader, keys: list[Key]) -> dict[Key, Record]:
    projects, users = zip(*keys, strict=True)
    rows = await reader.fetch(FIND, projects, users)
    return {(row["id"], row["user_id"]): row for row in rows}


def _batch_loader(database: Database) -> BatchLoader[Key, Record]:
    return BatchLoader("project access", partial(_find, database))


@asynccontextmanager
async def changing_project(
    tx: Tx, caller: Caller, project_id: str, role: Role
) -> AsyncIterator[tuple[Change, Access]]:
    """`access_project` and `changing` in one: the role still holds once the row is locked.

    It is asked twice, so that who may do nothing here never waits for the lock or takes it.
    """
    await access_project(tx, caller, project_id, role)
    async with changing(
        tx, project_id, actor_id=caller.user_id, request_id=caller.request_id
    ) as change:
        yield change, await access_project(tx, caller, project_id, role)


def require_role(held: Role, needed: Role) -> None:
    if RANK[held] < RANK[needed]:
        raise Forbidden(f"This needs the role {needed}; yours is {held}.")
