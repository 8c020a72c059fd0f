"""All who follow one project in this process, and how they are woken."""

import asyncio
from typing import Protocol

SLICE = 250  # woken before the loop may do something else


class Awake(Protocol):
    def wake(self) -> None: ...


class Crowd:
    """Wakes everybody once however often it is told; many in slices, so that the loop breathes."""

    def __init__(self) -> None:
        self._members: set[Awake] = set()
        self._silent: set[Awake] = set()  # told by others
        self._walking = self._again = False

    def __len__(self) -> int:
        return len(self._members) + len(self._silent)

    def add(self, member: Awake, *, woken: bool = True) -> None:
        (self._members if woken else self._silent).add(member)

    def discard(self, member: Awake) -> None:
        self._members.discard(member)
        self._silent.discard(member)

    def wake(self) -> None:
        if self._walking:
            self._again = True
        elif len(self._members) <= SLICE:
            for member in self._members:
                member.wake()
        else:
            self._walking = True
            self._walk(list(self._members), 0)

    def _walk(self, members: list[Awake], index: int) -> None:
        for member in members[index : index + SLICE]:
            member.wake()
        index += SLICE
        if index < len(members):
            asyncio.get_running_loop().call_soon(self._walk, members, index)
            return
        self._walking = False
        if self._again:
            self._again = False
            self.wake()
