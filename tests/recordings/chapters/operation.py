"""What operators and browsers ask for: health, figures, the description of the API, and pages."""

import json
import re
from typing import Any

from tests.recordings.chapter import Chapter

_SAMPLE = re.compile(r"^([a-z_0-9]+)(?:\{(.*)\})? \S+$")
_LABEL = re.compile(r'(\w+)="(?:[^"\\]|\\.)*"')
_ASSET = re.compile(r"/assets/[\w./-]+\.js")
ADDED_METRICS = ("reelroom_subscriptions",)
PROSE = frozenset({"title", "summary", "description", "examples", "operationId"})


async def record(ch: Chapter) -> None:
    await _pages(ch)
    await ch.call("live", None, "GET", "/health/live")
    await ch.call("ready", None, "GET", "/health/ready")
    await ch.call("schema", None, "GET", "/schema", keep_body=False)
    await ch.call("schema.absent", None, "GET", "/schema/nothing")
    reply = await ch.exchange("openapi", None, "GET", "/schema/openapi.json")
    entry = {"step": "openapi", "sent": "GET /schema/openapi.json"}
    entry |= ch.transcript.reply(reply, ch.request_id("openapi"), body=False)
    ch.transcript.add(entry | {"body": described(ch, reply.data)})
    reply = await ch.exchange("metrics", None, "GET", "/metrics")
    entry = {"step": "metrics", "sent": "GET /metrics"}
    entry |= ch.transcript.reply(reply, ch.request_id("metrics"), body=False)
    ch.transcript.add(entry | {"body": metrics(reply.body.decode())})
    for _ in range(29):
        await ch.exchange("limit", None, "GET", "/login/odd")
    await ch.call("link.limit", None, "GET", "/login/odd")


async def _pages(ch: Chapter) -> None:
    """Their bodies are the browser client's build; here only their heads are of interest."""
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
    ch.transcript.add(entry | names | {"headers": lines})
    await ch.call("link", None, "GET", "/login/odd")


def metrics(text: str) -> list[str]:
    """The kind of each metric and the names of its labels; values and help texts may change.

    Those that were added since are left out.
    """
    found = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            found.add(line.removeprefix("# "))
        elif sample := _SAMPLE.match(line):
            labels = ", ".join(label[1] for label in _LABEL.finditer(sample[2] or ""))
            found.add(f"{sample[1]} {{{labels}}}")
    return sorted(one for one in found if not any(name in one for name in ADDED_METRICS))


def described(ch: Chapter, schema: Any) -> Any:
    """The description of the API without prose and without the names of its components.

    Neither goes over the wire with a request, and both follow the names and docstrings of code.
    Components are numbered in the order in which they are referred to.
    """
    components = schema["components"]["schemas"]
    names: dict[str, str] = {}
    shown: dict[str, Any] = {}

    def plain(value: Any, *, fields: bool = False) -> Any:
        if isinstance(value, list):
            return [plain(one) for one in value]
        if not isinstance(value, dict):
            return value
        if [*value] == ["schema"]:
            return plain(value["schema"])
        if "$ref" in value:
            name = value["$ref"].rpartition("/")[2]
            if name not in names:
                names[name] = f"schema {len(names) + 1}"
                shown[names[name]] = None  # its place, for it may refer to itself
                shown[names[name]] = plain(components[name])
            return names[name]
        return {
            key: plain(one, fields=key in ("properties", "paths", "schemas"))
            for key, one in value.items()
            if fields or (one is not False and key not in PROSE)
        }

    paths = {}
    for path, methods in sorted(schema["paths"].items()):
        operations = plain(methods)
        for method, operation in operations.items():
            # `operationId` of our own routes is their operation; Litestar makes up the others.
            if path.startswith(("/api/", "/health/", "/metrics")):
                operation["operationId"] = methods[method]["operationId"]
            if "parameters" in operation:
                operation["parameters"] = {
                    f"{one.pop('name')} in {one.pop('in')}": one for one in operation["parameters"]
                }
            answers: dict[str, list[str]] = {}
            for status, answer in operation.pop("responses", {}).items():
                answers.setdefault(json.dumps(answer), []).append(status)
            operation["responses"] = {
                " ".join(statuses): json.loads(answer) for answer, statuses in answers.items()
            }
        paths[path] = operations
    rest = {key: one for key, one in schema.items() if key not in ("paths", "components")}
    unused = sorted(set(components) - set(names))
    return {"paths": paths, "schemas": shown, "rest": plain(rest), "unused": len(unused)}
