"""Each kind of change is reverted and redone exactly, byte by byte."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.harness.database import DB
from tests.harness.person import Person
from tests.harness.studio import Studio, snapshot_of
from tests.history.steps import CODE, Json, film, newest, refused_revert, revert_iteration

Act = Callable[[Person, str, list[str]], Awaitable[Any]]


def patch(**fields: Any) -> Act:
    return lambda ann, _, ids: ann.do("PATCH", f"/api/scenes/{ids[1]}", fields)


def post(verb: str, **fields: Any) -> Act:
    return lambda ann, _, ids: ann.do("POST", f"/api/scenes/{ids[1]}/{verb}", fields)


async def delete(ann: Person, project_id: str, ids: list[str]) -> None:
    await ann.do("DELETE", f"/api/scenes/{ids[1]}")


async def restore(ann: Person, project_id: str, ids: list[str]) -> None:
    await ann.do("POST", f"/api/scenes/{ids[3]}/restore")


async def create(ann: Person, project_id: str, ids: list[str]) -> None:
    await ann.scene(project_id, name="New", tsxCode=CODE, props={"a": 1})


async def reorder(ann: Person, project_id: str, ids: list[str]) -> None:
    order = [ids[2], ids[0], ids[1]]
    await ann.do("PUT", f"/api/projects/{project_id}/scene-order", {"sceneIds": order})


ACTS: dict[str, Act] = {
    "edit": patch(tsxCode=CODE),
    "rename": patch(name="Other"),
    "trim": post("trim", duration=7),
    "props": patch(props={"big": 10**300, "one": True, "é": [1.0, None]}),
    "layout": patch(layoutJson="{}"),
    "all at once": patch(tsxCode="", name="O", duration=1, props={}, layoutJson="x"),
    "duplicate": post("duplicate"),
    "delete": delete,
    "restore": restore,
    "create": create,
    "reorder": reorder,
}


async def iterations_after(project_id: str, revision: int) -> list[Json]:
    rows = await DB.fetch(
        "select * from scene_iteration where project_id = $1 and revision > $2 order by revision",
        project_id,
        revision,
    )
    return [dict(row) for row in rows]


async def begun(studio: Studio) -> tuple[Person, str, list[str]]:
    """Make three scenes, the second with all its fields, and a fourth that is deleted."""
    ann = await studio.person("ann")
    project_id = await ann.project()
    ids = [
        (await ann.scene(project_id, name=f"S{n}", props={"one": 1, "n": n}, layoutJson="[]"))["id"]
        for n in range(4)
    ]
    await ann.do("DELETE", f"/api/scenes/{ids[3]}")
    return ann, project_id, ids


@pytest.mark.parametrize("name", ACTS)
async def test_each_operation_is_reverted_and_redone(studio: Studio, name: str) -> None:
    ann, project_id, ids = await begun(studio)
    before = await film(project_id)
    revision = (await snapshot_of(project_id))["revision"]
    await ACTS[name](ann, project_id, ids)
    after = await film(project_id)
    assert after != before
    [made] = await iterations_after(project_id, revision)
    async with studio.watching(project_id) as events:
        went = await revert_iteration(ann, made["id"])
    assert await film(project_id) == before
    kinds = [event.type for event in events]
    assert kinds[0] == "message.created"
    assert kinds[2] == "iteration.created"
    assert len(kinds) == 3
    message = events[0].data["message"]
    assert (message["role"], message["kind"], message["status"]) == ("system", "status", "success")
    assert message == went["message"]
    [iteration] = went["iterations"]
    assert (iteration["changeSource"], iteration["messageId"]) == ("revert", message["id"])
    assert iteration["revertsIterationId"] == made["id"]
    async with studio.watching(project_id):
        assert (await revert_iteration(ann, made["id"], "after"))["iterations"]
    assert await film(project_id) == after


@pytest.mark.parametrize("name", ACTS)
async def test_a_revert_of_a_revert_gives_the_state_before_it(studio: Studio, name: str) -> None:
    ann, project_id, ids = await begun(studio)
    before = await film(project_id)
    revision = (await snapshot_of(project_id))["revision"]
    await ACTS[name](ann, project_id, ids)
    after = await film(project_id)
    [made] = await iterations_after(project_id, revision)
    step = made["id"]
    for number in range(4):
        async with studio.watching(project_id):
            went = await revert_iteration(ann, step)
        assert await film(project_id) == (before if number % 2 == 0 else after)
        step = went["iterations"][0]["id"]


async def test_a_revert_to_the_current_state_changes_nothing(studio: Studio) -> None:
    ann, project_id, ids = await begun(studio)
    await ACTS["edit"](ann, project_id, ids)
    edit = await newest(ann, ids[1])
    was = await snapshot_of(project_id)
    answer = await ann.ask("POST", f"/api/iterations/{edit['id']}/revert", {"target": "after"})
    assert answer.status_code == 200
    assert answer.json()["data"] == {"scenes": [], "iterations": [], "message": None}
    assert answer.json()["meta"]["affectedIds"] == []
    assert await snapshot_of(project_id) == was
    await revert_iteration(ann, edit["id"])
    was = await snapshot_of(project_id)
    assert (await revert_iteration(ann, edit["id"]))["iterations"] == []
    assert await snapshot_of(project_id) == was


async def test_later_changes_block_a_revert_unless_forced(studio: Studio) -> None:
    ann, project_id, ids = await begun(studio)
    bob = await studio.member(ann, project_id, "bob", "editor")
    path = f"/api/scenes/{ids[1]}"
    await ann.do("PATCH", path, {"name": "Mine"})
    mine = await newest(ann, ids[1])
    before = mine["before"]
    await bob.do("PATCH", path, {"name": "Theirs"})
    await bob.do("PATCH", path, {"duration": 9})
    await bob.do("PATCH", f"/api/scenes/{ids[0]}", {"duration": 9})
    was = await snapshot_of(project_id)
    for target in ("before", "after"):
        error = await refused_revert(ann, f"iterations/{mine['id']}", target=target)
        later = error["details"]["later"]
        assert [one["changesApplied"] for one in later] == [
            ["name Mine \u2192 Theirs"],
            ["duration 150 \u2192 9"],
        ]
        assert {one["actorId"] for one in later} == {bob.user_id}
    assert await snapshot_of(project_id) == was
    async with studio.watching(project_id):
        await revert_iteration(ann, mine["id"], force=True)
    scene = await ann.do("GET", path)
    assert (scene["name"], scene["duration"]) == (before["name"], before["duration"])


async def test_later_changes_that_were_reverted_do_not_block_a_revert(studio: Studio) -> None:
    ann, project_id, ids = await begun(studio)
    path = f"/api/scenes/{ids[1]}"
    before = await film(project_id)
    await ann.do("PATCH", path, {"name": "One"})
    one = await newest(ann, ids[1])
    await ann.do("PATCH", path, {"name": "Two"})
    two = await newest(ann, ids[1])
    await refused_revert(ann, f"iterations/{one['id']}")
    await revert_iteration(ann, two["id"])
    await revert_iteration(ann, one["id"])
    assert await film(project_id) == before


async def test_an_edit_that_was_reversed_manually_still_blocks_a_revert(
    studio: Studio,
) -> None:
    ann, _, ids = await begun(studio)
    path = f"/api/scenes/{ids[1]}"
    await ann.do("PATCH", path, {"name": "One"})
    one = await newest(ann, ids[1])
    for name in ("Two", "One"):
        await ann.do("PATCH", path, {"name": name})
    error = await refused_revert(ann, f"iterations/{one['id']}")
    assert len(error["details"]["later"]) == 2


async def test_a_forced_revert_restores_a_deleted_scene_with_older_content(studio: Studio) -> None:
    ann, project_id, ids = await begun(studio)
    before = await film(project_id)
    path = f"/api/scenes/{ids[1]}"
    await ann.do("PATCH", path, {"tsxCode": CODE, "name": "Edited"})
    edit = await newest(ann, ids[1])
    await ann.do("DELETE", path)
    gone = await newest(ann, ids[1])
    await refused_revert(ann, f"iterations/{edit['id']}")
    async with studio.watching(project_id) as events:
        went = await revert_iteration(ann, edit["id"], force=True)
    assert await film(project_id) == before
    assert [event.type for event in events][1:] == ["scene.restored", "iteration.created"]
    assert went["iterations"][0]["changesApplied"] == ["code", "name Edited \u2192 S1", "restored"]
    async with studio.watching(project_id):
        await revert_iteration(ann, gone["id"], "after", force=True)
    assert len(await film(project_id)) == 2
    async with studio.watching(project_id):
        await revert_iteration(ann, went["iterations"][0]["id"], "after", force=True)
    assert await film(project_id) == before


async def test_a_deleted_scene_may_get_other_content_and_stay_deleted(studio: Studio) -> None:
    ann, project_id, ids = await begun(studio)
    path = f"/api/scenes/{ids[1]}"
    await ann.do("DELETE", path)
    first = await newest(ann, ids[1])
    await ann.do("POST", f"{path}/restore")
    await ann.do("PATCH", path, {"name": "Edited"})
    await ann.do("DELETE", path)
    async with studio.watching(project_id) as events:
        await revert_iteration(ann, first["id"], "after", force=True)
    assert [event.type for event in events][1:] == ["scene.deleted", "iteration.created"]
    async with studio.watching(project_id):
        back = await ann.do("POST", f"{path}/restore")
    assert (back["name"], back["position"]) == ("S1", 1)


async def test_an_order_is_restored_for_the_scenes_that_still_exist(studio: Studio) -> None:
    ann, project_id, ids = await begun(studio)
    a, b, c, d = ids
    await ann.do("PUT", f"/api/projects/{project_id}/scene-order", {"sceneIds": [c, b, a]})
    [order] = [one for one in await iterations_after(project_id, 0) if one["scene_id"] is None]
    await ann.do("DELETE", f"/api/scenes/{b}")
    new = (await ann.scene(project_id))["id"]
    await ann.do("POST", f"/api/scenes/{d}/restore")
    assert await ann.order(project_id) == [c, a, new, d]
    async with studio.watching(project_id):
        await revert_iteration(ann, order["id"])
    assert await ann.order(project_id) == [a, c, new, d]
    async with studio.watching(project_id):
        await revert_iteration(ann, order["id"], "after")
    assert await ann.order(project_id) == [c, a, new, d]
    await ann.do("PUT", f"/api/projects/{project_id}/scene-order", {"sceneIds": [d, c, a, new]})
    await revert_iteration(ann, order["id"], "after")
    error = await refused_revert(ann, f"iterations/{order['id']}")
    assert [one["operationType"] for one in error["details"]["later"]] == [
        "reorder",
        "reorder",
        "reorder",
    ]
