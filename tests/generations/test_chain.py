"""Chains of generations: children oldest first, chains root first, and cycles that end."""

import pytest

from app.generations.reads import LIST_CHAIN
from app.problems import NotFound
from app.store.ids import new_id
from tests.conftest import NewPerson
from tests.generations.making import chain, new_chain, read, refined, variations
from tests.harness.database import DB
from tests.harness.person import Person


async def test_a_chain_is_root_first(person: Person) -> None:
    project = await person.project()
    ids = await new_chain(person, project, 5)
    for end in range(1, 6):
        found = await chain(person, ids[end - 1])
        assert [one["id"] for one in found["items"]] == ids[:end]
        assert (found["rootId"], found["truncated"]) == (ids[0], False)
    assert [one["parentGenerationId"] for one in found["items"]] == [None, *ids[:-1]]


@pytest.mark.parametrize(("depth", "truncated"), [(49, False), (50, False), (51, True), (60, True)])
async def test_a_long_chain_shows_its_newest_fifty(
    person: Person, depth: int, truncated: bool
) -> None:
    project = await person.project()
    ids = await new_chain(person, project, depth)
    found = await chain(person, ids[-1])
    assert [one["id"] for one in found["items"]] == ids[-50:]
    assert (found["rootId"], found["truncated"]) == (ids[0], truncated)


async def test_a_cycle_ends(person: Person) -> None:
    project = await person.project()
    ids = await new_chain(person, project, 3)
    point = "update generation set parent_generation_id = $2 where id = $1"
    await DB.fetch(point, ids[0], ids[2])
    try:
        found = await chain(person, ids[2])
        assert [one["id"] for one in found["items"]] == ids
        assert found["truncated"] is False
        await DB.fetch(point, ids[0], ids[0])
        assert [one["id"] for one in (await chain(person, ids[0]))["items"]] == ids[:1]
    finally:
        await DB.fetch(point, ids[0], None)


async def test_a_row_of_an_older_version_is_a_chain_of_one(person: Person) -> None:
    project = await person.project()
    [made] = await variations(person, project, "A title")
    await DB.fetch(
        "update generation set batch_id = null, variation_index = null, variation_count = null,"
        " model = null, input_tokens = null, output_tokens = null, cached_tokens = null,"
        " usage_source = null, duration_ms = null where id = $1",
        made["id"],
    )
    found = await chain(person, made["id"])
    assert [one["id"] for one in found["items"]] == [made["id"]]
    assert found["items"][0]["usage"] is None
    assert (found["rootId"], found["truncated"]) == (made["id"], False)


async def test_children_are_listed_oldest_first_in_pages(person: Person) -> None:
    project = await person.project()
    [parent] = await variations(person, project, "A title")
    made = [
        (await refined(person, parent["id"], f"Make it {colour}"))[0]["id"]
        for colour in ("red", "green", "blue")
    ]
    await refined(person, made[0], "Make it yellow")  # a grandchild
    found: list[str] = []
    query = {"parentId": parent["id"], "limit": "2"}
    while True:
        page = await person.do("GET", "/api/generations", params=query)
        assert len(page["items"]) <= 2
        found += [one["id"] for one in page["items"]]
        if page["nextCursor"] is None:
            break
        query["after"] = page["nextCursor"]
    assert found == made
    everything = await person.do("GET", "/api/generations", params={"projectId": project})
    assert [one["id"] for one in everything["items"]][:4] == [parent["id"], *made]
    assert len(everything["items"]) == 5
    both = {"projectId": project, "parentId": parent["id"]}
    assert len((await person.do("GET", "/api/generations", params=both))["items"]) == 3
    other = {"projectId": await person.project(), "parentId": parent["id"]}
    assert (await person.refused("GET", "/api/generations", params=other))[1] == "NOT_FOUND"
    assert (await person.refused("GET", "/api/generations"))[1] == "INVALID_INPUT"


async def test_a_chain_without_its_middle_stays_connected(person: Person) -> None:
    project = await person.project()
    ids = await new_chain(person, project, 4)
    gone = await person.do("DELETE", f"/api/generations/{ids[1]}", status=200)
    assert (gone["tsxCode"], gone["status"]) == (None, "success")
    assert gone["deletedAt"]
    found = await chain(person, ids[3])
    assert [one["id"] for one in found["items"]] == ids
    assert [one["deletedAt"] is not None for one in found["items"]] == [False, True, False, False]
    assert await read(person, ids[1]) == gone
    assert (await read(person, ids[2]))["parentGenerationId"] == ids[1]
    assert (await person.refused("DELETE", f"/api/generations/{ids[1]}"))[1] == "NOT_FOUND"
    asked = {"refinementPrompt": "Better"}
    path = f"/api/generations/{ids[1]}"
    assert (await person.refused("POST", f"{path}/refine", asked))[1] == "NOT_FOUND"
    assert (await person.refused("POST", f"{path}/apply", {}))[1] == "CONFLICT"
    events = await DB.fetchval(
        "select count(*) from project_event where project_id = $1 and payload::text like '%tsx%'",
        project,
    )
    assert events == 0  # the log never held the code


async def test_a_chain_stays_in_its_project(person: Person, new_person: NewPerson) -> None:
    """Even if the parent were in another project: the chain ends before it."""
    mine = await new_chain(person, await person.project(), 1)
    bob = await new_person()
    theirs = await new_chain(bob, await bob.project(), 1)
    point = "update generation set parent_generation_id = $2 where id = $1"
    await DB.fetch(point, mine[0], theirs[0])
    rows = await DB.fetch(*LIST_CHAIN(id=mine[0]))
    await DB.fetch(point, mine[0], None)
    assert [row["id"] for row in rows] == mine


async def test_an_unknown_generation_has_no_chain(person: Person) -> None:
    from app.generations.reads import chain_of

    with pytest.raises(NotFound):
        await chain_of(DB, new_id())
