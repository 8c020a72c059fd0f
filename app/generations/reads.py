"""Reading generations: one, a page, a batch, or a chain of ancestors."""

from typing import Any

from asyncpg import Record

from app.auth.model import Caller
from app.brain.model import TokenUsage
from app.generations.model import MAX_CHAIN_GENERATIONS, Chain, Generation
from app.generations.tables import GenerationRow
from app.http.envelope import Page
from app.problems import NotFound
from app.projects.access import Access, access_project
from app.projects.model import Role
from app.store.database import Reader
from app.store.query import Param, built, column_list, named

NO_GENERATION = "There is no such generation."

GENERATION = GenerationRow.all_columns(
    exclude=[
        GenerationRow.root_generation_id,
        GenerationRow.base_code,
        GenerationRow.wanted_model,
        GenerationRow.lease_owner,
        GenerationRow.lease_epoch,
        GenerationRow.lease_expires_at,
        GenerationRow.request_id,
    ]
)

FIND_GENERATION = built(GenerationRow.select(*GENERATION).where(GenerationRow.id == Param("id")))
IS_IN_PAGE = (GenerationRow.project_id == Param("project_id")) & (
    GenerationRow.revision > Param("after")
)
LIST_GENERATIONS = built(
    GenerationRow.select(*GENERATION).where(IS_IN_PAGE).order_by(GenerationRow.revision),
    limit=Param("limit"),
)
LIST_CHILDREN = built(
    GenerationRow.select(*GENERATION)
    .where(IS_IN_PAGE, GenerationRow.parent_generation_id == Param("parent_id"))
    .order_by(GenerationRow.revision),
    limit=Param("limit"),
)
LIST_BATCH = built(
    GenerationRow.select(*GENERATION)
    .where(GenerationRow.batch_id == Param("batch_id"))
    .order_by(GenerationRow.variation_index)
)
# The newest MAX_CHAIN_GENERATIONS + 1 ancestors; `seen` ends a cycle, `depth` bounds the work.
LIST_CHAIN = named(f"""
    with recursive up as (
        select id, parent_generation_id, project_id, 1 as depth, array[id] as seen
        from generation where id = :id
        union all
        select above.id, above.parent_generation_id, above.project_id, depth + 1, seen || above.id
        from up join generation above
            on above.id = up.parent_generation_id and above.project_id = up.project_id
        where above.id <> all (seen) and depth <= {MAX_CHAIN_GENERATIONS}
    )
    select {column_list(GENERATION, alias="g")}, g.root_generation_id
    from up join generation g on g.id = up.id
    order by up.depth desc
""")


def generation_of(row: Record | dict[str, Any]) -> Generation:
    """Return the generation of a row with the columns `GENERATION`."""
    values = dict(row)
    read, written, cached, source = (
        values.pop(name)
        for name in ("input_tokens", "output_tokens", "cached_tokens", "usage_source")
    )
    usage = None
    if source is not None:
        usage = TokenUsage(
            input_tokens=read or 0,
            output_tokens=written or 0,
            cached_tokens=cached or 0,
            source=source,
        )
    return Generation(**values, usage=usage)


async def find_generation(reader: Reader, generation_id: str) -> Generation | None:
    """Return the generation, deleted or not."""
    row = await reader.fetchrow(*FIND_GENERATION(id=generation_id))
    return generation_of(row) if row else None


async def access_generation(
    reader: Reader, caller: Caller, generation_id: str, role: Role
) -> tuple[Generation, Access]:
    """Return a generation, deleted or not, and the caller's access to its project.

    Raises `NotFound` for an absent or foreign one, `Forbidden` when the caller's role is below.
    """
    generation = await find_generation(reader, generation_id)
    if generation is None:
        raise NotFound(NO_GENERATION)
    access = await access_project(reader, caller, generation.project_id, role, absent=NO_GENERATION)
    return generation, access


async def list_generations(
    reader: Reader, project_id: str, parent_id: str | None, *, after: int | None, limit: int
) -> Page[Generation]:
    """Return a page of a project's generations, or of one parent's children, oldest first.

    `after` is the last revision of the previous page.
    """
    page = {"project_id": project_id, "after": after or 0, "limit": limit + 1}
    if parent_id is None:
        statement = LIST_GENERATIONS(**page)
    else:
        statement = LIST_CHILDREN(**page, parent_id=parent_id)
    rows = await reader.fetch(*statement)
    items = [generation_of(row) for row in rows[:limit]]
    return Page(items=items, next_cursor=str(items[-1].revision) if len(rows) > limit else None)


async def batch_of(reader: Reader, batch_id: str) -> list[Generation]:
    """Return the variations that one request began, in their order."""
    return [generation_of(row) for row in await reader.fetch(*LIST_BATCH(batch_id=batch_id))]


async def chain_of(reader: Reader, generation_id: str) -> Chain:
    """Return a generation and its ancestors with one query; a cycle ends where it closes.

    Raises `NotFound`.
    """
    rows = [dict(row) for row in await reader.fetch(*LIST_CHAIN(id=generation_id))]
    if not rows:
        raise NotFound(NO_GENERATION)
    roots = [row.pop("root_generation_id") for row in rows]
    items = [generation_of(row) for row in rows[-MAX_CHAIN_GENERATIONS:]]
    return Chain(
        items=items,
        root_id=roots[-1] or generation_id,
        truncated=len(rows) > MAX_CHAIN_GENERATIONS,
    )
