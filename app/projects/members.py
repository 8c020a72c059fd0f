"""Who may use a project: members, their roles, and the invites that make them."""

import hashlib
import secrets

from asyncpg import Record

from app.auth.model import Caller
from app.http.envelope import ActionResult
from app.problems import Forbidden, NotFound, ValidationFailed
from app.projects.access import changing_project
from app.projects.model import RANK, Invite, Member, NewInvite, Role
from app.realtime.log import Change, changing
from app.store.database import Reader, Tx
from app.store.ids import new_id

MEMBER = "m.project_id, m.user_id, u.name, m.role"
TOKEN_BYTES = 32
NO_INVITE = "This invite does not exist, has expired or was used."


def member_of(row: Record) -> Member:
    """From a row with the columns `MEMBER`."""
    return Member(**row)


async def list_members(reader: Reader, project_id: str) -> list[Member]:
    """By user id: an order that every database and every client finds alike."""
    rows = await reader.fetch(
        f"select {MEMBER} from project_member m join user_account u on u.id = m.user_id"
        " where m.project_id = $1",
        project_id,
    )
    return sorted((member_of(row) for row in rows), key=lambda member: member.user_id)


async def find_member(reader: Reader, project_id: str, user_id: str) -> Member | None:
    row = await reader.fetchrow(
        f"select {MEMBER} from project_member m join user_account u on u.id = m.user_id"
        " where m.project_id = $1 and m.user_id = $2",
        project_id,
        user_id,
    )
    return member_of(row) if row else None


async def get_member(reader: Reader, project_id: str, user_id: str) -> Member:
    """Raise `NotFound` when they are no member."""
    member = await find_member(reader, project_id, user_id)
    if member is None:
        raise NotFound("This person is not a member of the project.")
    return member


async def set_role(
    tx: Tx, caller: Caller, project_id: str, user_id: str, role: Role
) -> ActionResult[Member]:
    """A new role for a member; people become members by an invite only."""
    async with changing_project(tx, caller, project_id, "owner") as (change, _):
        before = await get_member(tx, project_id, user_id)
        if before.role == role:
            return ActionResult(data=before)
        if before.role == "owner":
            raise ValidationFailed.at("role", "owner", "The owner's role can't be taken away.")
        if role == "owner":
            raise ValidationFailed.at("role", "owner", "A project has exactly one owner.")
        await tx.execute(
            "update project_member set role = $3, updated_at = clock_timestamp()"
            " where project_id = $1 and user_id = $2",
            project_id,
            user_id,
            role,
        )
        member = await _tell(change, user_id, before.role)
    return ActionResult(data=member, affected=[user_id], revision=change.revision)


async def remove_member(
    tx: Tx, caller: Caller, project_id: str, user_id: str
) -> ActionResult[Member]:
    """The owner may remove any other member; everyone else may leave."""
    async with changing_project(tx, caller, project_id, "viewer") as (change, access):
        if user_id != caller.user_id and access.role != "owner":
            raise Forbidden("Only the owner may remove others.")
        before = await get_member(tx, project_id, user_id)
        if before.role == "owner":
            raise ValidationFailed.at("userId", "owner", "The owner can't be removed.")
        await tx.execute(
            "delete from project_member where project_id = $1 and user_id = $2",
            project_id,
            user_id,
        )
        gone = Member(project_id=project_id, user_id=user_id, name=before.name, role=None)
        change.emit("member.updated", {"member": gone, "previousRole": before.role})
    return ActionResult(data=gone, affected=[user_id], revision=change.revision)


async def invite(
    tx: Tx, caller: Caller, project_id: str, new: NewInvite, origin: str
) -> ActionResult[Invite]:
    """A link below `origin` that makes one person a member. It is no event: it is a secret."""
    async with changing_project(tx, caller, project_id, "owner"):
        token = secrets.token_urlsafe(TOKEN_BYTES)
        row = await tx.fetchrow(
            "insert into project_invite"
            " (id, project_id, role, secret_hash, created_by, expires_at)"
            " values ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(hours => $6))"
            " returning id, expires_at",
            new_id(),
            project_id,
            new.role,
            hash_of(token),
            caller.user_id,
            new.expires_in_hours,
        )
        assert row is not None
    made = Invite(
        id=row["id"],
        project_id=project_id,
        role=new.role,
        token=token,
        url=f"{origin.rstrip('/')}/invites/{token}",
        expires_at=row["expires_at"],
    )
    return ActionResult(data=made, affected=[made.id])


async def accept_invite(tx: Tx, caller: Caller, token: str) -> ActionResult[Member]:
    """Become a member. Who has that role or a higher one already leaves the invite unused.

    To accept one's own again changes nothing. Raises `NotFound` for all that can't be accepted.
    """
    project_id = await tx.fetchval(
        "select i.project_id from project_invite i join project p on p.id = i.project_id"
        " where i.secret_hash = $1 and p.deleted_at is null",
        hash_of(token),
    )
    if project_id is None:
        raise NotFound(NO_INVITE)
    async with changing(
        tx, project_id, actor_id=caller.user_id, request_id=caller.request_id
    ) as change:
        role = await _take(change, caller, token)
        if role is None:
            return ActionResult(data=await get_member(tx, project_id, caller.user_id))
        before = await find_member(tx, project_id, caller.user_id)
        await tx.execute(
            "insert into project_member (project_id, user_id, role) values ($1, $2, $3)"
            " on conflict (project_id, user_id) do update"
            " set role = excluded.role, updated_at = clock_timestamp()",
            project_id,
            caller.user_id,
            role,
        )
        member = await _tell(change, caller.user_id, before.role if before else None)
    return ActionResult(data=member, affected=[caller.user_id], revision=change.revision)


async def _take(change: Change, caller: Caller, token: str) -> Role | None:
    """Use the invite up and return its role; None when the caller has it or more already."""
    row = await change.tx.fetchrow(
        "select i.id, i.role, i.accepted_by, i.expires_at <= clock_timestamp() as expired,"
        " m.role as held"
        " from project_invite i join project p on p.id = i.project_id"
        " left join project_member m on m.project_id = i.project_id and m.user_id = $2"
        " where i.secret_hash = $1 and p.deleted_at is null",
        hash_of(token),
        caller.user_id,
    )
    if row is None:
        raise NotFound(NO_INVITE)
    held: Role | None = row["held"]
    role: Role = row["role"]
    if row["accepted_by"] == caller.user_id and held is not None:
        return None
    if row["accepted_by"] is not None or row["expired"]:
        raise NotFound(NO_INVITE)
    if held is not None and RANK[held] >= RANK[role]:
        return None
    await change.tx.execute(
        "update project_invite set accepted_by = $2, accepted_at = clock_timestamp() where id = $1",
        row["id"],
        caller.user_id,
    )
    return role


async def _tell(change: Change, user_id: str, previous: Role | None) -> Member:
    member = await get_member(change.tx, change.project_id, user_id)
    change.emit("member.updated", {"member": member, "previousRole": previous})
    return member


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
