"""Durations, instants and sizes as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from shadows.cli.durations import parse_duration, parse_instant, parse_size


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


def test_an_instant_is_local_unless_it_says_otherwise() -> None:
    assert parse_instant("2026-12-24T18:00Z") == datetime(2026, 12, 24, 18, tzinfo=UTC)
    assert parse_instant(" 2026-12-24 18:00+02:00 ") == datetime(2026, 12, 24, 16, tzinfo=UTC)
    assert parse_instant("2026-12-24T18:00") == datetime(2026, 12, 24, 18).astimezone()
    assert parse_instant("2026-12-24").utcoffset() is not None


@pytest.mark.parametrize("text", ["", "tomorrow", "18:00", "2026-13-01", "9999-12-31T23:59-12:00"])
def test_what_is_no_instant_is_refused_with_the_form_that_is(text: str) -> None:
    with pytest.raises(ValueError, match="2026-12-24T18:00"):
        parse_instant(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512m", 512 * 1024**2), ("2g", 2 * 1024**3), ("1.5GiB", 3 * 1024**3 // 2), ("100MB", 100 * 1024**2), ("4096", 4096),
     ("64k", 65536), ("10b", 10)],
)  # fmt: skip
def test_sizes_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "x", "-1m", "512 megabytes", "1e3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="512m, 2g"):
        parse_size(text)
