"""Any prompt gives the same answer every time, and code that can be played."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.brain.composer import composer
from app.brain.decide import read_decision
from app.brain.model import Context, ContextScene, Decision
from app.projects.model import FRAME_SIZES, Format
from app.tools.code import find_faults
from tests.brain.composer import BY_HAND, composed, edit

pytestmark = pytest.mark.slow

KINDS = [
    "title", "lower third", "list:", "bar chart", "quote", "logo", "triangle shapes",
    "countdown from 5", "counter to 900", "a vs b", "call to action",
]  # fmt: skip
WORDS = [
    *KINDS, "add", "delete", "make it", "scene 1", "scene 2", "the last scene", "change", "remove",
    '"', "'", "`", "\u201c", "\u201d", "\u00ab", "\u00bb", "to", "and", "then", "red", "on black",
    "background", "#f0f", "bigger", "faster", "2x", "3 seconds", "90 frames", "10000 frames",
    "10, 20, 35", "Q1 12", "${x}", "</div>", "{", "}", "\\", "\\u{1}", "\n", "\0", "\ud800",
    "\U0001f600", "\u2028", "\u202e", "\ue000", "\u0130", "...", "// rest of the code", "neon",
    "item", "subtitle", "text", "make everything", "the values to 5, 50", "swap", "rename", "move",
    "the chart", "list of", "F\u00fcge einen Titel", "delet", "ttile", "in cream", "half as fast",
    ":", "-", "1.", "font size 5", "all scenes", "by", "\u4f60\u597d",
]  # fmt: skip
prompts = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=25).map("".join),
    st.text(max_size=200),
    st.text(st.characters(codec=None), max_size=60),
)
formats = st.sampled_from(sorted(FRAME_SIZES))


@settings(max_examples=120, deadline=None)
@given(prompts, formats, st.sampled_from(["", *KINDS]))
def test_new_scenes_can_be_played_and_are_deterministic(
    prompt: str, format: Format, kind: str
) -> None:
    code = composed(f"{kind} {prompt}", format)
    assert find_faults(code) == []
    assert composed(f"{kind} {prompt}", format) == code


@settings(max_examples=120, deadline=None)
@given(prompts, st.sampled_from(KINDS))
def test_edits_of_own_code_can_be_played_and_are_deterministic(prompt: str, kind: str) -> None:
    before = composed(f'{kind} "It\'s {{here}}"')
    code = edit(before, prompt).code
    assert find_faults(code) == []
    assert edit(before, prompt).code == code


@settings(max_examples=120, deadline=None)
@given(prompts)
def test_edits_of_hand_written_code_can_always_be_played(prompt: str) -> None:
    assert find_faults(edit(BY_HAND, prompt).code) == []


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300), prompts)
def test_editing_broken_code_does_not_raise(code: str, prompt: str) -> None:
    assert isinstance(edit(code, prompt).code, str)


@settings(max_examples=200, deadline=None)
@given(prompts, st.integers(0, 4), st.integers(-1, 5))
def test_decisions_always_fit_their_context(prompt: str, count: int, selected: int) -> None:
    scenes = [
        ContextScene(id=f"id-{n}", number=n + 1, name=KINDS[n], tsx_code=BY_HAND, duration=150)
        for n in range(count)
    ]
    chosen = f"id-{selected}" if selected >= 0 else None
    context = Context(prompt=prompt, scenes=scenes, selected_scene_id=chosen)
    decision = composer.decide(context)
    text = msgspec.json.encode(decision).decode()
    assert msgspec.json.decode(text, type=Decision) == decision
    assert read_decision(text, context) == decision
    assert composer.decide(context) == decision
    assert decision.user_feedback
    assert decision.reasoning


def test_the_longest_prompts_are_read_in_time() -> None:
    long = [
        "a" * 12_000, '"' * 12_000, "'a " * 4000, "`" * 12_000, "\u201c" * 12_000, "1" * 12_000,
        "1," * 6000, "and then add a " * 800, "vs " * 4000, "red " * 3000, "- x\n" * 3000,
        "add a title " * 1000, "make it red, " * 900, "scene 1, " * 1300, "the title " * 1200,
        " " * 12_000, "\n" * 12_000, "https://" * 1500, "change a to b " * 850, "#fff" * 3000,
        "list: b in " + "a" * 580, "list: " + "a in b " * 1700, "list of " + "x, in red " * 1000,
        "delet ttile " * 1000, "the alpha scene " * 800,
        "F\u00fcge einen Titel " * 600, "a: " * 4000,
        "move the chart to " * 600, "values to " + "1, " * 3000, "make everything " * 800,
    ]  # fmt: skip
    scene = ContextScene(id="one", number=1, name="One", tsx_code=BY_HAND, duration=150)
    for prompt in long:
        context = Context(prompt=prompt, scenes=[scene])
        assert composer.decide(context).user_feedback
        assert find_faults(composed(prompt)) == []
        assert find_faults(edit(BY_HAND, prompt).code) == []
