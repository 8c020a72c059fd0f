"""Requests for generations, as a client sends them."""

from typing import Any

from app.brain.model import TokenUsage
from app.generations.model import Generation
from app.generations.reads import find_generation
from app.generations.records import GeneratedCode, NewGeneration, begin, succeed
from app.realtime.log import changing
from app.scenes.blank import BLANK
from tests.harness.database import DB
from tests.harness.person import Person

WAIT = {"prefer": "wait=30"}


async def variations(person: Person, project: str, prompt: str, **fields: Any) -> list[Any]:
    """Request variations; return them once they have ended."""
    page = await person.do(
        "POST",
        f"/api/projects/{project}/generations",
        {"prompt": prompt, **fields},
        status=200,
        headers=WAIT,
    )
    items: list[Any] = page["items"]
    return items


async def refined(person: Person, parent: str, prompt: str, **fields: Any) -> list[Any]:
    """Refine a generation; return its children once they have ended."""
    page = await person.do(
        "POST",
        f"/api/generations/{parent}/refine",
        {"refinementPrompt": prompt, **fields},
        status=200,
        headers=WAIT,
    )
    items: list[Any] = page["items"]
    return items


async def read(person: Person, generation: str) -> Any:
    return await person.do("GET", f"/api/generations/{generation}")


async def chain(person: Person, generation: str) -> Any:
    return await person.do("GET", f"/api/generations/{generation}/chain")


async def apply(person: Person, generation: str, status: int = 200, **body: Any) -> Any:
    return await person.do("POST", f"/api/generations/{generation}/apply", body, status=status)


def code_of(number: int) -> str:
    """Valid code that differs by its number."""
    return BLANK.replace("New scene", f"Number {number}")


async def new_chain(person: Person, project: str, depth: int) -> list[str]:
    """Insert a root and successive refinements; return their ids, root first."""
    parent: Generation | None = None
    ids: list[str] = []
    for number in range(depth):
        async with (
            DB.transaction() as tx,
            changing(tx, project, actor_id=person.user_id, request_id="a-line") as change,
        ):
            if parent is not None:
                parent = await find_generation(tx, parent.id)
            new = NewGeneration(
                prompt="The first",
                refinement_prompt=f"Step {number}" if parent else None,
                parent=parent,
                format="landscape",
            )
            parent = await begin(change, new)
            made = GeneratedCode(
                code=code_of(number), model="tests", usage=TokenUsage(), milliseconds=1
            )
            await succeed(change, parent.id, made)
        ids.append(parent.id)
    return ids


async def generations(project: str) -> list[dict[str, Any]]:
    """The rows of the generations of a project, oldest first."""
    rows = await DB.fetch(
        "select * from generation where project_id = $1 order by revision", project
    )
    return [dict(row) for row in rows]
