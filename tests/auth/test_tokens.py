"""API tokens, the local token, and the credential that identifies the caller of a request."""

import asyncio
import hashlib
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, cast

from app.settings import Settings
from tests.auth.conftest import LOCAL_TOKEN, Client, Opener, auth_app, local_mode, registered
from tests.harness.database import DB
from tests.harness.in_process import serving
from tests.http.test_guard import problem


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_a_token_is_shown_once_works_at_once_and_ends_when_revoked(
    client: Client, browser: Opener
) -> None:
    account = await registered(client)
    reply = await client.post("/api/auth/tokens", json={"name": "script", "expiresInDays": 7})
    assert reply.status_code == 201
    issued = reply.json()["data"]
    token = issued.pop("token")
    assert token.startswith("rr_")
    assert len(token) >= 40
    stored = await DB.fetchrow("select * from api_token")
    assert stored is not None
    assert stored["secret_hash"] == hashlib.sha256(token.encode()).hexdigest()
    assert (stored["expires_at"] - stored["created_at"]).days in (6, 7)
    listed = (await client.get("/api/auth/tokens")).json()["data"]
    assert listed == {"items": [issued], "nextCursor": None}
    async with browser() as script:
        script.headers.pop("origin")
        me = await script.get("/api/auth/me", headers=bearer(token))
        assert me.json()["data"] == account
        made = await script.post("/api/auth/tokens", json={"name": "2"}, headers=bearer(token))
        assert made.status_code == 201
        assert (await client.delete(f"/api/auth/tokens/{issued['id']}")).status_code == 200
        problem(await script.get("/api/auth/me", headers=bearer(token)), 401, "UNAUTHORIZED")
    problem(await client.delete(f"/api/auth/tokens/{issued['id']}"), 404, "NOT_FOUND")


async def test_an_expired_token_is_refused_by_the_databases_clock(client: Client) -> None:
    await registered(client)
    reply = await client.post("/api/auth/tokens", json={"name": "t", "expiresInDays": 1})
    token = reply.json()["data"]["token"]
    async with DB.transaction() as tx:
        await tx.execute("update api_token set expires_at = clock_timestamp()")
    problem(await client.get("/api/auth/me", headers=bearer(token)), 401, "UNAUTHORIZED")


async def test_a_token_of_another_user_is_not_found(client: Client, browser: Opener) -> None:
    await registered(client)
    reply = await client.post("/api/auth/tokens", json={"name": "mine"})
    async with browser() as other:
        await registered(other, email="bob@example.com")
        gone = await other.delete(f"/api/auth/tokens/{reply.json()['data']['id']}")
        problem(gone, 404, "NOT_FOUND")
        assert (await other.get("/api/auth/tokens")).json()["data"]["items"] == []
    problem(await client.delete("/api/auth/tokens/nonsense"), 404, "NOT_FOUND")


async def test_an_invalid_token_is_not_created(client: Client) -> None:
    await registered(client)
    for body in ({"name": ""}, {"name": "x" * 201}, {"name": "x", "expiresInDays": 0}):
        problem(await client.post("/api/auth/tokens", json=body), 422, "VALIDATION_FAILED")
    body = {"name": "x", "userId": "local"}
    problem(await client.post("/api/auth/tokens", json=body), 400, "INVALID_INPUT")


async def test_one_key_issues_one_token_and_repeats_its_first_answer(
    client: Client, browser: Opener
) -> None:
    await registered(client)
    key = {"idempotency-key": "k" * 255}
    replies = await asyncio.gather(
        *(client.post("/api/auth/tokens", json={"name": "t"}, headers=key) for _ in range(5))
    )
    assert {reply.status_code for reply in replies} == {201}
    assert len({reply.content for reply in replies}) == 1
    assert await DB.fetchval("select count(*) from api_token") == 1
    other = await client.post("/api/auth/tokens", json={"name": "u"}, headers=key)
    problem(other, 409, "CONFLICT")
    async with browser() as bob:
        await registered(bob, email="bob@example.com")
        own = await bob.post("/api/auth/tokens", json={"name": "t"}, headers=key)
        assert own.json()["data"]["token"] != replies[0].json()["data"]["token"]
    for bad in ("k" * 256, ""):
        headers = {"idempotency-key": bad}
        reply = await client.post("/api/auth/tokens", json={"name": "t"}, headers=headers)
        problem(reply, 400, "INVALID_INPUT")


async def test_a_cookie_does_not_replace_an_invalid_token(client: Client) -> None:
    await registered(client)
    assert (await client.get("/api/auth/me")).status_code == 200
    for token in ("rr_", "rr_nonsense", "nonsense", "rr_" + "x" * 5000, "é", "a b"):
        headers = {b"authorization": f"Bearer {token}".encode("latin-1")}
        problem(await client.get("/api/auth/me", headers=headers), 401, "UNAUTHORIZED")
    empty = {"authorization": "Bearer"}
    problem(await client.get("/api/auth/me", headers=empty), 401, "UNAUTHORIZED")


async def test_a_token_in_the_address_is_ignored(client: Client, browser: Opener) -> None:
    await registered(client)
    token = (await client.post("/api/auth/tokens", json={"name": "t"})).json()["data"]["token"]
    async with browser() as other:
        for name in ("token", "access_token", "authorization"):
            reply = await other.get("/api/auth/me", params={name: token})
            problem(reply, 401, "UNAUTHORIZED")


async def test_the_secret_of_a_session_is_no_token_and_the_reverse(
    client: Client, browser: Opener
) -> None:
    await registered(client)
    token = (await client.post("/api/auth/tokens", json={"name": "t"})).json()["data"]["token"]
    session = client.cookies["reelroom_session"]
    async with browser() as other:
        for secret in (session, "rr_" + session):
            reply = await other.get("/api/auth/me", headers=bearer(secret))
            problem(reply, 401, "UNAUTHORIZED")
        other.cookies.set("reelroom_session", token)
        problem(await other.get("/api/auth/me"), 401, "UNAUTHORIZED")


async def used_after(moment: datetime | None, table: str = "api_token") -> datetime:
    """Wait until the only row was used after `moment`; return the time of its last use."""
    async with asyncio.timeout(20):
        while True:
            last = await DB.fetchval(f"select last_used_at from {table}")
            if last is not None and (moment is None or last > moment):
                return cast(datetime, last)
            await asyncio.sleep(0.01)


async def test_the_last_use_is_recorded_once_a_minute(client: Client) -> None:
    await registered(client)
    token = (await client.post("/api/auth/tokens", json={"name": "t"})).json()["data"]["token"]
    for _ in range(3):
        await client.get("/api/auth/me", headers=bearer(token))
    first = await used_after(None)
    await client.get("/api/auth/me", headers=bearer(token))
    assert await DB.fetchval("select last_used_at from api_token") == first
    async with DB.transaction() as tx:
        await tx.execute("update api_token set last_used_at = last_used_at - interval '2 minutes'")
    await client.get("/api/auth/me", headers=bearer(token))
    assert await used_after(first) > first


async def test_finding_the_caller_costs_one_query(client: Client) -> None:
    await registered(client)
    await client.get("/api/auth/tokens")
    await used_after(None, "login_session")
    queries: list[str] = []

    def note(query: Any) -> None:
        queries.append(query.query)

    pool = DB.pool
    async with AsyncExitStack() as held:
        connections = [
            await held.enter_async_context(pool.acquire()) for _ in range(pool.get_size())
        ]
        for connection in connections:
            connection.add_query_logger(note)
    await client.get("/api/whoami")
    asked = [query for query in queries if "RESET ALL" not in query]  # the pool's own
    assert len(asked) == 1
    assert "login_session" in asked[0]
    async with AsyncExitStack() as held:
        for _ in connections:
            (await held.enter_async_context(pool.acquire())).remove_query_logger(note)


async def test_the_local_token_stays_the_local_admin_after_a_registration(
    emptied: None, client: Client
) -> None:
    problem(await client.get("/api/auth/me", headers=bearer(LOCAL_TOKEN)), 401, "UNAUTHORIZED")
    await registered(client)
    settings = Settings(reelroom_local_token=LOCAL_TOKEN)
    assert await local_mode(settings) is None
    me = (await client.get("/api/auth/me", headers=bearer(LOCAL_TOKEN))).json()["data"]
    assert (me["id"], me["role"], me["email"]) == ("local", "admin", None)
    longer = bearer(LOCAL_TOKEN + "x")
    problem(await client.get("/api/auth/me", headers=longer), 401, "UNAUTHORIZED")


async def test_the_local_token_is_refused_on_a_public_address(
    emptied: None,
) -> None:
    await local_mode(Settings(reelroom_local_token=LOCAL_TOKEN))
    wide = Settings(host="0.0.0.0", reelroom_local_token=LOCAL_TOKEN)
    async with serving(auth_app(wide)) as url, Client(base_url=url) as client:
        problem(await client.get("/api/auth/me", headers=bearer(LOCAL_TOKEN)), 401, "UNAUTHORIZED")
