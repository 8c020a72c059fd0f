"""People and what they do."""

from tests.studio import studio

__all__ = ["studio"]
