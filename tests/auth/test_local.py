"""Local mode: one admin, and a link that logs in once."""

import asyncio

from app.auth.local import create_login_link
from app.settings import Settings
from tests.auth.conftest import Client, Opener, local_mode, registered
from tests.harness.database import DB
from tests.http.test_guard import problem


async def link() -> str:
    path = await local_mode(Settings())
    assert path is not None
    return path


async def test_the_first_start_on_loopback_makes_one_admin(emptied: None) -> None:
    paths = await asyncio.gather(*(local_mode(Settings()) for _ in range(5)))
    assert len(set(paths)) == 5
    rows = await DB.fetch("select id, role, email, password_hash from user_account")
    assert [tuple(row.values()) for row in rows] == [("local", "admin", None, None)]
    assert await local_mode(Settings()) is not None


async def test_there_is_no_local_mode_on_a_public_address_or_after_a_registration(
    emptied: None, client: Client
) -> None:
    assert await local_mode(Settings(host="0.0.0.0")) is None
    assert await DB.fetchval("select count(*) from user_account") == 0
    await registered(client)
    assert await local_mode(Settings()) is None
    assert await DB.fetchval("select count(*) from user_account where id = 'local'") == 0


async def test_a_link_logs_in_once_and_leaves_its_address(client: Client, browser: Opener) -> None:
    path = await link()
    reply = await client.get(path)
    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cache-control"] == "no-store"
    me = (await client.get("/api/auth/me")).json()["data"]
    assert (me["id"], me["role"]) == ("local", "admin")
    async with browser() as second:
        again = await second.get(path)
        assert again.status_code == 410
        assert "reelroom user login" in again.text
        assert "set-cookie" not in again.headers
    assert path.rpartition("/")[2] not in str(
        await DB.fetch("select id, user_id, secret_hash from login_session")
    )


async def test_ten_concurrent_uses_of_one_link_make_one_session(browser: Opener) -> None:
    path = await link()
    async with browser() as client:
        replies = await asyncio.gather(*(client.get(path) for _ in range(10)))
    assert sorted(reply.status_code for reply in replies) == [303] + [410] * 9


async def test_a_link_is_void_after_ten_minutes_and_a_guess_always(client: Client) -> None:
    path = await link()
    left = await DB.fetchval("select expires_at - clock_timestamp() from login_session")
    assert 590 < left.total_seconds() <= 600
    async with DB.transaction() as tx:
        await tx.execute("update login_session set expires_at = clock_timestamp()")
    assert (await client.get(path)).status_code == 410
    statuses = [(await client.get(f"/login/{number}")).status_code for number in range(32)]
    assert set(statuses) == {410, 429}


async def test_the_secret_of_a_link_is_no_cookie(client: Client) -> None:
    secret = (await link()).rpartition("/")[2]
    for value in (secret, f"link:{secret}"):
        client.cookies.set("reelroom_session", value)
        problem(await client.get("/api/auth/me"), 401, "UNAUTHORIZED")


async def test_a_link_of_any_account_ends_the_session_that_the_browser_held(
    client: Client,
) -> None:
    account = await registered(client)
    old = client.cookies["reelroom_session"]
    async with DB.transaction() as tx:
        path = await create_login_link(tx, account["id"])
    assert (await client.get(path)).status_code == 303
    assert client.cookies["reelroom_session"] != old
    open_ = await DB.fetchval("select count(*) from login_session where revoked_at is null")
    assert open_ == 1
