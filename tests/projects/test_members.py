"""Members, roles and invites of a project."""

import asyncio

from app.projects.members import set_role
from tests.harness.database import DB
from tests.harness.person import Person
from tests.harness.studio import Studio

BLOCKED = "select exists (select from pg_locks where not granted)"


async def invited(owner: Person, project_id: str, **fields: object) -> dict[str, str]:
    made: dict[str, str] = await owner.do("POST", f"/api/projects/{project_id}/invites", fields)
    return made


async def test_an_invite_adds_one_member(studio: Studio) -> None:
    ann, bob, eve = [await studio.person(name) for name in ("ann", "bob", "eve")]
    project_id = await ann.project()
    invite = await invited(ann, project_id, role="editor")
    assert invite["url"] == f"{studio.address}/invites/{invite['token']}"
    path = f"/api/invites/{invite['token']}/accept"
    async with studio.watching(project_id) as events:
        member = await bob.do("POST", path, {})
    bob_in = {"projectId": project_id, "userId": bob.user_id, "name": "Bob", "role": "editor"}
    assert member == bob_in
    assert [(event.type, event.data) for event in events] == [
        ("member.updated", {"member": bob_in, "previousRole": None})
    ]
    assert await bob.refused("POST", path, {"role": "owner"}) == (400, "INVALID_INPUT")
    assert await bob.do("POST", path) == bob_in, "accepting an invite again changes nothing"
    assert await eve.refused("POST", path, {}) == (404, "NOT_FOUND")
    members = await bob.do("GET", f"/api/projects/{project_id}/members")
    assert [(one["userId"], one["role"]) for one in members["items"]] == [
        (ann.user_id, "owner"),
        (bob.user_id, "editor"),
    ]


async def test_of_many_concurrent_accepts_of_one_invite_one_succeeds(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    invite = await invited(ann, project_id, role="viewer")
    guests = [await studio.person(f"guest{n}") for n in range(6)]
    path = f"/api/invites/{invite['token']}/accept"
    answers = await asyncio.gather(*(guest.ask("POST", path) for guest in guests))
    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 5
    members = await ann.do("GET", f"/api/projects/{project_id}/members")
    assert len(members["items"]) == 2


async def test_an_invite_expires_and_its_secret_is_stored_nowhere(studio: Studio) -> None:
    ann, bob = await studio.person("ann"), await studio.person("bob")
    project_id = await ann.project()
    invite = await invited(ann, project_id, role="viewer", expiresInHours=1)
    async with DB.reading() as reader:
        text = await reader.fetchval(
            "select project_invite::text from project_invite where project_id = $1", project_id
        )
        hours = await reader.fetchval(
            "select round(extract(epoch from expires_at - created_at) / 3600)::int"
            " from project_invite where project_id = $1",
            project_id,
        )
    assert invite["token"] not in text
    assert hours == 1
    async with DB.transaction() as tx:
        await tx.execute(
            "update project_invite set expires_at = clock_timestamp() where project_id = $1",
            project_id,
        )
    path = f"/api/invites/{invite['token']}/accept"
    assert await bob.refused("POST", path, {}) == (404, "NOT_FOUND")
    assert await bob.refused("POST", "/api/invites/x/accept") == (404, "NOT_FOUND")
    unlimited = f"/api/projects/{project_id}/invites"
    for fields in ({"expiresInHours": 0}, {"expiresInHours": 721}):
        body = {"role": "viewer", **fields}
        assert await ann.refused("POST", unlimited, body) == (422, "VALIDATION_FAILED")
    assert (await ann.refused("POST", unlimited, {"role": "owner"}))[0] in (400, 422)


async def test_an_invite_raises_a_role_but_never_lowers_it(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    bob = await studio.member(ann, project_id, "bob", "viewer")
    raised = await invited(ann, project_id, role="editor")
    async with studio.watching(project_id) as events:
        await bob.do("POST", f"/api/invites/{raised['token']}/accept")
    assert events[0].data["previousRole"] == "viewer"
    lower = await invited(ann, project_id, role="viewer")
    async with studio.watching(project_id) as events:
        member = await bob.do("POST", f"/api/invites/{lower['token']}/accept")
        assert (await ann.do("POST", f"/api/invites/{lower['token']}/accept"))["role"] == "owner"
    assert (member["role"], events) == ("editor", [])
    eve = await studio.person("eve")
    joined = await eve.do("POST", f"/api/invites/{lower['token']}/accept")
    assert joined["role"] == "viewer", "the invite was not used up"


async def test_a_role_applies_from_its_commit_on(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    bob = await studio.member(ann, project_id, "bob", "editor")
    path, scenes = (
        f"/api/projects/{project_id}/members/{bob.user_id}",
        f"/api/projects/{project_id}/scenes",
    )
    await bob.scene(project_id)
    async with studio.watching(project_id) as events:
        assert (await ann.do("PUT", path, {"role": "viewer"}))["role"] == "viewer"
        await ann.do("PUT", path, {"role": "viewer"})
    assert [event.data["previousRole"] for event in events] == ["editor"]
    assert await bob.refused("POST", scenes, {}) == (403, "FORBIDDEN")
    async with studio.watching(project_id) as events:
        assert (await ann.do("DELETE", path))["role"] is None
    assert events[0].data["member"]["role"] is None
    assert events[0].data["previousRole"] == "viewer"
    assert await bob.refused("GET", scenes) == (404, "NOT_FOUND")
    assert await ann.refused("DELETE", path) == (404, "NOT_FOUND")


async def test_the_owner_stays_the_only_owner(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    bob, eve = await studio.member(ann, project_id, "bob", "editor"), await studio.person("eve")
    members = f"/api/projects/{project_id}/members"
    broken = (422, "VALIDATION_FAILED")
    assert await ann.refused("PUT", f"{members}/{ann.user_id}", {"role": "editor"}) == broken
    assert await ann.refused("PUT", f"{members}/{bob.user_id}", {"role": "owner"}) == broken
    assert await ann.refused("DELETE", f"{members}/{ann.user_id}") == broken
    assert (await ann.do("PUT", f"{members}/{ann.user_id}", {"role": "owner"}))["role"] == "owner"
    assert await ann.refused("PUT", f"{members}/{eve.user_id}", {"role": "editor"}) == (
        404,
        "NOT_FOUND",
    )


async def test_a_member_may_leave_but_remove_no_other(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    bob = await studio.member(ann, project_id, "bob", "editor")
    eve = await studio.member(ann, project_id, "eve", "viewer")
    members = f"/api/projects/{project_id}/members"
    assert await bob.refused("DELETE", f"{members}/{eve.user_id}") == (403, "FORBIDDEN")
    async with studio.watching(project_id):
        await eve.do("DELETE", f"{members}/{eve.user_id}")
    assert await eve.refused("GET", members) == (404, "NOT_FOUND")


async def test_a_caller_who_loses_the_role_while_waiting_for_the_lock_changes_nothing(
    studio: Studio,
) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    bob = await studio.member(ann, project_id, "bob", "editor")
    async with DB.transaction() as tx:
        await tx.execute("select 1 from project where id = $1 for update", project_id)
        waiting = asyncio.create_task(bob.ask("POST", f"/api/projects/{project_id}/scenes", {}))
        await until_blocked()
        await set_role(tx, ann.caller, project_id, bob.user_id, "viewer")
    assert (await waiting).status_code == 403
    assert await ann.order(project_id) == []


async def until_blocked() -> None:
    """Wait until a transaction is blocked by a lock."""
    async with asyncio.timeout(10):
        while True:
            async with DB.reading() as reader:
                if await reader.fetchval(BLOCKED):
                    return
            await asyncio.sleep(0.01)
