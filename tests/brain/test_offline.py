"""The offline model as a provider: it streams, and equal questions get equal answers."""

import asyncio

import pytest

from app.brain.decide import decide, write_code
from app.brain.model import Context, ContextScene, End, Piece, Provider, Text, WriteJob
from app.brain.offline import OfflineModel, pieces_of
from app.tools.code import find_faults

MODEL: Provider = OfflineModel(piece_delay=0)
CONTEXT = Context(prompt='add a title "Hello"')
JOB = WriteJob(instruction=CONTEXT.prompt, context=CONTEXT)


async def all_pieces(job: WriteJob) -> list[Piece]:
    return [piece async for piece in MODEL.write(job)]


async def test_code_comes_in_small_pieces_and_one_end() -> None:
    *texts, end = await all_pieces(JOB)
    assert isinstance(end, End)
    assert all(isinstance(piece, Text) for piece in texts)
    lengths = [len(piece.text) for piece in texts if isinstance(piece, Text)]
    assert all(20 <= length <= 60 for length in lengths[:-1])
    assert len(set(lengths)) > 5
    code = "".join(piece.text for piece in texts if isinstance(piece, Text))
    assert find_faults(code) == []
    assert end.usage.source == "estimated"
    assert end.usage.output_tokens == -(-len(code) // 4)
    assert await all_pieces(JOB) == [*texts, end]


async def test_a_turn_from_prompt_to_code_and_to_an_edit() -> None:
    decided = await decide(MODEL, CONTEXT)
    assert (decided.decision.tool_name, decided.repaired) == ("addScene", False)
    shown: list[str] = []

    async def delta(text: str) -> None:
        shown.append(text)

    async def restart() -> None:
        raise AssertionError("the offline model needs no second attempt")

    written = await write_code(MODEL, JOB, on_delta=delta, on_restart=restart)
    assert "".join(shown) == written.code
    assert 'const TITLE = "Hello";' in written.code
    scene = ContextScene(id="s", number=1, name="Hello Title", tsx_code=written.code, duration=150)
    context = Context(prompt='change "Hello" to "Bye"', scenes=[scene])
    decided = await decide(MODEL, context)
    assert (decided.decision.tool_name, decided.decision.target_scene_id) == ("editScene", "s")
    job = WriteJob(instruction=context.prompt, context=context, scene=scene)
    edited = await write_code(MODEL, job, on_delta=delta, on_restart=restart)
    assert edited.code == written.code.replace('"Hello"', '"Bye"')


async def test_streaming_yields_to_other_tasks() -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(beat())
    pieces = await all_pieces(JOB)
    task.cancel()
    assert beats >= len(pieces) - 1


async def test_images_that_it_cannot_look_at_are_noted() -> None:
    context = Context(prompt="title", image_urls=["https://example.com/a.png"])
    *_, end = await all_pieces(WriteJob(instruction="title", context=context))
    assert isinstance(end, End)
    assert "cannot look at images" in (end.note or "")


@pytest.mark.parametrize("text", ["", "a", "a" * 20, "\U0001f600" * 500])
def test_pieces_concatenate_to_the_text(text: str) -> None:
    assert "".join(pieces_of(text)) == text
