"""A project's life: born, changed, listed, deleted."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from asyncpg import Record

from app.auth.model import Caller
from app.http.envelope import ActionResult, Page
from app.problems import AlreadyExists, InvalidInput, NotFound, ValidationFailed
from app.projects.access import changing_project, require_role
from app.projects.members import get_member
from app.projects.model import (
    TITLE_MOST,
    UNTITLED,
    Format,
    MyProject,
    NewProject,
    Project,
    ProjectPatch,
)
from app.realtime.log import Change, changing, new_epoch
from app.store.database import Reader, Tx
from app.store.ids import new_id

PROJECT = "id, owner_id, title, format, fps, epoch, audio, is_welcome, created_at, deleted_at"
MINE = f"{', '.join(f'p.{name}' for name in PROJECT.split(', '))}, p.revision, p.updated_at, m.role"
BIRTH = datetime(1970, 1, 1, tzinfo=UTC)


def project_of(row: Record) -> Project:
    """From a row with the columns `PROJECT`."""
    return Project(**row)


async def find_project(reader: Reader, project_id: str) -> Project | None:
    """Also a deleted one."""
    row = await reader.fetchrow(f"select {PROJECT} from project where id = $1", project_id)
    return project_of(row) if row else None


async def get_my_project(reader: Reader, caller: Caller, project_id: str) -> MyProject:
    """Raise `NotFound` for an absent, deleted or foreign project."""
    row = await reader.fetchrow(
        f"select {MINE} from project p"
        " join project_member m on m.project_id = p.id and m.user_id = $2"
        " where p.id = $1 and p.deleted_at is null",
        project_id,
        caller.user_id,
    )
    if row is None:
        raise NotFound("There is no such project.")
    return MyProject(**row)


async def list_projects(
    reader: Reader, caller: Caller, *, cursor: str | None, limit: int
) -> Page[MyProject]:
    """The projects that the caller is a member of, newest first."""
    born, last = parse_cursor(cursor) if cursor is not None else (None, None)
    rows = await reader.fetch(
        f"select {MINE} from project_member m join project p on p.id = m.project_id"
        " where m.user_id = $1 and p.deleted_at is null"
        " and ($2::timestamptz is null or (p.created_at, p.id) < ($2, $3::uuid))"
        " order by p.created_at desc, p.id desc limit $4",
        caller.user_id,
        born,
        last,
        limit + 1,
    )
    items = [MyProject(**row) for row in rows[:limit]]
    return Page(items=items, next_cursor=_cursor(items[-1]) if len(rows) > limit else None)


def _cursor(project: Project) -> str:
    return f"{(project.created_at - BIRTH) // timedelta(microseconds=1)}.{project.id}"


def parse_cursor(text: str) -> tuple[datetime, str]:
    """Raise `InvalidInput` unless it is one that a list gave: `<microseconds>.<id>`."""
    number, _, last = text.partition(".")
    try:
        if not (number.isascii() and number.isdigit() and len(number) <= 18):
            raise ValueError
        born = BIRTH + timedelta(microseconds=int(number))
        return born, str(msgspec.convert(last, UUID))
    except (ValueError, OverflowError) as error:
        raise InvalidInput("This cursor did not come from a list of projects.") from error


async def create_project(tx: Tx, caller: Caller, new: NewProject) -> ActionResult[MyProject]:
    """A project that the caller owns. Raises `AlreadyExists` for a title they use already.

    Its log begins with the project (`changed: ["created"]`) and its owner, so that a replay
    from empty gives it.
    """
    title = None if new.title is None else _trimmed(new.title)
    await _lock_titles(tx, caller.user_id)
    if title is None:
        title = await _next_untitled(tx, caller.user_id)
    elif await _title_taken(tx, caller.user_id, title):
        raise AlreadyExists("You have a project with this title already.")
    project_id = new_id()
    await tx.execute(
        "insert into project (id, owner_id, title, format, fps, epoch, request_id)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        project_id,
        caller.user_id,
        title,
        new.format,
        new.fps,
        new_epoch(),
        caller.request_id,
    )
    await tx.execute(
        "insert into project_member (project_id, user_id, role) values ($1, $2, 'owner')",
        project_id,
        caller.user_id,
    )
    async with changing(
        tx, project_id, actor_id=caller.user_id, request_id=caller.request_id
    ) as change:
        await _tell(change, ["created"])
        member = await get_member(tx, project_id, caller.user_id)
        change.emit("member.updated", {"member": member, "previousRole": None})
    mine = await get_my_project(tx, caller, project_id)
    return ActionResult(data=mine, affected=[project_id], revision=change.revision)


async def change_project(
    tx: Tx, caller: Caller, project_id: str, patch: ProjectPatch
) -> ActionResult[MyProject]:
    """Only the owner may change the title: it is unique among the owner's projects."""
    async with changing_project(tx, caller, project_id, "editor") as (change, access):
        before = await find_project(tx, project_id)
        assert before is not None
        title, format_, fps = before.title, before.format, before.fps
        if patch.title is not msgspec.UNSET:
            require_role(access.role, "owner")
            title = _trimmed(patch.title)
        if patch.format is not msgspec.UNSET:
            format_ = patch.format
        if patch.fps is not msgspec.UNSET:
            fps = patch.fps
        new: dict[str, str | int] = {"title": title, "format": format_, "fps": fps}
        changed = [name for name, value in new.items() if getattr(before, name) != value]
        if "title" in changed:
            await _lock_titles(tx, before.owner_id)
            if await _title_taken(tx, before.owner_id, title):
                raise AlreadyExists("You have a project with this title already.")
        if changed:
            await _write(tx, project_id, title, format_, fps, caller.request_id)
            await _tell(change, changed)
    mine = await get_my_project(tx, caller, project_id)
    revision = change.revision if changed else None
    return ActionResult(data=mine, affected=[project_id] if changed else [], revision=revision)


async def title_like(tx: Tx, owner_id: str, title: str, mark: str) -> str:
    """`title (mark)`, or `title (mark 2)`, … : the first that the owner does not use.

    Nobody takes it before the transaction ends.
    """
    await _lock_titles(tx, owner_id)
    rows = await tx.fetch(
        "select title from project where owner_id = $1 and deleted_at is null", owner_id
    )
    taken, number, end = {row["title"] for row in rows}, 1, f" ({mark})"
    while (found := title[: TITLE_MOST - len(end)] + end) in taken:
        number += 1
        end = f" ({mark} {number})"
    return found


async def delete_project(tx: Tx, caller: Caller, project_id: str) -> ActionResult[Project]:
    """Softly: nobody finds it any more and its title is free; its rows and its log stay."""
    async with changing_project(tx, caller, project_id, "owner") as (change, _):
        await tx.execute(
            "update project set deleted_at = clock_timestamp(), request_id = $2 where id = $1",
            project_id,
            caller.request_id,
        )
        project = await _tell(change, ["deletedAt"])
    return ActionResult(data=project, affected=[project_id], revision=change.revision)


async def end_welcome(change: Change) -> None:
    """The first scene or turn was begun: the project is no longer the untouched one."""
    touched = await change.tx.execute(
        "update project set is_welcome = false, request_id = $2 where id = $1 and is_welcome",
        change.project_id,
        change.request_id,
    )
    if touched:
        await _tell(change, ["isWelcome"])


async def _tell(change: Change, changed: list[str]) -> Project:
    project = await find_project(change.tx, change.project_id)
    assert project is not None
    change.emit("project.updated", {"project": project, "changed": changed})
    return project


async def _write(
    tx: Tx, project_id: str, title: str, format_: Format, fps: int, request_id: str
) -> None:
    await tx.execute(
        "update project set title = $2, format = $3, fps = $4, request_id = $5 where id = $1",
        project_id,
        title,
        format_,
        fps,
        request_id,
    )


def _trimmed(title: str) -> str:
    if not (trimmed := title.strip()):
        raise ValidationFailed.at("title", "blank", "A title needs a visible character.")
    return trimmed


async def _lock_titles(tx: Tx, owner_id: str) -> None:
    """One at a time decides which titles this owner uses."""
    await tx.execute("select 1 from user_account where id = $1 for no key update", owner_id)


async def _title_taken(tx: Tx, owner_id: str, title: str) -> bool:
    taken = await tx.fetchval(
        "select exists (select from project"
        " where owner_id = $1 and title = $2 and deleted_at is null)",
        owner_id,
        title,
    )
    return bool(taken)


async def _next_untitled(tx: Tx, owner_id: str) -> str:
    """`Untitled video`, `Untitled video 2`, … : the first that is free."""
    rows = await tx.fetch(
        "select title from project where owner_id = $1 and deleted_at is null"
        " and starts_with(title, $2)",
        owner_id,
        UNTITLED,
    )
    taken = {row["title"] for row in rows}
    number, title = 1, UNTITLED
    while title in taken:
        number += 1
        title = f"{UNTITLED} {number}"
    return title
