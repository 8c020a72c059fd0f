"""Typed signals between slices within one process; senders do not import their receivers."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

Message = TypeVar("Message")


class Signals:
    """Delivers each message at once to the receivers of its type, in the order of connecting.

    Any class can be a message type; each is defined by the slice that sends it. Signals only
    reduce latency: a receiver also polls for the change that a lost message would announce.
    """

    def __init__(self) -> None:
        self._receivers: dict[type[Any], list[Callable[[Any], None]]] = {}

    def connect(
        self, kind: type[Message], receiver: Callable[[Message], None]
    ) -> Callable[[], None]:
        """Call `receiver` with each message of exactly this type.

        Returns a function that disconnects it.
        """
        receivers = self._receivers.setdefault(kind, [])
        receivers.append(receiver)
        return lambda: receivers.remove(receiver)

    def send(self, message: Any) -> None:
        """Call all receivers of the message's type; one that raises is logged and stops no other.

        Call it on the event loop's thread. It never waits and never raises.
        """
        for receiver in list(self._receivers.get(type(message), ())):
            try:
                receiver(message)
            except Exception:
                logger.exception("a receiver of %s failed", type(message).__name__)
