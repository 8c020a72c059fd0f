"""Replay: the pure fold of a project's events into its state, the same that every client does."""

from typing import Any

import msgspec

from app.realtime.events import Event

MAX_MESSAGES = 100  # in a snapshot; older ones are left out
# Events that change nothing in a snapshot.
EVENTS_OUTSIDE_SNAPSHOT = [
    "iteration.created",
    "tool.started",
    "tool.finished",
    "generation.created",
    "generation.updated",
]

Json = dict[str, Any]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A project's state: plain JSON values by id, in the order in which clients show them."""

    project: Json | None = None
    members: dict[str, Json] = {}
    scenes: dict[str, Json] = {}
    messages: dict[str, Json] = {}
    runs: dict[str, Json] = {}


def replay(state: State, event: Event) -> State:
    """Return the state after a durable event; `state` itself does not change."""
    data, kind = event.data, event.type
    if kind == "project.updated":
        return msgspec.structs.replace(state, project=data["project"])
    if kind == "member.updated":
        return msgspec.structs.replace(state, members=_members(state, data["member"]))
    if kind.startswith(("scene.", "scenes.")):
        return msgspec.structs.replace(state, scenes=_scenes(state, kind, data))
    if kind in ("message.created", "message.updated"):
        return msgspec.structs.replace(state, messages=_messages(state, kind, data["message"]))
    if kind.startswith("run."):
        return msgspec.structs.replace(state, runs=_runs(state, kind, data["run"]))
    if kind == "brain.decision" and event.run_id in state.runs:
        run = {**state.runs[event.run_id], "decision": data["decision"]}
        return msgspec.structs.replace(state, runs={**state.runs, event.run_id: run})
    return state


def snapshot_parts(state: State) -> Json:
    """Return the parts of a snapshot except cursor, epoch and revision."""
    return {
        "project": state.project,
        "members": sorted(state.members.values(), key=lambda member: str(member["userId"])),
        "scenes": [
            {**scene, "position": place} for place, scene in enumerate(state.scenes.values())
        ],
        "messages": list(state.messages.values()),
        "runs": list(state.runs.values()),
    }


def _members(state: State, member: Json) -> dict[str, Json]:
    members = {**state.members, member["userId"]: member}
    if member["role"] is None:
        del members[member["userId"]]
    return members


def _scenes(state: State, kind: str, data: Json) -> dict[str, Json]:
    scenes = dict(state.scenes)
    if kind == "scene.deleted":
        scenes.pop(data["scene"]["id"], None)
    elif kind != "scenes.reordered":
        scenes[data["scene"]["id"]] = data["scene"]
    if "sceneIds" in data:
        scenes = {key: scenes[key] for key in data["sceneIds"] if key in scenes}
    return scenes


def _messages(state: State, kind: str, message: Json) -> dict[str, Json]:
    if kind == "message.updated" and message["id"] not in state.messages:
        return state.messages  # it is older than the newest `MAX_MESSAGES`
    messages = {**state.messages, message["id"]: message}
    for oldest in list(messages)[:-MAX_MESSAGES]:
        del messages[oldest]
    return messages


def _runs(state: State, kind: str, run: Json) -> dict[str, Json]:
    runs = {**state.runs, run["id"]: run}
    if kind == "run.finished":
        del runs[run["id"]]
    return runs
