"""Variations of one prompt differ from each other, can be played, and show what it orders."""

import pytest

from app.brain.model import Context, ContextScene, Text, WriteJob
from app.brain.offline import OfflineModel
from app.brain.prompts import code_messages
from app.tools.code import find_faults
from tests.harness.model_server import CODE

PROMPTS = [
    'A title "Hello"',
    'A red title "Hello" on black that bounces in fast, for 2 seconds',
    "A neon countdown from 3",
    "A bar chart of 3, 5 and 6",
    'A blue quote "Be kind" that fades slowly',
    "",
]
EDITS = ["Make the background blue", "Make it zoom faster", "Surprise me"]


async def written(job: WriteJob) -> str:
    return "".join(
        [piece.text async for piece in OfflineModel(0).write(job) if isinstance(piece, Text)]
    )


async def variations(instruction: str, code: str | None = None) -> list[str]:
    scene = None
    if code is not None:
        scene = ContextScene(id="s", number=1, name="Scene", tsx_code=code, duration=90)
    context = Context(prompt=instruction)
    return [
        await written(
            WriteJob(
                instruction=instruction,
                context=context,
                scene=scene,
                variation=number,
                variations=4,
            )
        )
        for number in range(4)
    ]


@pytest.mark.parametrize("prompt", PROMPTS)
async def test_four_new_scenes_differ(prompt: str) -> None:
    codes = await variations(prompt)
    assert len(set(codes)) == 4
    assert [find_faults(code) for code in codes] == [[]] * 4
    assert codes[0] == await written(WriteJob(instruction=prompt, context=Context(prompt=prompt)))
    assert codes == await variations(prompt)
    if "Hello" in prompt:
        assert all("Hello" in code for code in codes)
    if "red" in prompt:
        assert all("ff0000" in code or "red" in code.lower() for code in codes)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("model_code", [True, False])
async def test_four_edits_differ(edit: str, model_code: bool) -> None:
    code = CODE if model_code else (await variations(PROMPTS[0]))[0]
    codes = await variations(edit, code)
    if model_code and edit == "Surprise me":
        assert len(set(codes)) > 1
    else:
        assert len(set(codes)) == 4
    assert [find_faults(each) for each in codes] == [[]] * 4


def test_the_prompt_to_a_model_says_which_variation_it_writes() -> None:
    context = Context(prompt="A title")
    alone = WriteJob(instruction="A title", context=context)
    assert "variation" not in code_messages(alone)[-1]["content"]
    texts = [
        code_messages(
            WriteJob(instruction="A title", context=context, variation=number, variations=4)
        )[-1]["content"]
        for number in range(4)
    ]
    assert len(set(texts)) == 4
    assert all(f"variation {number + 1} of 4" in text for number, text in enumerate(texts))
