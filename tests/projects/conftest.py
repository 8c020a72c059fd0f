"""The server of these tests."""

from tests.studio import postgres, studio, template

__all__ = ["postgres", "studio", "template"]
