"""Presence: who follows a project, and on which scene, across all processes."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from app.realtime.bus.messages import PresenceReport
from app.realtime.encoding import EncodedEvent, stream_event
from app.realtime.events import PresentUser
from app.realtime.limits import Limits

MIN_INTERVAL_SECONDS = 0.25  # between two updates
INTERVAL_PER_SUBSCRIBER_SECONDS = 0.002  # added to it for each subscriber that is here


class Location(NamedTuple):
    """A person and the scene that they look at, if any."""

    user_id: str
    scene_id: str | None


class Presence:
    """The people of one project. Soft state: reported again and again, never stored, aging out.

    `publish` gets an event for the subscribers of this process. `report` sends this process's
    people to the others: users, how many more, and whether the others are to report as well.
    Both are called seldom, however much changes.
    """

    def __init__(
        self,
        project_id: str,
        publish: Callable[[EncodedEvent], None],
        report: Callable[[list[PresentUser], int, bool], None],
        limits: Limits,
    ) -> None:
        self.event: EncodedEvent | None = None  # the last update; a new subscriber receives it
        self._project_id = project_id
        self._publish, self._report, self._limits = publish, report, limits
        self._here: dict[object, Location] = {}
        self._counts: Counter[Location] = Counter()
        self._elsewhere: dict[str, tuple[float, PresenceReport]] = {}
        self._published: tuple[list[PresentUser], int] = ([], 0)
        self._reported: tuple[list[PresentUser], int] = ([], 0)
        self._reported_at = -math.inf
        self._published_at = -math.inf
        self._ask = self._reply = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def join(self, subscription: object, user_id: str) -> None:
        """Add a subscription; it is on no scene unless it has moved already."""
        if subscription not in self._here:
            self._ask |= not self._here
            self.move(subscription, user_id, None)

    def move(self, subscription: object, user_id: str, scene_id: str | None) -> None:
        """Note that a subscription's person looks at a scene now, or at none."""
        location = Location(user_id, scene_id)
        if self._here.get(subscription) != location:
            self._forget(subscription)
            self._here[subscription] = location
            self._counts[location] += 1
            self._changed()

    def leave(self, subscription: object) -> None:
        """Remove a subscription."""
        if self._forget(subscription):
            self._changed()

    def receive(self, report: PresenceReport) -> None:
        """Take in the report of another process."""
        if report.users:
            until = asyncio.get_running_loop().time() + self._limits.presence_ttl
            self._elsewhere[report.process] = (until, report)
        else:
            self._elsewhere.pop(report.process, None)
        self._reply |= report.ask and bool(self._here)
        self._changed()

    def tick(self, now: float) -> None:
        """Drop the reports of silent processes and repeat our own; called about every second."""
        silent = [name for name, (until, _) in self._elsewhere.items() if now >= until]
        for name in silent:
            del self._elsewhere[name]
        due = now - self._reported_at >= self._limits.presence_interval
        self._reply |= bool(self._here) and due
        if silent or self._reply:
            self._changed()

    def resync(self) -> None:
        """Report and ask again, since messages may have been lost."""
        if self._here:
            self._ask = True
            self._changed()

    def close(self) -> None:
        """Report that nobody is present, so that no report has to age out in other processes.

        Nothing is published afterwards.
        """
        self._closed = True
        if self._timer:
            self._timer.cancel()
        if self._reported[0]:
            self._reported = ([], 0)
            self._report([], 0, False)

    def _forget(self, subscription: object) -> bool:
        location = self._here.pop(subscription, None)
        if location is None:
            return False
        self._counts[location] -= 1
        if not self._counts[location]:
            del self._counts[location]
        return True

    def _changed(self) -> None:
        if self._timer is None and not self._closed:
            loop = asyncio.get_running_loop()
            pause = MIN_INTERVAL_SECONDS + INTERVAL_PER_SUBSCRIBER_SECONDS * len(self._here)
            when = max(loop.time(), self._published_at + pause)
            self._timer = loop.call_at(when, self._update)

    def _update(self) -> None:
        self._timer = None
        self._published_at = asyncio.get_running_loop().time()
        ours = _listed(self._counts, self._limits.presence_users)
        if ours != self._reported or self._ask or self._reply:
            self._report(*ours, self._ask)
            self._reported, self._reported_at = ours, self._published_at
            self._ask = self._reply = False
        everybody = self._merged()
        if everybody != self._published or self.event is None:
            self._published = everybody
            data: dict[str, Any] = {"users": everybody[0]}
            if everybody[1]:
                data["more"] = everybody[1]
            self.event = stream_event("presence.updated", self._project_id, data)
            self._publish(self.event)

    def _merged(self) -> tuple[list[PresentUser], int]:
        counts, more = Counter(self._counts), 0
        for _, report in self._elsewhere.values():
            more += report.more
            for one in report.users:
                counts[Location(one.user_id, one.scene_id)] += one.connections
        on_scenes = {location.user_id for location in counts if location.scene_id}
        for location in [p for p in counts if p.scene_id is None and p.user_id in on_scenes]:
            del counts[location]
        users, hidden = _listed(counts, self._limits.presence_users)
        return users, hidden + more


def _listed(counts: Counter[Location], most: int) -> tuple[list[PresentUser], int]:
    """Return at most so many people in a stable order, and how many more there are."""
    locations = sorted(counts, key=lambda location: (location.user_id, location.scene_id or ""))
    users = [
        PresentUser(
            user_id=location.user_id, scene_id=location.scene_id, connections=counts[location]
        )
        for location in locations[:most]
    ]
    return users, len(locations) - len(users)
