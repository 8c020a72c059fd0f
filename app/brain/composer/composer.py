"""The entry of the composer: the offline model's decisions and scene code.

The composer works from rules. It is made of four parts, each in a folder that imports only those
below it:

- `deciding`: cuts a prompt into clauses and decides for each which tool to use on which scene.
- `editing`: changes the code of an existing scene in place.
- `composing`: reads a brief from a prompt and fills a template with it.
- `reading`: cleans prompts and finds quotes, colours, lists, lengths and kinds of scene in them.

Both functions are pure: equal arguments give equal results. What prompts lead to is recorded in
`tests/brain/phrases.jsonl`; a change of a rule shows there.
"""

from app.brain.composer.composing.brief import read_brief
from app.brain.composer.composing.compose import compose
from app.brain.composer.deciding import decide as deciding
from app.brain.composer.editing.edit import edit_code
from app.brain.composer.scene_code import SceneCode
from app.brain.composer.vary import vary_brief, vary_code
from app.brain.model import Context, Decision, WriteJob


def decide(context: Context) -> Decision:
    """Decide what a prompt means; the decision always fits the context."""
    return deciding.decide(context)


def write(job: WriteJob) -> SceneCode:
    """Write the code of a new scene, or edit that of an existing one."""
    if job.scene is None:
        return compose(vary_brief(read_brief(job), job.variation))
    edited = edit_code(job)
    return SceneCode(vary_code(edited.code, job), edited.note)
