"""Accounts, sessions, cookies and API tokens."""

from tests.recordings.chapter import ABSENT, Chapter
from tests.recordings.server import LOCAL_TOKEN

PASSWORD = "correct horse"
TOO_LONG = "é" * 600  # 600 characters, 1200 bytes: refused without being hashed


async def record(ch: Chapter) -> None:
    await _registering(ch)
    cookie = await _sessions(ch)
    await _tokens(ch, cookie)
    await _limits(ch)


async def _registering(ch: Chapter) -> None:
    path = "/api/auth/register"
    ann = {"email": " Ann@Accounts.test ", "password": PASSWORD, "name": " Ann "}
    await ch.call("register", None, "POST", path, ann)
    await ch.call("register.taken", None, "POST", path, {**ann, "email": "ann@accounts.TEST"})
    for step, wrong in {
        "short-password": {**ann, "password": "1234567"},
        "long-password": {**ann, "password": TOO_LONG},
        "very-long-password": {**ann, "password": "x" * 1025},
        "odd-email": {**ann, "email": "no address"},
        "long-email": {**ann, "email": "a" * 250 + "@b.test"},
        "blank-name": {**ann, "name": "  "},
        "empty-name": {**ann, "name": ""},
        "long-name": {**ann, "name": "x" * 201},
        "no-name": {"email": "x@accounts.test", "password": PASSWORD},
        "unknown-field": {**ann, "role": "admin"},
        "wrong-type": {**ann, "name": 7},
    }.items():
        await ch.call(f"register.{step}", None, "POST", path, wrong)


async def _sessions(ch: Chapter) -> str:
    path = "/api/auth/login"
    known = {"email": "ANN@accounts.test", "password": PASSWORD}
    await ch.call("login.wrong", None, "POST", path, {**known, "password": "wrong horse"})
    await ch.call("login.nobody", None, "POST", path, {**known, "email": "nobody@accounts.test"})
    await ch.call("login.empty", None, "POST", path, {})
    reply = await ch.exchange("login", None, "POST", path, known)
    cookie = (reply.header("set-cookie") or "").partition(";")[0]
    await ch.call("login", None, "POST", path, known, headers=[("cookie", "a=b"), ch.origin])

    await ch.call("me.cookie", None, "GET", "/api/auth/me", headers=[("cookie", f"a=b; {cookie}")])
    await ch.call("me.nobody", None, "GET", "/api/auth/me")
    for step, value in {
        "bad-token": "Bearer rr_wrong",
        "odd-token": "Bearer wrong",
        "empty-token": "Bearer ",
        "basic": "Basic YTpi",
        "local": f"bearer {LOCAL_TOKEN}",
    }.items():
        await ch.call(f"me.{step}", None, "GET", "/api/auth/me", headers=[("authorization", value)])
    both = [("cookie", cookie), ("authorization", "Bearer rr_wrong")]
    await ch.call("me.token-before-cookie", None, "GET", "/api/auth/me", headers=both)

    with_cookie = [("cookie", cookie)]
    await ch.call("cookie.no-origin", None, "POST", "/api/projects", {}, headers=with_cookie)
    for step, origin in {
        "other-origin": "https://other.test",
        "null-origin": "null",
        "https-origin": f"https://{ch.server.host}",
    }.items():
        headers = [*with_cookie, ("origin", origin)]
        await ch.call(f"cookie.{step}", None, "POST", "/api/projects", {}, headers=headers)
    cross = [*with_cookie, ch.origin, ("sec-fetch-site", "cross-site")]
    await ch.call("cookie.cross-site", None, "POST", "/api/projects", {}, headers=cross)
    await ch.call("cookie.read", None, "GET", "/api/projects?limit=1", headers=with_cookie)
    return cookie


async def _tokens(ch: Chapter, cookie: str) -> None:
    path = "/api/auth/tokens"
    by_cookie = [("cookie", cookie), ch.origin]
    made = await ch.call("token", None, "POST", path, {"name": " laptop "}, headers=by_cookie)
    for step, body in {
        "expires": {"name": "phone", "expiresInDays": 30},
        "blank": {"name": " "},
        "too-long": {"name": "x", "expiresInDays": 3651},
        "no-days": {"name": "x", "expiresInDays": 0},
        "half-a-day": {"name": "x", "expiresInDays": 0.5},
        "text": {"name": "x", "expiresInDays": "3"},
        "null": None,
    }.items():
        await ch.call(f"token.{step}", None, "POST", path, body, headers=by_cookie)
    bearer = [("authorization", f"Bearer {made['data']['token']}")]
    await ch.call("me.token", None, "GET", "/api/auth/me", headers=bearer)
    keyed = [*bearer, ("idempotency-key", "one")]
    await ch.call("token.keyed", None, "POST", path, {"name": "keyed"}, headers=keyed)
    await ch.call("token.keyed-again", None, "POST", path, {"name": "keyed"}, headers=keyed)
    await ch.call("token.list", None, "GET", path, headers=by_cookie)
    await ch.call("token.list-nobody", None, "GET", path)

    mine = f"{path}/{made['data']['id']}"
    await ch.call("token.delete-absent", None, "DELETE", f"{path}/{ABSENT}", headers=by_cookie)
    await ch.call("token.delete-odd", None, "DELETE", f"{path}/odd", headers=by_cookie)
    await ch.call("token.delete", None, "DELETE", mine, headers=by_cookie)
    await ch.call("token.delete-again", None, "DELETE", mine, headers=by_cookie)
    await ch.call("me.revoked", None, "GET", "/api/auth/me", headers=bearer)

    out = "/api/auth/logout"
    await ch.call("logout.no-origin", None, "POST", out, headers=[("cookie", cookie)])
    await ch.call("logout", None, "POST", out, headers=by_cookie)
    await ch.call("logout.again", None, "POST", out, headers=by_cookie)
    await ch.call("logout.nobody", None, "POST", out)
    await ch.call("me.logged-out", None, "GET", "/api/auth/me", headers=[("cookie", cookie)])


async def _limits(ch: Chapter) -> None:
    body = {"email": "limited@accounts.test", "password": TOO_LONG}
    for _ in range(10):
        await ch.exchange("limit", None, "POST", "/api/auth/login", body)
    await ch.call("limit.login", None, "POST", "/api/auth/login", body)
