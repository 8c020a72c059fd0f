"""Reading generations: one, a page of them, the chain of what was refined."""

from app.auth.model import Caller
from app.generations.model import CHAIN_MOST, GENERATION, Chain, Generation, generation_of
from app.http.envelope import Page
from app.problems import NotFound
from app.projects.access import Access, access_project
from app.projects.model import Role
from app.store.database import Reader

ABSENT = "There is no such generation."
QUALIFIED = ", ".join(f"g.{name.strip()}" for name in GENERATION.split(","))

# The newest CHAIN_MOST + 1 ancestors; `seen` ends a circle, `depth` the work.
CHAIN = f"""
    with recursive up as (
        select id, parent_generation_id, project_id, 1 as depth, array[id] as seen
        from generation where id = $1
        union all
        select above.id, above.parent_generation_id, above.project_id, depth + 1, seen || above.id
        from up join generation above
            on above.id = up.parent_generation_id and above.project_id = up.project_id
        where above.id <> all (seen) and depth <= {CHAIN_MOST}
    )
    select {QUALIFIED}, g.root_generation_id from up join generation g on g.id = up.id
    order by up.depth desc
"""


async def find_generation(reader: Reader, generation_id: str) -> Generation | None:
    """Also a deleted one."""
    row = await reader.fetchrow(f"select {GENERATION} from generation where id = $1", generation_id)
    return generation_of(row) if row else None


async def access_generation(
    reader: Reader, caller: Caller, generation_id: str, role: Role
) -> tuple[Generation, Access]:
    """Also a deleted one, for what refined it still points there. Raise `NotFound` for an absent
    or foreign one."""
    generation = await find_generation(reader, generation_id)
    if generation is None:
        raise NotFound(ABSENT)
    try:
        access = await access_project(reader, caller, generation.project_id, role)
    except NotFound:
        raise NotFound(ABSENT) from None
    return generation, access


async def list_generations(
    reader: Reader, project_id: str, parent_id: str | None, *, after: int | None, limit: int
) -> Page[Generation]:
    """Oldest first; of one parent when it is given. `nextCursor` is the next `after`."""
    of_parent = "" if parent_id is None else " and parent_generation_id = $4"
    rows = await reader.fetch(
        f"select {GENERATION} from generation where project_id = $1"
        f" and ($2::bigint is null or revision > $2){of_parent} order by revision limit $3",
        project_id,
        after,
        limit + 1,
        *([] if parent_id is None else [parent_id]),
    )
    items = [generation_of(row) for row in rows[:limit]]
    return Page(items=items, next_cursor=str(items[-1].revision) if len(rows) > limit else None)


async def batch_of(reader: Reader, batch_id: str) -> list[Generation]:
    """The variations that were asked for together."""
    rows = await reader.fetch(
        f"select {GENERATION} from generation where batch_id = $1 order by variation_index",
        batch_id,
    )
    return [generation_of(row) for row in rows]


async def chain_of(reader: Reader, generation_id: str) -> Chain:
    """What led to a generation, root first, in one query; a circle ends where it closes."""
    rows = [dict(row) for row in await reader.fetch(CHAIN, generation_id)]
    if not rows:
        raise NotFound(ABSENT)
    roots = [row.pop("root_generation_id") for row in rows]
    items = [generation_of(row) for row in rows[-CHAIN_MOST:]]
    return Chain(
        items=items,
        root_id=roots[-1] or generation_id,
        truncated=len(rows) > CHAIN_MOST,
    )
