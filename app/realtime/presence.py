"""Who is here, on which scene: each process tells its own people, and the others forget them."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from app.realtime import frames
from app.realtime.bus import People
from app.realtime.frames import Frame
from app.realtime.model import Someone

PAUSE = 0.25  # seconds between two tellings, at least; more when many would be told
EACH = 0.002  # seconds more for each who is told
AGAIN = 10.0  # seconds after which a process says again who is with it
LIFE = 25.0  # seconds after which the people of a process that is silent are gone
SHOWN = 100  # people of one process, and of one event; the rest are counted


class Place(NamedTuple):
    user_id: str
    scene_id: str | None


class Presence:
    """The people of one project. Soft state: it is told again, never stored, and ages out.

    `show` gets an event for the streams of this process; `say` tells the other processes who is
    here and, with `ask`, has them do the same. Both are called seldom, however much changes.
    """

    def __init__(
        self,
        project_id: str,
        show: Callable[[Frame], None],
        say: Callable[[list[Someone], int, bool], None],
    ) -> None:
        self.frame: Frame | None = None  # what was told last: a joiner is told the same
        self._project_id = project_id
        self._show, self._say = show, say
        self._here: dict[object, Place] = {}
        self._counts: Counter[Place] = Counter()
        self._elsewhere: dict[str, tuple[float, People]] = {}
        self._shown: tuple[list[Someone], int] = ([], 0)
        self._said: tuple[list[Someone], int] = ([], 0)
        self._said_at = -math.inf
        self._told_at = -math.inf
        self._ask = self._answer = False
        self._timer: asyncio.TimerHandle | None = None

    def arrive(self, stream: object, user_id: str) -> None:
        """A stream begins to be told; it is on no scene unless it said so already."""
        if stream not in self._here:
            self._ask |= not self._here
            self.move(stream, user_id, None)

    def move(self, stream: object, user_id: str, scene_id: str | None) -> None:
        """A stream's person looks at a scene now, or at none."""
        place = Place(user_id, scene_id)
        if self._here.get(stream) != place:
            self._forget(stream)
            self._here[stream] = place
            self._counts[place] += 1
            self._changed()

    def leave(self, stream: object) -> None:
        """A stream is over."""
        if self._forget(stream):
            self._changed()

    def hear(self, people: People) -> None:
        """Another process has told who is with it."""
        if people.users:
            until = asyncio.get_running_loop().time() + LIFE
            self._elsewhere[people.process] = (until, people)
        else:
            self._elsewhere.pop(people.process, None)
        self._answer |= people.ask and bool(self._here)
        self._changed()

    def tick(self, now: float) -> None:
        """Called now and then: forget who is silent, be not silent ourselves."""
        silent = [name for name, (until, _) in self._elsewhere.items() if now >= until]
        for name in silent:
            del self._elsewhere[name]
        self._answer |= bool(self._here) and now - self._said_at >= AGAIN
        if silent or self._answer:
            self._changed()

    def suspect(self) -> None:
        """Words may have been lost: say and ask again."""
        if self._here:
            self._ask = True
            self._changed()

    def close(self) -> None:
        """This process ends: its people leave at once instead of ageing out elsewhere."""
        if self._said[0]:
            self._said = ([], 0)
            self._say([], 0, False)

    def _forget(self, stream: object) -> bool:
        place = self._here.pop(stream, None)
        if place is None:
            return False
        self._counts[place] -= 1
        if not self._counts[place]:
            del self._counts[place]
        return True

    def _changed(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            pause = PAUSE + EACH * len(self._here)
            when = max(loop.time(), self._told_at + pause)
            self._timer = loop.call_at(when, self._tell)

    def _tell(self) -> None:
        self._timer = None
        self._told_at = asyncio.get_running_loop().time()
        ours = _listed(self._counts)
        if ours != self._said or self._ask or self._answer:
            self._say(*ours, self._ask)
            self._said, self._said_at = ours, self._told_at
            self._ask = self._answer = False
        everybody = self._merged()
        if everybody != self._shown or self.frame is None:
            self._shown = everybody
            data: dict[str, Any] = {"users": everybody[0]}
            if everybody[1]:
                data["more"] = everybody[1]
            self.frame = frames.own("presence.updated", self._project_id, data)
            self._show(self.frame)

    def _merged(self) -> tuple[list[Someone], int]:
        counts, more = Counter(self._counts), 0
        for _, people in self._elsewhere.values():
            more += people.more
            for one in people.users:
                counts[Place(one.user_id, one.scene_id)] += one.connections
        on_scenes = {place.user_id for place in counts if place.scene_id}
        for place in [p for p in counts if p.scene_id is None and p.user_id in on_scenes]:
            del counts[place]
        users, hidden = _listed(counts)
        return users, hidden + more


def _listed(counts: Counter[Place]) -> tuple[list[Someone], int]:
    """People in an order that says nothing but stays, and how many more there are."""
    places = sorted(counts, key=lambda place: (place.user_id, place.scene_id or ""))
    users = [
        Someone(user_id=place.user_id, scene_id=place.scene_id, connections=counts[place])
        for place in places[:SHOWN]
    ]
    return users, len(places) - len(users)
