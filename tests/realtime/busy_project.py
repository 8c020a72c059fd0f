"""A project that two accounts and the offline model change at random over HTTP."""

import random
from typing import Any

from tests.harness.person import Person

PROMPTS = (
    'Make a title scene that says "Premiere 🎬"',
    "Add a countdown from 5",
    "Make it blue",
    "Add a quote: “Every frame counts”",
    "make the first scene longer",
)

Json = dict[str, Any]


class BusyProject:
    """`owner`'s project; each `change` is one request, chosen by `chance`."""

    def __init__(self, owner: Person, editor: Person, chance: random.Random) -> None:
        self.owner, self.editor, self.chance = owner, editor, chance
        self.id = ""
        self.done: list[str] = []

    async def open(self, title: str) -> None:
        self.id = await self.owner.project(title=title)
        await self._join()
        await self.add()
        await self.add()

    async def change(self) -> None:
        kinds = {
            self.add: 4, self.rename: 5, self.trim: 3, self.duplicate: 2, self.delete: 2,
            self.reorder: 3, self.retitle: 2, self.promote: 2, self.ask: 3,
        }  # fmt: skip
        await self.chance.choices([*kinds], [*kinds.values()])[0]()

    async def scenes(self) -> list[Json]:
        page = await self.owner.do("GET", f"/api/projects/{self.id}/scenes")
        items: list[Json] = page["items"]
        return items

    async def add(self) -> None:
        code = f"export default () => <b>{self.chance.random()}</b>;"
        body = self.chance.choice([{}, {"name": f"Scene ü{len(self.done)}", "tsxCode": code}])
        await self._who().do("POST", f"/api/projects/{self.id}/scenes", body)
        self.done.append("add")

    async def rename(self) -> None:
        if scene := await self._any():
            name = f"Name 🎞 {self.chance.random()}"
            await self._who().do("PATCH", f"/api/scenes/{scene['id']}", {"name": name})
            self.done.append("rename")

    async def trim(self) -> None:
        if scene := await self._any():
            body = {"duration": self.chance.randint(20, 140)}
            await self._who().do("POST", f"/api/scenes/{scene['id']}/trim", body)
            self.done.append("trim")

    async def duplicate(self) -> None:
        if scene := await self._any():
            await self._who().do("POST", f"/api/scenes/{scene['id']}/duplicate")
            self.done.append("duplicate")

    async def delete(self) -> None:
        """Delete a scene, and restore it half of the time."""
        scenes = await self.scenes()
        if len(scenes) < 3:
            return
        gone = self.chance.choice(scenes)["id"]
        await self._who().do("DELETE", f"/api/scenes/{gone}")
        if self.chance.random() < 0.5:
            await self._who().do("POST", f"/api/scenes/{gone}/restore")
        self.done.append("delete")

    async def reorder(self) -> None:
        ids = [scene["id"] for scene in await self.scenes()]
        self.chance.shuffle(ids)
        await self._who().do("PUT", f"/api/projects/{self.id}/scene-order", {"sceneIds": ids})
        self.done.append("reorder")

    async def retitle(self) -> None:
        body = {"title": f"Busy {self.chance.random()}"}
        await self.owner.do("PATCH", f"/api/projects/{self.id}", body)
        self.done.append("retitle")

    async def promote(self) -> None:
        """Remove the editor and invite them again."""
        path = f"/api/projects/{self.id}/members/{self.editor.user_id}"
        await self.owner.do("DELETE", path)
        await self._join()
        self.done.append("member")

    async def ask(self) -> None:
        """Have the offline model do a whole turn."""
        body = {"prompt": self.chance.choice(PROMPTS)}
        path = f"/api/projects/{self.id}/runs"
        await self._who().do("POST", path, body, headers={"prefer": "wait=30"})
        self.done.append("ask")

    async def _join(self) -> None:
        await self.owner.invite(self.editor, self.id, "editor")

    async def _any(self) -> Json | None:
        scenes = await self.scenes()
        return self.chance.choice(scenes) if scenes else None

    def _who(self) -> Person:
        return self.chance.choice([self.owner, self.editor])
