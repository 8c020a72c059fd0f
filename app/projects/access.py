"""Authorization: loads a project and checks the caller's role in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from asyncpg import Record

from app.auth.model import Caller
from app.problems import Forbidden, NotFound
from app.projects.model import Format, Role
from app.realtime.log import Change, changing
from app.realtime.rights import RANKS
from app.store.concurrency import BatchLoader
from app.store.database import Database, Reader, Tx
from app.store.query import named

NO_PROJECT = "There is no such project."

FIND_ACCESSES = named("""
    select p.id as project_id, m.user_id, m.role, p.epoch, p.revision, p.format, p.fps
    from unnest(:project_ids::uuid[], :user_ids::text[]) as requested (project_id, user_id)
        join project p on p.id = requested.project_id
        join project_member m on m.project_id = p.id and m.user_id = requested.user_id
    where p.deleted_at is null
""")

Key = tuple[str, str]  # project, user


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """A project that the caller may use, and the role that they have in it."""

    project_id: str
    role: Role
    epoch: str
    revision: int
    format: Format
    fps: int


async def access_project(
    reader: Reader, caller: Caller, project_id: str, role: Role, *, absent: str = NO_PROJECT
) -> Access:
    """Return the caller's access to a project, which must be `role` or a higher one.

    Raises `NotFound` with the message `absent` for an absent, deleted or foreign project, and
    `Forbidden` for a low role.
    A transaction that changes something must pass itself as the reader, so that a role revoked
    before it is not used.
    """
    key = project_id, caller.user_id
    return _checked((await _find(reader, [key])).get(key), role, absent)


class AccessLookups:
    """Batches `access_project` for connections that arrive at the same time.

    A query begins after the calls that share it, so no result is older than its call.
    """

    def __init__(self, db: Database) -> None:
        async def load(keys: list[Key]) -> dict[Key, Record]:
            return await _find(db, keys)

        self._rows = BatchLoader[Key, Record]("project access", load)

    async def access_project(self, caller: Caller, project_id: str, role: Role) -> Access:
        """Return the access as the function `access_project` does, raising the same errors."""
        return _checked(await self._rows.get((project_id, caller.user_id)), role)


async def _find(reader: Reader, keys: list[Key]) -> dict[Key, Record]:
    project_ids, user_ids = zip(*keys, strict=True)
    rows = await reader.fetch(*FIND_ACCESSES(project_ids=project_ids, user_ids=user_ids))
    return {(row["project_id"], row["user_id"]): row for row in rows}


def _checked(row: Record | None, role: Role, absent: str = NO_PROJECT) -> Access:
    if row is None:
        raise NotFound(absent)
    require_role(row["role"], role)
    return Access(**{name: row[name] for name in Access.__struct_fields__})


@asynccontextmanager
async def changing_project(
    tx: Tx, caller: Caller, project_id: str, role: Role
) -> AsyncIterator[tuple[Change, Access]]:
    """Lock a project to change it; yield the change and the caller's access.

    The role is checked before the lock is acquired, so that a caller without it never waits, and
    again under the lock, since it may have been revoked meanwhile.
    """
    await access_project(tx, caller, project_id, role)
    async with changing(
        tx, project_id, actor_id=caller.user_id, request_id=caller.request_id
    ) as change:
        yield change, await access_project(tx, caller, project_id, role)


def require_role(held: Role, needed: Role) -> None:
    """Raise `Forbidden` when a role is below another."""
    if RANKS[held] < RANKS[needed]:
        raise Forbidden(f"This needs the role {needed}; yours is {held}.")
