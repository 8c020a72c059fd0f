"""The composer answers every prompt of the corpus as it was recorded."""

import pytest

from tests.brain.phrases import answers_to, recorded

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("part", range(4))
def test_prompts_are_answered_as_recorded(part: int) -> None:
    for expected in recorded()[part::4]:
        assert answers_to(expected.prompt) == expected
