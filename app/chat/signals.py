"""Calls between requests and the runner, in this process and through the bus to others.

They only save time: who misses one finds out from the database within a second or two.
"""

from collections.abc import Callable


class Signals:
    """`wake`: there may be a run to claim. `stop`: a cancel was asked for."""

    def __init__(self) -> None:
        self.on_wake: list[Callable[[], None]] = []
        self.on_stop: list[Callable[[str], None]] = []

    def wake(self) -> None:
        for call in self.on_wake:
            call()

    def stop(self, run_id: str) -> None:
        for call in self.on_stop:
            call(run_id)


SIGNALS = Signals()
