"""Creating, changing, listing and deleting projects."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from asyncpg import Record

from app.auth.model import Caller
from app.http.envelope import ActionResult, Page
from app.problems import AlreadyExists, InvalidInput, NotFound, ValidationFailed
from app.projects.access import changing_project, require_role
from app.projects.members import PUT_MEMBER, get_member
from app.projects.model import (
    DEFAULT_TITLE,
    MAX_TITLE_CHARACTERS,
    MyProject,
    NewProject,
    Project,
    ProjectPatch,
)
from app.projects.tables import ProjectRow
from app.realtime.log import Change, changing, new_epoch
from app.store.columns import NOW
from app.store.database import Reader, Tx
from app.store.ids import new_id
from app.store.query import Param, built, column_list, named

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_CURSOR_DIGITS = 18  # of a point in time in microseconds

# The columns of a project, deleted or not.
PROJECT = ProjectRow.all_columns(
    exclude=[
        ProjectRow.revision,
        ProjectRow.undo_position,
        ProjectRow.request_id,
        ProjectRow.updated_at,
    ]
)
MY_PROJECT = column_list([*PROJECT, ProjectRow.revision, ProjectRow.updated_at], alias="p")

FIND_PROJECT = built(ProjectRow.select(*PROJECT).where(ProjectRow.id == Param("id")))
FIND_MY_PROJECT = named(f"""
    select {MY_PROJECT}, m.role
    from project p join project_member m on m.project_id = p.id and m.user_id = :user_id
    where p.id = :id and p.deleted_at is null
""")
LIST_MY_PROJECTS = named(f"""
    select {MY_PROJECT}, m.role
    from project_member m join project p on p.id = m.project_id
    where m.user_id = :user_id and p.deleted_at is null
        and (:created_at::timestamptz is null or (p.created_at, p.id) < (:created_at, :id::uuid))
    order by p.created_at desc, p.id desc limit :limit
""")
INSERT_PROJECT = built(
    ProjectRow.insert(
        ProjectRow(
            id=Param("id"),
            owner_id=Param("owner_id"),
            title=Param("title"),
            format=Param("format"),
            fps=Param("fps"),
            epoch=Param("epoch"),
            request_id=Param("request_id"),
        )
    )
)
UPDATE_PROJECT = built(
    ProjectRow.update(
        {
            ProjectRow.title: Param("title"),
            ProjectRow.format: Param("format"),
            ProjectRow.fps: Param("fps"),
            ProjectRow.request_id: Param("request_id"),
        }
    ).where(ProjectRow.id == Param("id"))
)
DELETE_PROJECT = built(
    ProjectRow.update(
        {ProjectRow.deleted_at: NOW, ProjectRow.request_id: Param("request_id")}
    ).where(ProjectRow.id == Param("id"))
)
END_WELCOME = built(
    ProjectRow.update(
        {ProjectRow.is_welcome: False, ProjectRow.request_id: Param("request_id")}
    ).where(ProjectRow.id == Param("id"), ProjectRow.is_welcome == True)  # noqa: E712
)
LIST_TITLES = built(
    ProjectRow.select(ProjectRow.title).where(
        ProjectRow.owner_id == Param("owner_id"), ProjectRow.deleted_at.is_null()
    )
)
LIST_UNTITLED = built(
    ProjectRow.select(ProjectRow.title).where(
        ProjectRow.owner_id == Param("owner_id"),
        ProjectRow.deleted_at.is_null(),
        ProjectRow.title.like(f"{DEFAULT_TITLE}%"),
    )
)
IS_TITLE_TAKEN = built(
    ProjectRow.exists().where(
        ProjectRow.owner_id == Param("owner_id"),
        ProjectRow.title == Param("title"),
        ProjectRow.deleted_at.is_null(),
    )
)
LOCK_ACCOUNT = named("select from user_account where id = :id for no key update")


def project_of(row: Record) -> Project:
    """Return the project of a row with the columns `PROJECT`."""
    return Project(**row)


async def find_project(reader: Reader, project_id: str) -> Project | None:
    """Return the project, deleted or not."""
    row = await reader.fetchrow(*FIND_PROJECT(id=project_id))
    return project_of(row) if row else None


async def get_my_project(reader: Reader, caller: Caller, project_id: str) -> MyProject:
    """Return the project; raise `NotFound` for an absent, deleted or foreign one."""
    row = await reader.fetchrow(*FIND_MY_PROJECT(id=project_id, user_id=caller.user_id))
    if row is None:
        raise NotFound("There is no such project.")
    return MyProject(**row)


async def list_projects(
    reader: Reader, caller: Caller, *, cursor: str | None, limit: int
) -> Page[MyProject]:
    """Return a page of the projects that the caller is a member of, newest first."""
    created_at, last_id = parse_cursor(cursor) if cursor is not None else (None, None)
    rows = await reader.fetch(
        *LIST_MY_PROJECTS(
            user_id=caller.user_id, created_at=created_at, id=last_id, limit=limit + 1
        )
    )
    items = [MyProject(**row) for row in rows[:limit]]
    return Page(items=items, next_cursor=_cursor(items[-1]) if len(rows) > limit else None)


def _cursor(project: Project) -> str:
    return f"{(project.created_at - UNIX_EPOCH) // timedelta(microseconds=1)}.{project.id}"


def parse_cursor(text: str) -> tuple[datetime, str]:
    """Return creation time and id of the last project of a page: `<microseconds>.<id>`.

    Raises `InvalidInput` for any other text.
    """
    number, _, last_id = text.partition(".")
    try:
        if not (number.isascii() and number.isdigit() and len(number) <= MAX_CURSOR_DIGITS):
            raise ValueError
        created_at = UNIX_EPOCH + timedelta(microseconds=int(number))
        return created_at, str(msgspec.convert(last_id, UUID))
    except (ValueError, OverflowError) as error:
        raise InvalidInput("This cursor did not come from a list of projects.") from error


async def create_project(tx: Tx, caller: Caller, new: NewProject) -> ActionResult[MyProject]:
    """Create a project that the caller owns; raise `AlreadyExists` for a title they use.

    Its log begins with the project (`changed: ["created"]`) and its owner, so that a replay
    from empty gives it.
    """
    title = None if new.title is None else _trimmed(new.title)
    await _lock_titles(tx, caller.user_id)
    if title is None:
        title = await _next_untitled(tx, caller.user_id)
    else:
        await _check_title_is_free(tx, caller.user_id, title)
    project_id = new_id()
    await tx.execute(
        *INSERT_PROJECT(
            id=project_id,
            owner_id=caller.user_id,
            title=title,
            format=new.format,
            fps=new.fps,
            epoch=new_epoch(),
            request_id=caller.request_id,
        )
    )
    await tx.execute(*PUT_MEMBER(project_id=project_id, user_id=caller.user_id, role="owner"))
    async with changing(
        tx, project_id, actor_id=caller.user_id, request_id=caller.request_id
    ) as change:
        await _emit_updated(change, ["created"])
        member = await get_member(tx, project_id, caller.user_id)
        change.emit("member.updated", {"member": member, "previousRole": None})
    mine = await get_my_project(tx, caller, project_id)
    return ActionResult(data=mine, affected=[project_id], revision=change.revision)


async def change_project(
    tx: Tx, caller: Caller, project_id: str, patch: ProjectPatch
) -> ActionResult[MyProject]:
    """Change title, format or frame rate.

    Only the owner may change the title: it is unique among the owner's projects. Raises
    `AlreadyExists` for one that is in use.
    """
    async with changing_project(tx, caller, project_id, "editor") as (change, access):
        before = await find_project(tx, project_id)
        assert before is not None
        title = before.title
        if patch.title is not msgspec.UNSET:
            require_role(access.role, "owner")
            title = _trimmed(patch.title)
        after: dict[str, str | int] = {
            "title": title,
            "format": before.format,
            "fps": before.fps,
        }
        if patch.format is not msgspec.UNSET:
            after["format"] = patch.format
        if patch.fps is not msgspec.UNSET:
            after["fps"] = patch.fps
        changed = [name for name, value in after.items() if getattr(before, name) != value]
        if "title" in changed:
            await _lock_titles(tx, before.owner_id)
            await _check_title_is_free(tx, before.owner_id, title)
        if changed:
            await tx.execute(*UPDATE_PROJECT(id=project_id, request_id=caller.request_id, **after))
            await _emit_updated(change, changed)
    mine = await get_my_project(tx, caller, project_id)
    revision = change.revision if changed else None
    return ActionResult(data=mine, affected=[project_id] if changed else [], revision=revision)


async def title_like(tx: Tx, owner_id: str, title: str, suffix: str) -> str:
    """Return `title (suffix)`, or `title (suffix 2)` and so on: the first that is not in use.

    It stays free until the transaction ends.
    """
    await _lock_titles(tx, owner_id)
    rows = await tx.fetch(*LIST_TITLES(owner_id=owner_id))
    taken, number, end = {row["title"] for row in rows}, 1, f" ({suffix})"
    while (found := title[: MAX_TITLE_CHARACTERS - len(end)] + end) in taken:
        number += 1
        end = f" ({suffix} {number})"
    return found


async def delete_project(tx: Tx, caller: Caller, project_id: str) -> ActionResult[Project]:
    """Mark a project as deleted: it is no longer found, and its title can be used again.

    Its rows and its log are kept.
    """
    async with changing_project(tx, caller, project_id, "owner") as (change, _):
        await tx.execute(*DELETE_PROJECT(id=project_id, request_id=caller.request_id))
        project = await _emit_updated(change, ["deletedAt"])
    return ActionResult(data=project, affected=[project_id], revision=change.revision)


async def end_welcome(change: Change) -> None:
    """Clear `isWelcome` when the project gets its first scene or run."""
    if await change.tx.execute(*END_WELCOME(id=change.project_id, request_id=change.request_id)):
        await _emit_updated(change, ["isWelcome"])


async def _emit_updated(change: Change, changed: list[str]) -> Project:
    project = await find_project(change.tx, change.project_id)
    assert project is not None
    change.emit("project.updated", {"project": project, "changed": changed})
    return project


def _trimmed(title: str) -> str:
    if not (trimmed := title.strip()):
        raise ValidationFailed.at("title", "blank", "A title needs a visible character.")
    return trimmed


async def _lock_titles(tx: Tx, owner_id: str) -> None:
    """Serialize the transactions that choose titles for this owner."""
    await tx.execute(*LOCK_ACCOUNT(id=owner_id))


async def _check_title_is_free(tx: Tx, owner_id: str, title: str) -> None:
    if await tx.fetchval(*IS_TITLE_TAKEN(owner_id=owner_id, title=title)):
        raise AlreadyExists("You have a project with this title already.")


async def _next_untitled(tx: Tx, owner_id: str) -> str:
    """Return `Untitled video`, `Untitled video 2` and so on: the first that is not in use."""
    rows = await tx.fetch(*LIST_UNTITLED(owner_id=owner_id))
    taken = {row["title"] for row in rows}
    number, title = 1, DEFAULT_TITLE
    while title in taken:
        number += 1
        title = f"{DEFAULT_TITLE} {number}"
    return title
