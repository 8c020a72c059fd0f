"""Undo and redo of a user's own steps and of everyone's, also with two users at once."""

import asyncio
from typing import Any

import pytest

from tests.harness.person import Person
from tests.harness.studio import Studio, snapshot_of
from tests.harness.turns import begin_turn, end_turn
from tests.history.steps import (
    Json,
    add,
    do_step,
    drop,
    film,
    newest,
    revert_iteration,
    rewrite,
    turn,
)


async def walk(person: Person, project_id: str, verb: str, scope: str | None = None) -> Json:
    body = None if scope is None else {"scope": scope}
    went: Json = await person.do("POST", f"/api/projects/{project_id}/{verb}", body)
    return went


async def refused(person: Person, project_id: str, verb: str, scope: str = "mine") -> Json:
    answer = await person.ask("POST", f"/api/projects/{project_id}/{verb}", {"scope": scope})
    assert answer.status_code == 409, answer.text
    error: Json = answer.json()["error"]
    assert error["code"] == "CONFLICT"
    return error


async def ends(person: Person, project_id: str, verb: str, scope: str = "mine") -> None:
    error = await refused(person, project_id, verb, scope)
    assert error["message"] == f"There is nothing to {verb}."
    assert "details" not in error


async def many_steps(ann: Person, project_id: str) -> list[list[Json]]:
    """Do one change of each kind; return the film before each step and after the last."""
    films = [await film(project_id)]

    async def step(done: Any) -> Any:
        result = await done
        films.append(await film(project_id))
        return result

    a = (await step(ann.scene(project_id, name="A", props={"one": 1})))["id"]
    b = (await step(ann.scene(project_id, name="B", tsxCode="b\r\n")))["id"]
    await step(ann.do("PATCH", f"/api/scenes/{a}", {"props": {"one": True}}))
    await step(ann.do("POST", f"/api/scenes/{a}/split", {"atFrame": 40}))
    await step(ann.do("POST", f"/api/scenes/{b}/duplicate"))
    ids = await ann.order(project_id)
    order = {"sceneIds": ids[::-1]}
    await step(ann.do("PUT", f"/api/projects/{project_id}/scene-order", order))
    await step(ann.do("DELETE", f"/api/scenes/{b}"))
    await step(turn(ann.user_id, project_id, drop(ids[0]), add(), rewrite(ids[1], name="T")))
    await step(ann.do("POST", f"/api/scenes/{b}/restore"))
    await step(ann.do("PATCH", f"/api/scenes/{b}", {"name": "Again", "duration": 1}))
    await step(ann.do("POST", f"/api/scenes/{b}/trim", {"duration": 2}))
    await step(revert_iteration(ann, (await newest(ann, b))["id"]))
    return films


@pytest.mark.parametrize("scope", ["mine", "project"])
async def test_every_step_is_undone_and_redone(studio: Studio, scope: str) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    films = await many_steps(ann, project_id)
    for _ in range(2):
        for number in reversed(range(len(films) - 1)):
            async with studio.watching(project_id):
                await walk(ann, project_id, "undo", scope)
            assert await film(project_id) == films[number], number
        await ends(ann, project_id, "undo", scope)
        for number in range(1, len(films)):
            async with studio.watching(project_id):
                await walk(ann, project_id, "redo", scope)
            assert await film(project_id) == films[number], number
        await ends(ann, project_id, "redo", scope)


async def test_undo_and_redo_in_any_order(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    films = await many_steps(ann, project_id)
    at = len(films) - 1
    for steps in (-3, +2, -5, +1, +1, -1, +4, -6, +7):
        for _ in range(abs(steps)):
            await walk(ann, project_id, "undo" if steps < 0 else "redo")
        at += steps
        assert await film(project_id) == films[at]


async def test_a_new_change_clears_only_its_user_s_redo(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    bob = await studio.member(ann, project_id, "bob", "editor")
    a = (await ann.scene(project_id))["id"]
    b = (await bob.scene(project_id))["id"]
    await ann.do("PATCH", f"/api/scenes/{a}", {"name": "A"})
    await bob.do("PATCH", f"/api/scenes/{b}", {"name": "B"})
    await walk(ann, project_id, "undo")
    await walk(bob, project_id, "undo")
    await ann.do("PATCH", f"/api/scenes/{a}", {"duration": 3})
    await ends(ann, project_id, "redo")
    await ends(ann, project_id, "redo", "project")
    await walk(bob, project_id, "redo")
    assert [scene["name"] for scene in await film(project_id)] == ["Scene 1", "B"]


async def test_two_users_undo_their_own_steps(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    bob = await studio.member(ann, project_id, "bob", "editor")
    a = (await ann.scene(project_id, name="a"))["id"]
    b = (await ann.scene(project_id, name="b"))["id"]
    before = await film(project_id)
    for number in range(3):
        await ann.do("PATCH", f"/api/scenes/{a}", {"name": f"a{number}"})
        await bob.do("PATCH", f"/api/scenes/{b}", {"name": f"b{number}"})
    after = await film(project_id)
    for _ in range(3):
        await asyncio.gather(*(walk(one, project_id, "undo") for one in (ann, bob)))
    assert await film(project_id) == before
    await ends(bob, project_id, "undo")
    for _ in range(3):
        await asyncio.gather(*(walk(one, project_id, "redo") for one in (ann, bob)))
    assert await film(project_id) == after


async def test_an_undo_that_would_lose_the_change_of_another_names_it(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    bob = await studio.member(ann, project_id, "bob", "editor")
    scene = (await ann.scene(project_id))["id"]
    await ann.do("PATCH", f"/api/scenes/{scene}", {"name": "A"})
    await bob.do("PATCH", f"/api/scenes/{scene}", {"name": "B"})
    was = await snapshot_of(project_id)
    error = await refused(ann, project_id, "undo")
    [later] = error["details"]["later"]
    assert (later["actorId"], later["changesApplied"]) == (bob.user_id, ["name A \u2192 B"])
    assert error["message"].endswith("or revert the message or iteration with force.")
    assert await snapshot_of(project_id) == was
    await walk(bob, project_id, "undo")
    await walk(ann, project_id, "undo")
    assert (await film(project_id))[0]["name"] == "Scene 1"
    error = await refused(bob, project_id, "redo")
    assert error["details"]["later"][-1]["changeSource"] == "revert"
    await walk(ann, project_id, "redo")
    await walk(bob, project_id, "redo")
    assert (await film(project_id))[0]["name"] == "B"


async def test_the_scope_project_covers_the_steps_of_everyone(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    bob = await studio.member(ann, project_id, "bob", "editor")
    scene = (await ann.scene(project_id))["id"]
    films = []
    for number, person in enumerate((ann, bob, ann, bob)):
        films.append(await film(project_id))
        await person.do("PATCH", f"/api/scenes/{scene}", {"name": f"N{number}"})
    last = await film(project_id)
    for number, person in zip((3, 2, 1, 0), (ann, bob, ann, bob), strict=True):
        await walk(person, project_id, "undo", "project")
        assert await film(project_id) == films[number]
    for person in (bob, ann, bob, ann):
        await walk(person, project_id, "redo", "project")
    assert await film(project_id) == last


async def test_a_revert_is_a_step_and_an_undo_is_not(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    scene = (await ann.scene(project_id))["id"]
    films = [await film(project_id)]
    for name in ("A", "B"):
        await ann.do("PATCH", f"/api/scenes/{scene}", {"name": name})
        films.append(await film(project_id))
    await revert_iteration(ann, (await newest(ann, scene))["id"])
    assert await film(project_id) == films[1]
    await walk(ann, project_id, "undo")
    assert await film(project_id) == films[2], "the revert was undone"
    await walk(ann, project_id, "undo")
    assert await film(project_id) == films[1]
    await walk(ann, project_id, "undo")
    assert await film(project_id) == films[0]


async def test_a_step_that_another_user_reverted_is_skipped(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    bob = await studio.member(ann, project_id, "bob", "editor")
    scene = (await ann.scene(project_id, name="0"))["id"]
    for name in ("1", "2"):
        await ann.do("PATCH", f"/api/scenes/{scene}", {"name": name})
    await revert_iteration(bob, (await newest(ann, scene))["id"])
    await walk(ann, project_id, "undo")
    assert (await film(project_id))[0]["name"] == "0"
    await walk(ann, project_id, "redo")
    assert (await film(project_id))[0]["name"] == "1"


async def test_ten_undos_with_one_key_are_one(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    for _ in range(3):
        await ann.scene(project_id)
    path = f"/api/projects/{project_id}/undo"
    answers = await asyncio.gather(
        *(ann.ask("POST", path, {}, headers={"idempotency-key": "k"}) for _ in range(10))
    )
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert answers[0].json()["meta"]["operation"] == "project.undo"
    assert len(await film(project_id)) == 2


async def test_a_running_run_can_not_be_undone(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    run = await begin_turn(ann.user_id, project_id)
    await do_step(run, add())
    at_work = await film(project_id)
    for path, body in (
        (f"/api/projects/{project_id}/undo", {}),
        (f"/api/messages/{run.assistant_message_id}/revert", {"target": "before", "force": True}),
    ):
        refused = await ann.ask("POST", path, body)
        assert refused.status_code == 409, refused.text
        assert "still at work" in refused.json()["error"]["message"]
    assert await film(project_id) == at_work
    await do_step(run, add())
    await end_turn(project_id, run)
    await ann.do("POST", f"/api/projects/{project_id}/undo", {})
    assert await film(project_id) == []
    await ann.do("POST", f"/api/projects/{project_id}/redo", {})
    assert len(await film(project_id)) == 2
