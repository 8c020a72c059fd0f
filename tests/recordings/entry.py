"""The short forms of what entries hold: each is used only where it loses nothing."""

import json
import re
from typing import Any

Entry = dict[str, Any]

DELTAS = frozenset({"code.delta", "message.delta"})
_SSE_PLACE = re.compile(r"(.*), id: <epoch (\d+)>\.(\d+)")


def short_body(body: Any, request_id: str) -> Any:
    """Return the body with a short `meta` if its members and their order are the usual ones.

    A body that holds nothing else but an error becomes `refused` and `error`.
    """
    meta = body.get("meta") if isinstance(body, dict) else None
    if not isinstance(meta, dict):
        return body
    usual = {
        "requestId": request_id,
        "timestamp": "<ms>",
        "operation": meta.get("operation"),
        "entity": str(meta.get("operation")).partition(".")[0],
        "success": meta.get("success"),
        "affectedIds": meta.get("affectedIds"),
        "executionTimeMs": "<ms>",
        **({"revision": meta["revision"]} if "revision" in meta else {}),
    }
    if json.dumps(meta) != json.dumps(usual):
        return body
    shown = ("operation", "success", "affectedIds", "revision")
    short = {name: meta[name] for name in shown if name in meta}
    refusal = {"operation": meta["operation"], "success": False, "affectedIds": []}
    if [*body] == ["data", "meta", "error"] and body["data"] is None and short == refusal:
        return {"refused": meta["operation"], "error": body["error"]}
    return {("usual meta" if key == "meta" else key): one for key, one in body.items()} | {
        "usual meta": short
    }


def short_event(entry: Any) -> Any:
    """Return the entry of an event with the event's head on one line.

    It is left as it is unless the members and their order are the usual ones, and the lines of
    Server-Sent Events name the type and the place that the event itself names.
    """
    if not isinstance(entry, dict) or not isinstance(event := entry[[*entry][-1]], dict):
        return entry
    place = ["revision", "commit"] if "commit" in event else []
    run = ["runId"] if "runId" in event else []
    members = ["type", "projectId", *place, *run, "requestId", "actorId", "at", "data"]
    if [*event] != members or event["at"] != "<time>Z" or not isinstance(event["data"], dict):
        return entry
    parts = [event["type"], f"of {event['projectId']}"]
    if place:
        parts.append(f"{event['revision']} up to {event['commit']}")
    if run:
        parts.append(f"run {event['runId']}")
    head = ", ".join([*parts, f"by {event['requestId']} of {event['actorId']}"])
    if "sse" not in entry:
        return {next(iter(entry)): head, "data": event["data"]}
    kind = f"event: {event['type']}"
    if not place:
        return {"sse": head, "data": event["data"]} if entry["sse"] == kind else entry
    found = _SSE_PLACE.fullmatch(entry["sse"])
    if found is None or found[1] != kind or int(found[3]) != event["revision"]:
        return entry
    return {"sse": f"{head}, epoch {found[2]}", "data": event["data"]}


def joined(entries: list[Any]) -> list[Any]:
    """Return entries with the deltas of one text that follow each other made one."""
    result: list[Any] = []
    for entry in entries:
        joint = _joint(result[-1], entry) if result else None
        if joint:
            result[-1] = joint
        else:
            result.append(entry)
    return result


def _joint(last: Any, entry: Any) -> Any:
    """Return both as one; None unless they are deltas that differ in nothing but their text."""
    if not (isinstance(last, dict) and isinstance(entry, dict) and [*last] == [*entry]):
        return None
    name = [*last][-1]  # data, text or msgpack
    one, other = last[name], entry[name]
    if not (isinstance(one, dict) and isinstance(other, dict) and one.get("type") in DELTAS):
        return None
    before, after = one["data"], other["data"]
    end = before["offset"] + len(before["text"].encode("utf-16-le")) // 2
    same = [*one] == [*other] and one | {"data": 0} == other | {"data": 0}
    if not same or before | {"offset": end, "text": ""} != after | {"text": ""}:
        return None
    return last | {name: one | {"data": before | {"text": before["text"] + after["text"]}}}
