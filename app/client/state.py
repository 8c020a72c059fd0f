"""The state of one project as a client sees it, and how each event changes it.

A state is a dict of JSON values that is never changed in place:

    epoch, revision     its place in the project's log
    project             as in the snapshot
    members, scenes     by id; `sceneIds` is the order of the scenes
    messages            by their sequence
    runs                by id; each has `run`, `decision`, `stage`, `percent`, `message` and `calls`
    people, hidden      who follows the project now, and how many more are not named

The `text` of a run's message and the `code` of its calls by id are what is being written. They are
{"text": …, "broken": …}: broken when a delta of it was missed.
"""

from typing import Any

Json = dict[str, Any]

MAX_RUNS = 30  # in a state; the oldest finished ones are dropped first
MAX_MESSAGES = 100  # in a snapshot


def from_snapshot(snapshot: Json) -> Json:
    """The state that a snapshot describes."""
    scenes = sorted(snapshot["scenes"], key=lambda scene: scene["position"] or 0)
    return {
        "epoch": snapshot["epoch"],
        "revision": snapshot["revision"],
        "project": snapshot["project"],
        "members": {member["userId"]: member for member in snapshot["members"]},
        "scenes": {scene["id"]: scene for scene in scenes},
        "sceneIds": [scene["id"] for scene in scenes],
        "messages": sorted(snapshot["messages"], key=lambda message: int(message["sequence"])),
        "runs": {run["id"]: _new_run(run) for run in snapshot["runs"]},
        "people": [],
        "hidden": 0,
    }


def apply(state: Json, event: Json) -> Json:
    """The state after one event. Events with a revision must come once each and in order.

    An event of an unknown type only counts. Raises `LookupError`, `TypeError`, `ValueError` or
    `AttributeError` when an event does not have the form that is known here.
    """
    data = event["data"]
    if "revision" not in event:
        change = LIVE.get(event["type"])
        run_id = data["run"]["id"] if event["type"] == "run.snapshot" else event.get("runId")
        if change is None or is_over(state["runs"].get(run_id)):
            return state
        return change(state, run_id, data)  # type: ignore[no-any-return]
    fold = DURABLE.get(event["type"])
    changed = fold(state, event.get("runId"), data) if fold else state
    return {**changed, "revision": event["revision"]}


def is_over(run: Json | None) -> bool:
    """Whether an entry of `runs` has ended."""
    return run is not None and run["run"]["status"] not in ("queued", "running")


def has_text_gap(state: Json) -> bool:
    """Whether a delta of a run that has not ended was missed."""
    for run in state["runs"].values():
        texts = [call["code"] for call in run["calls"].values()]
        texts += [run["message"]["text"]] if run["message"] else []
        if not is_over(run) and any(text["broken"] for text in texts):
            return True
    return False


def utf16_length(text: str) -> int:
    """The length in UTF-16 code units, which the offsets of deltas count."""
    return len(text.encode("utf-16-le")) // 2


def extend(live: Json, offset: int, text: str) -> Json:
    """A text with a delta appended; a repeated delta is ignored, a gap marks the text as broken."""
    end = utf16_length(live["text"])
    if live["broken"] or offset < end:
        return live
    if offset > end:
        return {**live, "broken": True}
    return unbroken(live["text"] + text)


def unbroken(text: str) -> Json:
    return {"text": text, "broken": False}


def _new_run(run: Json) -> Json:
    return {
        "run": run,
        "decision": run.get("decision"),
        "calls": {},
        "message": None,
        "stage": None,
        "percent": None,
    }


def _with_run(state: Json, run_id: str | None, **changed: Any) -> Json:
    if run_id not in state["runs"]:
        return state
    run = {**state["runs"][run_id], **changed}
    return {**state, "runs": {**state["runs"], run_id: run}}


def _put_run(state: Json, _: str | None, data: Json) -> Json:
    run = data["run"]
    if known := state["runs"].get(run["id"]):
        decision = run.get("decision") or known["decision"]
        return _with_run(state, run["id"], run=run, decision=decision)
    runs = {**state["runs"], run["id"]: _new_run(run)}
    over = [key for key, entry in runs.items() if is_over(entry)]
    for key in over[: max(0, len(runs) - MAX_RUNS)]:
        del runs[key]
    return {**state, "runs": runs}


def _retry_run(state: Json, run_id: str | None, data: Json) -> Json:
    """A new attempt writes everything again."""
    state = _put_run(state, run_id, data)
    return _with_run(state, data["run"]["id"], **_new_run(data["run"]))


def _with_call(calls: Json, data: Json, **changed: Any) -> Json:
    blank = {"toolName": data["toolName"], "step": None, "code": unbroken(""), "outcome": "running"}
    call = {**calls.get(data["callId"], blank), **changed}
    return {**calls, data["callId"]: call}


def _put_call(state: Json, run_id: str | None, data: Json) -> Json:
    if run_id not in state["runs"]:
        return state
    changed: Json = {}
    if "success" in data:
        changed["outcome"] = "success" if data["success"] else "failure"
    else:
        changed["step"] = data.get("step")
    return _with_run(
        state, run_id, calls=_with_call(state["runs"][run_id]["calls"], data, **changed)
    )


def _decide(state: Json, run_id: str | None, data: Json) -> Json:
    return _with_run(state, run_id, decision=data["decision"])


def _put_message(state: Json, _: str | None, data: Json) -> Json:
    message = data["message"]
    messages = [other for other in state["messages"] if other["id"] != message["id"]]
    messages = sorted([*messages, message], key=lambda one: int(one["sequence"]))
    return {**state, "messages": messages}


def _update_message(state: Json, run_id: str | None, data: Json) -> Json:
    known = {message["id"] for message in state["messages"]}
    return _put_message(state, run_id, data) if data["message"]["id"] in known else state


def _put_scene(state: Json, _: str | None, data: Json) -> Json:
    scene = data["scene"]
    ids = data.get("sceneIds", state["sceneIds"])
    return {**state, "scenes": {**state["scenes"], scene["id"]: scene}, "sceneIds": ids}


def _drop_scene(state: Json, _: str | None, data: Json) -> Json:
    gone = data["scene"]["id"]
    scenes = {key: scene for key, scene in state["scenes"].items() if key != gone}
    return {**state, "scenes": scenes, "sceneIds": data["sceneIds"]}


def _put_member(state: Json, _: str | None, data: Json) -> Json:
    member = data["member"]
    members = {key: one for key, one in state["members"].items() if key != member["userId"]}
    if member["role"] is not None:
        members[member["userId"]] = member
    return {**state, "members": members}


def _join_run(state: Json, run_id: str, data: Json) -> Json:
    state = _put_run(state, run_id, data)
    run = state["runs"][run_id]
    calls = run["calls"]
    for call in data["calls"]:
        step = call.get("step") or calls.get(call["callId"], {}).get("step")
        calls = _with_call(calls, call, step=step, code=unbroken(call["code"]))
    message = run["message"]
    if known := data.get("message"):
        message = {"messageId": known["messageId"], "text": unbroken(known["text"])}
    return _with_run(
        state,
        run_id,
        decision=data.get("decision") or run["decision"],
        calls=calls,
        message=message,
        stage=data.get("stage"),
        percent=data.get("percent"),
    )


def _progress(state: Json, run_id: str | None, data: Json) -> Json:
    return _with_run(state, run_id, stage=data["stage"], percent=data.get("percent"))


def _show_people(state: Json, _: str | None, data: Json) -> Json:
    return {**state, "people": data["users"], "hidden": data.get("more", 0)}


def _extend_message(state: Json, run_id: str | None, data: Json) -> Json:
    if run_id not in state["runs"]:
        return state
    message = state["runs"][run_id]["message"]
    known = message and message["messageId"] == data["messageId"]
    text = extend(message["text"] if known else unbroken(""), data["offset"], data["text"])
    return _with_run(state, run_id, message={"messageId": data["messageId"], "text": text})


def _extend_code(state: Json, run_id: str | None, data: Json) -> Json:
    calls = state["runs"].get(run_id, {"calls": {}})["calls"]
    if data["callId"] not in calls:
        return state
    call = calls[data["callId"]]
    code = extend(call["code"], data["offset"], data["text"])
    return _with_run(state, run_id, calls={**calls, data["callId"]: {**call, "code": code}})


LIVE: dict[str, Any] = {
    "presence.updated": _show_people,
    "run.snapshot": _join_run,
    "run.progress": _progress,
    "message.delta": _extend_message,
    "code.delta": _extend_code,
}
DURABLE: dict[str, Any] = {
    "message.created": _put_message,
    "message.updated": _update_message,
    "run.queued": _put_run,
    "run.started": _put_run,
    "run.finished": _put_run,
    "run.retrying": _retry_run,
    "brain.decision": _decide,
    "tool.started": _put_call,
    "tool.finished": _put_call,
    "scene.created": _put_scene,
    "scene.updated": _put_scene,
    "scene.restored": _put_scene,
    "scene.deleted": _drop_scene,
    "scenes.reordered": lambda state, _, data: {**state, "sceneIds": data["sceneIds"]},
    "project.updated": lambda state, _, data: {**state, "project": data["project"]},
    "member.updated": _put_member,
}


def as_snapshot(state: Json) -> Json:
    """The part of a snapshot that events change, in the snapshot's form."""
    runs = [entry for entry in state["runs"].values() if not is_over(entry)]
    return {
        "project": state["project"],
        "members": sorted(state["members"].values(), key=lambda member: str(member["userId"])),
        "scenes": [
            {**state["scenes"][scene_id], "position": place}
            for place, scene_id in enumerate(state["sceneIds"])
        ],
        "messages": state["messages"][-MAX_MESSAGES:],
        "runs": [{**entry["run"], "decision": entry["decision"]} for entry in runs],
    }
