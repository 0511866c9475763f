"""Durations as people write them."""

from datetime import timedelta

import pytest

from shadows.cli.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("50ms", 0.05),
        ("10s", 10),
        ("10m", 600),
        ("2h", 7200),
        ("2d", 172_800),
        ("1.5h", 5400),
        ("90", 90),
        ("0", 0),
        (" 5s ", 5),
        ("02:30", 150),
        ("1:00:05", 3605),
    ],
)
def test_durations_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "x", "5 minutes", "-5s", "1:99", "1w", "s", "1e3", "5s5m"])
def test_what_is_no_duration_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(ValueError, match="50ms, 10s, 10m, 2h, 1d"):
        parse_duration(text)


def test_a_duration_of_more_than_ten_years_is_refused() -> None:
    with pytest.raises(ValueError, match="ten years"):
        parse_duration("99999d")
