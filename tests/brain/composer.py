"""Calls of the composer, and scenes for it to decide about and to edit."""

from app.brain.composer import composer
from app.brain.composer.editing.editable import EditableCode
from app.brain.composer.scene_code import SceneCode
from app.brain.model import Context, ContextScene, WriteJob
from app.projects.model import Format

# Code as a person writes it: single quotes, tabs, a template literal, a prop with a default.
BY_HAND = """import {AbsoluteFill, interpolate, spring, useCurrentFrame} from 'remotion';

const accent = 'tomato';
const words = ['One', "T\\u0077o", `Three`];

export const MyScene: React.FC<{title?: string}> = ({title = 'Hello'}) => {
\tconst frame = useCurrentFrame();
\tconst opacity = interpolate(frame, [0, 30], [0, 1], {extrapolateRight: 'clamp'});
\treturn (
\t\t<AbsoluteFill style={{backgroundColor: 'white', fontSize: 60, opacity}} title="item">
\t\t\t<h1 style={{color: '#333', fontSize: "4rem"}}>Hello   {title} text &amp; you</h1>
\t\t\t{words.map((word) => <p key={word} style={{fontFamily: 'serif'}}>{word}</p>)}
\t\t\t<svg><circle fill={accent} stroke="red" r={5}/></svg>
\t\t</AbsoluteFill>
\t);
};
"""


def compose(prompt: str, format: Format = "landscape") -> SceneCode:
    """Return a new scene for a prompt, and its note."""
    context = Context(prompt=prompt, format=format)
    return composer.write(WriteJob(instruction=prompt, context=context))


def composed(prompt: str, format: Format = "landscape") -> str:
    """Return the code of a new scene for a prompt."""
    return compose(prompt, format).code


def edit(code: str, prompt: str, duration: int | None = None) -> SceneCode:
    """Return the code of a scene after a prompt, and the note about it."""
    scene = ContextScene(id="one", number=1, name="One", tsx_code=code, duration=150)
    context = Context(prompt=prompt, scenes=[scene])
    job = WriteJob(instruction=prompt, context=context, scene=scene, duration=duration)
    return composer.write(job)


def constant(code: str, name: str) -> str | float | None:
    """Return the value of a constant in code if it is a string or a number."""
    editable = EditableCode(code)
    text = editable.constant_text(name)
    return text if text is not None else editable.constant_number(name)


TITLE = composed('title "Hello World" "Sub" in white on navy, bounce')
LIST = composed('list titled "Plan": eggs, milk and bread')
CHART = composed("chart Q1 12, Q2 30")

SCENES = [
    ContextScene(id="a", number=1, name="Hello Title", tsx_code=composed('title "Hello"'),
                 duration=150),
    ContextScene(id="b", number=2, name="Sales Chart", tsx_code=composed("chart Q1 12 Q2 30"),
                 duration=90),
    ContextScene(id="c", number=3, name="Bye Title", tsx_code=composed('title "Bye now"'),
                 duration=150, newest=True),
]  # fmt: skip


def answer(
    prompt: str, scenes: list[ContextScene] = SCENES, selected: str | None = None
) -> list[tuple[str, str | None, int | None]] | str:
    """Return the steps as tool, target and duration, or the question."""
    context = Context(prompt=prompt, scenes=scenes, selected_scene_id=selected)
    decision = composer.decide(context)
    if decision.needs_clarification:
        return decision.clarification_question or ""
    if decision.workflow:
        return [(s.tool_name, s.target_scene_id, s.target_duration) for s in decision.workflow]
    assert decision.tool_name
    return [(decision.tool_name, decision.target_scene_id, decision.target_duration)]
