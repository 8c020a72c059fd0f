"""May this caller do that here: loads and authorises in one verb."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from app.auth.model import Caller
from app.problems import Forbidden, NotFound
from app.projects.model import RANK, Format, Role
from app.realtime.log import Change, changing
from app.store.engine import Reader, Tx


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
    away meanwhile is seen.
    """
    row = await reader.fetchrow(
        "select p.id, m.role, p.epoch, p.revision, p.format, p.fps"
        " from project p join project_member m on m.project_id = p.id and m.user_id = $2"
        " where p.id = $1 and p.deleted_at is null",
        project_id,
        caller.user_id,
    )
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
