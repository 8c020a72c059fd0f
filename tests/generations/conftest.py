"""What the tests of generations share with those of the chat and of scenes."""

from tests.chat.conftest import connections_come_back, house, model_house, modelled
from tests.studio import studio

__all__ = ["connections_come_back", "house", "model_house", "modelled", "studio"]
