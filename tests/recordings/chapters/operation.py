"""Health, metrics, the description of the API, and the pages of the browser client."""

import re

from tests.recordings.chapter import Chapter
from tests.recordings.openapi import Description

_SAMPLE = re.compile(r"^([a-z_0-9]+)(?:\{(.*)\})? \S+$")
_LABEL = re.compile(r'(\w+)="(?:[^"\\]|\\.)*"')
_ASSET = re.compile(r"/assets/[\w./-]+\.js")
ADDED_METRICS = ("reelroom_subscriptions",)


async def record(ch: Chapter) -> None:
    await _pages(ch)
    await ch.call("live", None, "GET", "/health/live")
    await ch.call("ready", None, "GET", "/health/ready")
    await ch.call("schema", None, "GET", "/schema", keep_body=False)
    await ch.call("schema.absent", None, "GET", "/schema/nothing")
    reply = await ch.exchange("openapi", None, "GET", "/schema/openapi.json")
    entry = {"step": "openapi", "sent": "GET /schema/openapi.json"}
    entry |= ch.transcript.reply(reply, ch.request_id("openapi"), body=False)
    ch.transcript.entries.append(entry | {"body": Description(reply.data).short()})
    reply = await ch.exchange("metrics", None, "GET", "/metrics")
    entry = {"step": "metrics", "sent": "GET /metrics"}
    entry |= ch.transcript.reply(reply, ch.request_id("metrics"), body=False)
    ch.transcript.entries.append(entry | {"body": metrics(reply.body.decode())})
    for _ in range(29):
        await ch.exchange("limit", None, "GET", "/login/odd")
    await ch.call("link.limit", None, "GET", "/login/odd")


async def _pages(ch: Chapter) -> None:
    """Request the pages.

    Their bodies and the asset's file name, which holds a hash of its content, are left out:
    they are the browser client's build.
    """
    for step, path in {
        "home": "/",
        "project": "/projects/anything",
        "invite": "/invites/anything",
        "preview": "/preview",
        "icon": "/assets/nothing.js",
        "nested": "/projects/a/b",
    }.items():
        await ch.call(f"page.{step}", None, "GET", path, keep_body=step in ("icon", "nested"))
    page = (await ch.exchange("page", None, "GET", "/")).body.decode()
    asset = _ASSET.search(page)
    assert asset, "the browser client is not built: cd app/web && npm ci && npm run build"
    reply = await ch.exchange("asset", None, "GET", asset[0])
    headers = [pair for pair in reply.headers if pair[0].lower() not in ("etag", "last-modified")]
    entry = {"step": "asset", "sent": "GET /assets/….js", "status": reply.status}
    names = {"has": sorted(name.lower() for name, _ in reply.headers)}
    lines = ch.transcript.headers(headers, ch.request_id("asset"), reply.body)
    file_name = asset[0].rpartition("/")[2]
    lines = [line.replace(file_name, "….js") for line in lines]
    ch.transcript.entries.append(entry | names | {"headers": lines})
    await ch.call("link", None, "GET", "/login/odd")


def metrics(text: str) -> list[str]:
    """Return the type of each metric and the names of its labels.

    Values and help texts may change; metrics that were added since are left out.
    """
    found = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            found.add(line.removeprefix("# "))
        elif sample := _SAMPLE.match(line):
            labels = ", ".join(label[1] for label in _LABEL.finditer(sample[2] or ""))
            found.add(f"{sample[1]} {{{labels}}}")
    return sorted(one for one in found if not any(name in one for name in ADDED_METRICS))
