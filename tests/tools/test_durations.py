"""The durations in prompts, in frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tools.durations import find_durations, requested_frames


@pytest.mark.parametrize(
    ("prompt", "frames"),
    [
        ("make it 3 seconds", 90),
        ("a 3-second title", 90),
        ("2.5s intro", 75),
        ("2,5 seconds", 75),
        ("90 frames", 90),
        ("cut scene 2 to 90 frames", 90),
        ("1 min", 1800),
        ("half a minute", 900),
        ("two seconds", 60),
        ("1500ms", 45),
        ("1500 milliseconds", 45),
        ("0.517 seconds", 16),
        ("15 frames", 15),
        ("14 frames", None),
        ("1800 frames", 1800),
        ("1801 frames", None),
        ("1 frame", None),
        ("10000 frames", None),
        ("10,000 frames", None),
        ("2 minutes", None),
        ("0 minutes 30 seconds", 900),
        ("0.5 minutes and 10 seconds", 1200),
        ("from 5 seconds to 3 seconds", 90),
        ("fade out after 2 seconds", None),
        ("at 4 seconds show a logo, 6 seconds in all", 180),
        ("https://youtu.be/abc?t=30s", None),
        ("https://youtu.be/abc?t=30 in 5 seconds", 150),
        ("www.example.com/30s and so on", None),
        ("?t=30", None),
        ("t=30", None),
        ("a 90s retro look", None),
        ("music from the 80s", None),
        ("a clip in 1990s style", None),
        ('a title "3 seconds to mars"', None),
        ("a title \u201c3 seconds to mars\u201d, 4 seconds", 120),
        ("3 slides", None),
        ("60 fps", None),
        ("$5 second hand", None),
        ("", None),
    ],
)
def test_durations_of_prompts(prompt: str, frames: int | None) -> None:
    assert requested_frames(prompt) == frames


def test_the_frame_rate_counts_for_seconds_and_not_for_frames() -> None:
    assert requested_frames("2 seconds", 60) == 120
    assert requested_frames("90 frames", 60) == 90


def test_a_mention_has_its_range_in_the_text() -> None:
    text = "shorten it by 1 second, please"
    (mention,) = find_durations(text)
    assert (mention.frames, text[mention.start : mention.end]) == (30, "1 second")


@given(st.text(max_size=300), st.integers(1, 240))
def test_any_text_gives_a_duration_in_bounds_or_none(prompt: str, fps: int) -> None:
    frames = requested_frames(prompt, fps)
    assert frames is None or 15 <= frames <= 1800
