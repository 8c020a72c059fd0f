"""The result of composing or editing a scene."""

import msgspec


class SceneCode(msgspec.Struct, frozen=True):
    """The whole code of a scene.

    `note` is a text for the chat about what changed and what could not be done, None if there is
    nothing to say.
    """

    code: str
    note: str | None = None
