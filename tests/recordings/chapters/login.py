"""The one-time login link, and a request whose head does not end."""

from tests.recordings.chapter import Chapter


async def record(ch: Chapter, link: str) -> None:
    reply = await ch.exchange("link", None, "GET", link)
    entry = {"step": "link", "sent": f"GET {ch.transcript.line(link)}"}
    ch.transcript.entries.append(entry | ch.transcript.reply(reply, ch.request_id("link")))
    cookie = (reply.header("set-cookie") or "").partition(";")[0]
    await ch.call("me", None, "GET", "/api/auth/me", headers=[("cookie", cookie)])
    await ch.call("link.used", None, "GET", link)
    head = f"GET /health/live HTTP/1.1\r\nhost: {ch.server.host}\r\nx-large: "
    await ch.spoken("head.endless", head.encode() + b"x" * (257 * 1024), says="an endless head")
