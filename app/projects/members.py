"""Who may use a project: members, their roles, and the invites by which they join."""

import hashlib
import secrets

from asyncpg import Record
from piccolo.querystring import QueryString

from app.auth.model import Caller
from app.http.envelope import ActionResult
from app.problems import Forbidden, NotFound, ValidationFailed
from app.projects.access import changing_project
from app.projects.model import Invite, Member, NewInvite, Role
from app.projects.tables import ProjectInvite, ProjectMember
from app.realtime.log import Change, changing
from app.realtime.rights import RANKS
from app.store.columns import NOW
from app.store.database import Reader, Tx
from app.store.ids import new_id
from app.store.query import Param, built, named

TOKEN_BYTES = 32
NO_INVITE = "This invite does not exist, has expired or was used."

MEMBER = (
    ProjectMember.project_id,
    ProjectMember.user_id,
    ProjectMember.user_id.name.as_alias("name"),
    ProjectMember.role,
)
IS_MEMBER = (ProjectMember.project_id == Param("project_id")) & (
    ProjectMember.user_id == Param("user_id")
)
LIST_MEMBERS = built(
    ProjectMember.select(*MEMBER).where(ProjectMember.project_id == Param("project_id"))
)
FIND_MEMBER = built(ProjectMember.select(*MEMBER).where(IS_MEMBER))
UPDATE_ROLE = built(
    ProjectMember.update({ProjectMember.role: Param("role"), ProjectMember.updated_at: NOW}).where(
        IS_MEMBER
    )
)
DELETE_MEMBER = built(ProjectMember.delete().where(IS_MEMBER))
PUT_MEMBER = built(
    ProjectMember.insert(
        ProjectMember(project_id=Param("project_id"), user_id=Param("user_id"), role=Param("role"))
    ).on_conflict(
        target=(ProjectMember.project_id, ProjectMember.user_id),
        action="DO UPDATE",
        values=[ProjectMember.role, (ProjectMember.updated_at, NOW)],
    )
)
INSERT_INVITE = built(
    ProjectInvite.insert(
        ProjectInvite(
            id=Param("id"),
            project_id=Param("project_id"),
            role=Param("role"),
            secret_hash=Param("secret_hash"),
            created_by=Param("created_by"),
            expires_at=QueryString(
                "clock_timestamp() + make_interval(hours => {})", Param("hours")
            ),
        )
    ).returning(ProjectInvite.id, ProjectInvite.expires_at)
)
FIND_PROJECT_OF_INVITE = named("""
    select i.project_id from project_invite i join project p on p.id = i.project_id
    where i.secret_hash = :secret_hash and p.deleted_at is null
""")
FIND_INVITE = named("""
    select i.id, i.role, i.accepted_by, i.expires_at <= clock_timestamp() as is_expired,
        m.role as held_role
    from project_invite i join project p on p.id = i.project_id
        left join project_member m on m.project_id = i.project_id and m.user_id = :user_id
    where i.secret_hash = :secret_hash and p.deleted_at is null
""")
USE_INVITE = built(
    ProjectInvite.update(
        {ProjectInvite.accepted_by: Param("user_id"), ProjectInvite.accepted_at: NOW}
    ).where(ProjectInvite.id == Param("id"))
)


def member_of(row: Record) -> Member:
    """Return the member of a row with the columns `MEMBER`."""
    return Member(**row)


async def list_members(reader: Reader, project_id: str) -> list[Member]:
    """Return the members by user id: an order that every database and every client agree on."""
    rows = await reader.fetch(*LIST_MEMBERS(project_id=project_id))
    return sorted((member_of(row) for row in rows), key=lambda member: member.user_id)


async def find_member(reader: Reader, project_id: str, user_id: str) -> Member | None:
    """Return the member, None for a user who is none."""
    row = await reader.fetchrow(*FIND_MEMBER(project_id=project_id, user_id=user_id))
    return member_of(row) if row else None


async def get_member(reader: Reader, project_id: str, user_id: str) -> Member:
    """Return the member; raise `NotFound` for a user who is none."""
    member = await find_member(reader, project_id, user_id)
    if member is None:
        raise NotFound("This person is not a member of the project.")
    return member


async def set_role(
    tx: Tx, caller: Caller, project_id: str, user_id: str, role: Role
) -> ActionResult[Member]:
    """Give a member another role; people become members by an invite only.

    Raises `ValidationFailed` when the project would have no owner or two.
    """
    async with changing_project(tx, caller, project_id, "owner") as (change, _):
        before = await get_member(tx, project_id, user_id)
        if before.role == role:
            return ActionResult(data=before)
        if before.role == "owner":
            raise ValidationFailed.at("role", "owner", "The owner's role can't be taken away.")
        if role == "owner":
            raise ValidationFailed.at("role", "owner", "A project has exactly one owner.")
        await tx.execute(*UPDATE_ROLE(project_id=project_id, user_id=user_id, role=role))
        member = await _emit_updated(change, user_id, before.role)
    return ActionResult(data=member, affected=[user_id], revision=change.revision)


async def remove_member(
    tx: Tx, caller: Caller, project_id: str, user_id: str
) -> ActionResult[Member]:
    """Remove a member: the owner may remove any other, and everyone else may leave."""
    async with changing_project(tx, caller, project_id, "viewer") as (change, access):
        if user_id != caller.user_id and access.role != "owner":
            raise Forbidden("Only the owner may remove others.")
        before = await get_member(tx, project_id, user_id)
        if before.role == "owner":
            raise ValidationFailed.at("userId", "owner", "The owner can't be removed.")
        await tx.execute(*DELETE_MEMBER(project_id=project_id, user_id=user_id))
        removed = Member(project_id=project_id, user_id=user_id, name=before.name, role=None)
        change.emit("member.updated", {"member": removed, "previousRole": before.role})
    return ActionResult(data=removed, affected=[user_id], revision=change.revision)


async def invite(
    tx: Tx, caller: Caller, project_id: str, new: NewInvite, origin: str
) -> ActionResult[Invite]:
    """Make a link below `origin` by which one person joins.

    It emits no event: every member would receive the token.
    """
    async with changing_project(tx, caller, project_id, "owner"):
        token = secrets.token_urlsafe(TOKEN_BYTES)
        row = await tx.fetchrow(
            *INSERT_INVITE(
                id=new_id(),
                project_id=project_id,
                role=new.role,
                secret_hash=hash_of(token),
                created_by=caller.user_id,
                hours=new.expires_in_hours,
            )
        )
        assert row is not None
    created = Invite(
        id=row["id"],
        project_id=project_id,
        role=new.role,
        token=token,
        url=f"{origin.rstrip('/')}/invites/{token}",
        expires_at=row["expires_at"],
    )
    return ActionResult(data=created, affected=[created.id])


async def accept_invite(tx: Tx, caller: Caller, token: str) -> ActionResult[Member]:
    """Make the caller a member with the invite's role.

    A caller who has that role or a higher one already leaves the invite unused, and one who
    accepts it again changes nothing. Raises `NotFound` for an invite that is unknown, expired or
    used by another user.
    """
    project_id = await tx.fetchval(*FIND_PROJECT_OF_INVITE(secret_hash=hash_of(token)))
    if project_id is None:
        raise NotFound(NO_INVITE)
    async with changing(
        tx, project_id, actor_id=caller.user_id, request_id=caller.request_id
    ) as change:
        role = await _use_invite(change, caller, token)
        if role is None:
            return ActionResult(data=await get_member(tx, project_id, caller.user_id))
        before = await find_member(tx, project_id, caller.user_id)
        await tx.execute(*PUT_MEMBER(project_id=project_id, user_id=caller.user_id, role=role))
        member = await _emit_updated(change, caller.user_id, before.role if before else None)
    return ActionResult(data=member, affected=[caller.user_id], revision=change.revision)


async def _use_invite(change: Change, caller: Caller, token: str) -> Role | None:
    """Use the invite up and return its role; None when the caller has that or a higher one."""
    found = await change.tx.fetchrow(
        *FIND_INVITE(secret_hash=hash_of(token), user_id=caller.user_id)
    )
    if found is None:
        raise NotFound(NO_INVITE)
    held: Role | None = found["held_role"]
    role: Role = found["role"]
    if found["accepted_by"] == caller.user_id and held is not None:
        return None
    if found["accepted_by"] is not None or found["is_expired"]:
        raise NotFound(NO_INVITE)
    if RANKS[held] >= RANKS[role]:
        return None
    await change.tx.execute(*USE_INVITE(id=found["id"], user_id=caller.user_id))
    return role


async def _emit_updated(change: Change, user_id: str, previous: Role | None) -> Member:
    member = await get_member(change.tx, change.project_id, user_id)
    change.emit("member.updated", {"member": member, "previousRole": previous})
    return member


def hash_of(token: str) -> str:
    """Return what the database stores of an invite's token."""
    return hashlib.sha256(token.encode()).hexdigest()
