"""What people do and take back, and what a project is made of."""

from typing import Any

from app.scenes.model import SceneState
from tests.studio import Person, snapshot_of

Json = dict[str, Any]

CODE = "export default function Scene() {\r\n  return null; // \u2028 é 👩‍👩‍👧\n}"
FIELDS = ("id", "name", "tsxCode", "duration", "props", "layoutJson", "position")
PLAIN = SceneState(name="Plain", tsx_code=CODE)


async def film(project_id: str) -> list[Json]:
    """The live scenes in order: all that a viewer of the video would see."""
    snapshot = await snapshot_of(project_id)
    return [{name: scene[name] for name in FIELDS} for scene in snapshot["scenes"]]


async def newest(person: Person, scene_id: str) -> Json:
    """The last iteration of a scene."""
    page = await person.do("GET", f"/api/scenes/{scene_id}/iterations?limit=1")
    found: Json = page["items"][0]
    return found


async def go_back(person: Person, iteration_id: str, target: str = "before", **more: Any) -> Json:
    path = f"/api/iterations/{iteration_id}/revert"
    went: Json = await person.do("POST", path, {"target": target, **more})
    return went


async def refused_to_go_back(person: Person, path: str, **more: Any) -> Json:
    """The error of a going back that meets later changes."""
    answer = await person.ask("POST", f"/api/{path}/revert", {"target": "before", **more})
    assert answer.status_code == 409, answer.text
    error: Json = answer.json()["error"]
    assert error["code"] == "CONFLICT"
    return error
