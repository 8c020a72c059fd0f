"""Deltas: in order with durable events, with exact offsets, and a snapshot for late joins."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.realtime import log
from app.realtime.bus.local import LocalBus
from app.realtime.events import LiveEvent
from app.realtime.live import GrowingText, utf16_length
from app.realtime.publisher import join_deltas
from app.store.ids import new_id
from tests.harness.database import DB
from tests.harness.events import Received
from tests.realtime.clients import events, poll, socket, sse
from tests.realtime.hub_server import NO_HEAD_CHECK, NewProcess, Process, Project, Turn

ODD_TEXT = 'a\U0001f600é\n\u2028"' * 40


def text_of(received: Received, call_id: str) -> str:
    """The code of a call as a client has it; asserts the offsets in UTF-16 units."""
    text = ""
    for event in received.events:
        data = event["data"]
        if event["type"] == "run.snapshot":
            for call in data["calls"]:
                if call["callId"] == call_id:
                    text = call["code"]
                    assert call["offset"] == utf16_length(text)
        elif event["type"] == "code.delta" and data["callId"] == call_id:
            assert data["offset"] == utf16_length(text), "a delta with a wrong offset"
            text += data["text"]
    return text


async def stream_code(turn: Turn, call_id: str, text: str, pause: float = 0.001) -> None:
    for index in range(0, len(text), 3):
        turn.write(text[index : index + 3], call_id)
        if index % 30 == 0:
            await asyncio.sleep(pause)


async def test_deltas_are_delivered_between_the_start_and_end_of_their_tool(
    here: Process, project: Project
) -> None:
    turn = Turn(project, here.hubs)
    async with events(here, project) as received:
        await received.ready()
        await turn.start()
        for step in (1, 2, 3):
            call = new_id()
            await turn.call(call, step)
            await stream_code(turn, call, ODD_TEXT, pause=0)
            await turn.durable("tool.finished", {"callId": call, "success": True})
            await received.revision(turn.after)
            assert text_of(received, call) == ODD_TEXT
        await turn.finish()
        await received.revision(turn.after)
    opened: set[str] = set()
    for event in received.events:
        if event["type"] == "tool.started":
            opened.add(event["data"]["callId"])
        elif event["type"] == "tool.finished":
            opened.remove(event["data"]["callId"])
        elif event["type"] == "code.delta":
            assert event["data"]["callId"] in opened
            assert event["runId"] == turn.id
            assert "revision" not in event


async def test_frequent_deltas_are_joined(here: Process, project: Project) -> None:
    turn, call = Turn(project, here.hubs), new_id()
    async with events(here, project) as received:
        await received.ready()
        await turn.start()
        await turn.call(call)
        for _ in range(300):
            turn.write("x", call)
            await asyncio.sleep(0.001)
        await received.until(lambda received: text_of(received, call) == "x" * 300)
    assert 3 <= len(received.of("code.delta")) <= 60


async def test_delta_join_mid_message(here: Process, project: Project) -> None:
    turn, call = Turn(project, here.hubs), new_id()
    await turn.start()
    await turn.call(call)
    writing = asyncio.create_task(stream_code(turn, call, ODD_TEXT * 5, pause=0.01))
    turn.write("I am \U0001f600 ")
    turn.live("run.progress", {"stage": "writing", "percent": 40, "label": "Writing"})
    joins = []
    for number in range(6):
        query = {"after": project.cursor(turn.after)} if number % 2 else {}
        join = events(here, project, **query)
        joins.append((join, await join.__aenter__()))
        await asyncio.sleep(0.02)
    polled = await poll(here, project, project.cursor(turn.after))
    await writing
    for join, received in joins:
        await received.until(lambda received: text_of(received, call) == ODD_TEXT * 5)
        snapshot = received.of("run.snapshot")[0]
        assert snapshot["run"]["id"] == turn.id
        assert snapshot["decision"] == {"toolName": "addScene"}
        assert snapshot["message"]["text"] == "I am \U0001f600 "
        assert snapshot["message"]["offset"] == 8
        assert (snapshot["stage"], snapshot["percent"]) == ("writing", 40)
        assert received.types.index("run.snapshot") < received.types.index("sync.ready")
        await join.__aexit__(None, None, None)
    [run] = polled["runs"]
    assert run["type"] == "run.snapshot"
    assert run["data"]["calls"][0]["callId"] == call
    assert any(len(h.of("run.snapshot")[0]["calls"][0]["code"]) > 0 for _, h in joins)


async def test_delta_after_completed_and_regenerate(here: Process, project: Project) -> None:
    turn, call = Turn(project, here.hubs), new_id()
    async with events(here, project) as received:
        await received.ready()
        await turn.start()
        await turn.call(call)
        turn.write("first attempt", call)
        zombie = Turn(project, here.hubs)
        zombie.id, zombie.message_id, zombie.after = turn.id, turn.message_id, turn.after
        zombie.live_run.open_call({"callId": call, "toolName": "addScene"})
        zombie.live_run.calls[call].code.append("first attempt")
        turn.attempt = 2
        turn.live_run.restart()
        await turn.durable("run.retrying", turn.run())
        await turn.call(call)
        await received.revision(turn.after)  # until then, deltas of the first attempt are published
        zombie.write("zombie", call)
        turn.write("second", call)
        zombie.write("zombie", call)
        await received.until(lambda received: len(received.of("code.delta")) == 2)
        await turn.finish()
        turn.write("after the end", call)
        turn.live("run.progress", {"stage": "late"})
        await project.note("marker")
        await received.revision(await project.head())
    assert [data["text"] for data in received.of("code.delta")] == ["first attempt", "second"]
    assert received.of("code.delta")[1]["offset"] == 0
    assert received.of("run.progress") == []


async def test_lost_delta(here: Process, project: Project) -> None:
    turn, call = Turn(project, here.hubs), new_id()
    async with events(here, project) as received:
        await received.ready()
        await turn.start()
        await turn.call(call)
        turn.write("one ", call)
        await received.until(lambda received: text_of(received, call) == "one ")
        with here.missing_live_events(project.id):
            turn.write("two ", call)
            await asyncio.sleep(0.05)
        turn.write("three", call)
        await received.until(lambda received: received.of("run.snapshot"))
        assert text_of(received, call) == "one two three"
        turn.write(" four", call)
        await received.until(lambda received: text_of(received, call) == "one two three four")


async def test_the_stream_of_a_run_starts_at_queued_and_ends_at_finished(
    here: Process, project: Project
) -> None:
    turn, other, call = Turn(project, here.hubs), Turn(project, here.hubs), new_id()
    await turn.queue()
    path = f"/p/{project.id}/runs/{turn.id}/events"
    async with sse(here, path) as early:
        await early.until(lambda received: "run.queued" in received.types)
        await other.queue()
        await turn.durable("run.started", turn.run())
        await turn.call(call)
        await project.note("of no run")
        turn.write("abc", call)
        async with sse(here, path) as late, sse(here, path, after=project.cursor(3)) as resumed:
            await late.until(lambda received: received.of("run.snapshot"))
            await resumed.until(lambda received: received.of("run.snapshot"))
            turn.write("def", call)
            await asyncio.sleep(0.05)
            await turn.finish()
            for received in (early, late, resumed):
                await received.over()
                assert received.code is None
                assert received.types[-1] == "run.finished"
                assert text_of(received, call) == "abcdef"
    async with sse(here, path) as replayed:
        await replayed.over()
    async with sse(here, path, after=project.cursor(await project.head())) as empty:
        await empty.over()
    assert empty.events == []
    kinds = ["message.created", "run.queued", "run.started", "tool.started", "run.finished"]
    durable = [event["type"] for event in replayed.events if "revision" in event]
    assert durable == kinds
    assert early.logged == late.logged == replayed.logged
    assert {event["runId"] for event in early.events} == {turn.id}
    assert resumed.logged == [entry for entry in replayed.logged if entry[0] > 3]


async def test_deltas_and_snapshots_are_the_same_over_a_socket(
    here: Process, project: Project
) -> None:
    turn, call = Turn(project, here.hubs), new_id()
    await turn.start()
    await turn.call(call)
    turn.write(ODD_TEXT, call)
    async with socket(here, project, packed=True) as (received, _):
        await received.ready()
        turn.write("more", call)
        await received.until(lambda received: text_of(received, call) == ODD_TEXT + "more")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=4)), max_size=20))
def test_joined_deltas_have_the_same_texts_and_offsets(pieces: list[tuple[str, str]]) -> None:
    ends: dict[str, int] = {}
    whole: dict[str, str] = {}
    deltas = []
    for call, text in pieces:
        deltas.append(_delta(call, ends.get(call, 0), text))
        ends[call] = ends.get(call, 0) + utf16_length(text)
        whole[call] = whole.get(call, "") + text
    joined: dict[str, str] = {}
    for event in join_deltas(deltas):
        call = event.data["callId"]
        assert event.data["offset"] == utf16_length(joined.get(call, ""))
        joined[call] = joined.get(call, "") + event.data["text"]
    assert joined == whole


def _delta(call: str, offset: int, text: str) -> LiveEvent:
    data: dict[str, Any] = {"callId": call, "offset": offset, "text": text}
    return LiveEvent(
        type="code.delta",
        project_id="p",
        run_id="r",
        request_id="q",
        actor_id="a",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        data=data,
        attempt=1,
        after=0,
    )


def test_what_is_no_text_leaves_a_growing_text_as_it_was() -> None:
    growing = GrowingText("abc")
    with pytest.raises(AttributeError):
        growing.append(cast(Any, 5))
    assert (growing.text, growing.offset) == ("abc", 3)


async def test_a_delayed_delta_is_published_before_a_later_commit(
    process: NewProcess, database: str, project: Project
) -> None:
    """The hub reads the committed row before the worker's hint of it."""
    async with process(LocalBus(), NO_HEAD_CHECK, receives_commits=False) as here:
        turn, call = Turn(project, here.hubs), new_id()
        await turn.start()
        await turn.call(call)
        async with events(here, project) as received:
            await received.ready()
            turn.write("published at once, ", call)
            turn.write("and delayed", call)
            async with DB.transaction() as tx:
                async with log.changing(tx, project.id, actor_id="a", request_id="r") as change:
                    change.emit("tool.finished", {"callId": call}, run_id=turn.id)
                    turn.write(" to the last tick", call)
            here.hub(project.id).hint(change.revision)
            await received.revision(change.revision)
            assert text_of(received, call) == "published at once, and delayed to the last tick"


async def test_the_stream_of_a_new_run_misses_nothing_of_a_short_run(
    here: Process, project: Project
) -> None:
    turn, other, call = Turn(project, here.hubs), Turn(project, here.hubs), new_id()
    await project.note("before")
    await here.hubs.ensure_ready(project.id)  # as a prompt's own stream does before the run begins
    await other.start()
    await turn.queue()
    begun = await project.head()
    await turn.durable("run.started", turn.run())
    await turn.call(call)
    turn.write("abc", call)
    turn.write("Done.")
    other.write("not yours")
    await turn.finish()
    path = f"/p/{project.id}/runs/{turn.id}/events"
    async with sse(here, path, begun=begun) as own, sse(here, path) as late:
        await own.over()
        await late.over()
    durable = ["message.created", "run.queued", "run.started", "tool.started", "run.finished"]
    assert late.types == durable
    assert sorted(own.types) == sorted([*durable, "code.delta", "message.delta"])
    assert text_of(own, call) == "abc"
    assert [data["text"] for data in own.of("message.delta")] == ["Done."]
    assert own.types[:2] == durable[:2]
    assert own.types[-1] == "run.finished"


async def test_a_run_that_is_not_in_the_ring_is_replayed(here: Process, project: Project) -> None:
    turn = Turn(project, here.hubs)
    await turn.queue()
    begun = await project.head()
    await turn.durable("run.started", turn.run())
    path = f"/p/{project.id}/runs/{turn.id}/events"
    async with sse(here, path, begun=begun) as received:  # its hub begins only now
        await received.until(lambda received: "run.snapshot" in received.types)
        await turn.finish()
        await received.over()
    durable = [kind for kind in received.types if kind != "run.snapshot"]
    assert durable == ["message.created", "run.queued", "run.started", "run.finished"]
