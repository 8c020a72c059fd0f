"""Registration, login, logout, and the cookies of sessions."""

import asyncio
import hashlib
import threading
import time
from typing import Any

import pytest

from app.auth import passwords
from app.auth.accounts import set_password
from app.http.limits import Limiter
from app.settings import Settings
from tests.auth.conftest import PASSWORD, Client, Opener, auth_app, registered
from tests.harness.database import DB
from tests.harness.in_process import serving
from tests.http.test_guard import problem


async def log_in(client: Client, email: str = "ann@example.com", password: str = PASSWORD) -> Any:
    return await client.post("/api/auth/login", json={"email": email, "password": password})


async def sessions() -> int:
    count: int = await DB.fetchval("select count(*) from login_session")
    return count


async def test_a_new_account_is_logged_in_and_reads_itself(client: Client) -> None:
    account = await registered(client, email="  Ann@Example.COM ", name=" Ann ")
    assert account["email"] == "ann@example.com"
    assert (account["name"], account["role"]) == ("Ann", "user")
    reply = await client.get("/api/auth/me")
    assert reply.json()["data"] == account
    assert reply.json()["meta"]["operation"] == "account.read"
    stored = await DB.fetchrow("select * from user_account")
    assert stored is not None
    assert stored["password_hash"].startswith("$argon2id$")
    assert PASSWORD not in str(stored)


async def test_an_address_belongs_to_one_account_whatever_its_case(client: Client) -> None:
    await registered(client)
    body = {"email": "ANN@example.com", "password": PASSWORD, "name": "Other"}
    problem(await client.post("/api/auth/register", json=body), 409, "ALREADY_EXISTS")


async def test_ten_registrations_of_one_address_at_once_make_one_account(client: Client) -> None:
    body = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann"}
    replies = await asyncio.gather(
        *(client.post("/api/auth/register", json=body) for _ in range(10))
    )
    assert sorted(reply.status_code for reply in replies) == [201] + [409] * 9
    assert await sessions() == 1


@pytest.mark.parametrize(
    ("change", "status", "path"),
    [
        ({"password": "seven77"}, 422, "password"),
        ({"password": "x" * 1025}, 422, "password"),
        ({"password": "é" * 513}, 422, "password"),
        ({"email": "nobody"}, 422, "email"),
        ({"email": "a@b@c"}, 422, "email"),
        ({"name": "  "}, 422, "name"),
        ({"role": "admin"}, 400, "role"),
        ({"id": "local"}, 400, "id"),
    ],
)
async def test_an_invalid_registration_is_refused(
    client: Client, change: dict[str, str], status: int, path: str
) -> None:
    body = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann", **change}
    reply = await client.post("/api/auth/register", json=body)
    code = "VALIDATION_FAILED" if status == 422 else "INVALID_INPUT"
    assert problem(reply, status, code)["details"][0]["path"] == path


async def test_a_password_is_compared_exactly(client: Client) -> None:
    exact = "  héé 🎬 " + "x" * 1000
    await registered(client, password=exact)
    assert (await log_in(client, password=exact)).status_code == 200
    problem(await log_in(client, password=exact.strip()), 401, "UNAUTHORIZED")


async def test_unknown_accounts_and_wrong_passwords_are_refused_with_equal_work(
    client: Client,
) -> None:
    await registered(client)
    took: dict[str, float] = {}
    errors = []
    for email in ("ann@example.com", "nobody@example.com"):
        best = 9.0
        for _ in range(4):
            began = time.process_time()  # hashing is work: a busy machine does not add to it
            reply = await log_in(client, email, "wrong password")
            best = min(best, time.process_time() - began)
            errors.append(problem(reply, 401, "UNAUTHORIZED"))
        took[email] = best
    assert all(error == errors[0] for error in errors)
    known, unknown = took.values()
    assert unknown > known / 2, "the dummy hash must cost what a real one costs"


async def test_the_dummy_hash_costs_what_real_ones_cost() -> None:
    from argon2 import extract_parameters

    real = await passwords.hash_of(PASSWORD)
    assert (
        extract_parameters(passwords.DUMMY_HASH).memory_cost == extract_parameters(real).memory_cost
    )
    assert extract_parameters(passwords.DUMMY_HASH).time_cost == extract_parameters(real).time_cost
    assert not await passwords.matches(None, PASSWORD)


async def test_a_login_gives_a_new_session_and_ends_the_old_one(
    client: Client, browser: Opener
) -> None:
    await registered(client)
    old = client.cookies["reelroom_session"]
    assert (await log_in(client)).status_code == 200
    new = client.cookies["reelroom_session"]
    assert new != old
    async with browser() as thief:
        thief.cookies.set("reelroom_session", old)
        problem(await thief.get("/api/auth/me"), 401, "UNAUTHORIZED")
        thief.cookies.set("reelroom_session", new)
        assert (await thief.get("/api/auth/me")).status_code == 200


async def test_a_session_chosen_by_an_attacker_is_never_used(
    client: Client, browser: Opener
) -> None:
    await registered(client)
    async with browser() as victim:
        victim.cookies.set("reelroom_session", "attackerchosen")
        problem(await victim.get("/api/auth/me"), 401, "UNAUTHORIZED")
        reply = await log_in(victim)
        assert "attackerchosen" not in reply.headers["set-cookie"]
    async with browser() as attacker:
        attacker.cookies.set("reelroom_session", "attackerchosen")
        problem(await attacker.get("/api/auth/me"), 401, "UNAUTHORIZED")


async def test_anonymous_requests_leave_no_session(client: Client) -> None:
    for path in ("/api/whoami", "/api/none", "/api/auth/me", "/login/guess"):
        for _ in range(5):
            assert "set-cookie" not in (await client.get(path)).headers
    assert await sessions() == 0
    assert (await client.get("/api/whoami")).json()["data"]["anonymous"] is True


async def test_only_the_hash_of_a_session_is_stored_and_its_cookie_is_sealed(
    client: Client,
) -> None:
    reply = await client.post(
        "/api/auth/register", json={"email": "a@b.c", "password": PASSWORD, "name": "A"}
    )
    cookie = reply.headers["set-cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/", f"max-age={30 * 24 * 3600}"} <= parts
    assert "secure" not in parts
    secret = client.cookies["reelroom_session"]
    stored = await DB.fetchval("select secret_hash from login_session")
    assert stored == hashlib.sha256(secret.encode()).hexdigest()


async def test_the_cookie_is_secure_under_https(emptied: None) -> None:
    guarded = auth_app(Settings())

    async def behind_tls(scope: Any, receive: Any, send: Any) -> None:
        await guarded({**scope, "scheme": "https"}, receive, send)

    async with serving(behind_tls) as url, Client(base_url=url) as client:
        body = {"email": "a@b.c", "password": PASSWORD, "name": "A"}
        reply = await client.post("/api/auth/register", json=body)
        assert "secure" in reply.headers["set-cookie"].lower()
        assert "strict-transport-security" in reply.headers


async def test_logging_out_ends_the_session_for_every_copy_of_it(
    client: Client, browser: Opener
) -> None:
    await registered(client)
    copied = client.cookies["reelroom_session"]
    assert (await client.post("/api/auth/logout")).status_code == 200
    assert "reelroom_session" not in client.cookies
    async with browser() as thief:
        thief.cookies.set("reelroom_session", copied)
        problem(await thief.get("/api/auth/me"), 401, "UNAUTHORIZED")
    assert (await client.post("/api/auth/logout")).status_code == 200


async def test_another_password_ends_every_session(client: Client) -> None:
    account = await registered(client)
    hashed = await passwords.hash_of("another password")
    async with DB.transaction() as tx:
        await set_password(tx, account["id"], hashed)
    problem(await client.get("/api/auth/me"), 401, "UNAUTHORIZED")
    problem(await log_in(client), 401, "UNAUTHORIZED")
    assert (await log_in(client, password="another password")).status_code == 200


async def test_a_session_expired_by_the_databases_clock_is_refused(client: Client) -> None:
    await registered(client)
    async with DB.transaction() as tx:
        await tx.execute("update login_session set expires_at = clock_timestamp()")
    problem(await client.get("/api/auth/me"), 401, "UNAUTHORIZED")


async def test_a_cookie_from_another_site_changes_nothing(client: Client) -> None:
    await registered(client)
    evil = {"origin": "https://evil.example"}
    problem(await client.post("/api/auth/logout", headers=evil), 403, "FORBIDDEN")
    new = {"name": "mine"}
    problem(await client.post("/api/auth/tokens", json=new, headers=evil), 403, "FORBIDDEN")
    assert (await client.get("/api/auth/me")).status_code == 200


async def test_logins_are_limited_by_account_whatever_address_they_claim(client: Client) -> None:
    await registered(client)
    statuses = []
    for number in range(12):
        reply = await client.post(
            "/api/auth/login",
            json={"email": "Ann@example.com", "password": "wrong password"},
            headers={"x-forwarded-for": f"10.0.0.{number}"},
        )
        statuses.append(reply.status_code)
    assert statuses == [401] * 10 + [429] * 2
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    problem(await log_in(client), 429, "RATE_LIMITED")
    problem(await log_in(client, "other@example.com"), 401, "UNAUTHORIZED")


async def test_a_spray_over_accounts_is_limited_by_address(client: Client) -> None:
    replies = await asyncio.gather(
        *(log_in(client, f"user{number}@example.com") for number in range(34))
    )
    statuses = [reply.status_code for reply in replies]
    assert statuses.count(401) == 30
    assert statuses.count(429) == 4


async def test_registrations_are_limited_by_address(client: Client) -> None:
    statuses = []
    for number in range(12):
        body = {"email": f"{number}@example.com", "password": PASSWORD, "name": "N"}
        statuses.append((await client.post("/api/auth/register", json=body)).status_code)
    assert statuses == [201] * 10 + [429] * 2


class Unlimited(Limiter):
    async def hit(self, limit: str, key: str, *, max_hits: int, seconds: float) -> None:
        """Allow every request."""


async def test_fifty_logins_hash_two_at_a_time_and_block_no_request(emptied: None) -> None:
    async with (
        serving(auth_app(Settings(), Unlimited())) as url,
        Client(base_url=url, headers={"origin": url}, timeout=150) as client,
        Client(base_url=url) as other,
    ):
        await registered(client)
        logins = [asyncio.create_task(log_in(client)) for _ in range(50)]
        served = 0
        while not all(login.done() for login in logins):
            assert (await other.get("/api/whoami")).status_code == 200
            served += 1
            await asyncio.sleep(0.02)
    assert {login.result().status_code for login in logins} == {200}
    hashing = [thread for thread in threading.enumerate() if thread.name.startswith("password")]
    assert len(hashing) == 2
    assert served > 50, "others are served between any two logins"


async def test_a_password_is_in_no_answer_and_no_log(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    canary = "canary-password-in-clear"
    with caplog.at_level("DEBUG"):
        body = {"email": "a@b.c", "password": canary, "name": "A"}
        replies = [await client.post("/api/auth/register", json=body)]
        replies += [await log_in(client, "a@b.c", canary), await log_in(client, "no@b.c", canary)]
        wrong = {"email": "a@b.c", "password": canary, "extra": canary}
        replies.append(await client.post("/api/auth/login", json=wrong))
    assert [reply.status_code for reply in replies] == [201, 200, 401, 400]
    assert not [reply for reply in replies if canary in reply.text]
    assert canary not in caplog.text
