"""Durations, instants and sizes as people write them.

A duration is `50ms`, `10s`, `10m`, `2h`, `1d`, `mm:ss` or `hh:mm:ss`; a plain number is seconds.
"""

import re
from datetime import datetime, timedelta

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_WITH_UNIT = re.compile(r"(\d{1,20}(?:\.\d+)?)(ms|s|m|h|d)?")
_CLOCK = re.compile(r"(?:(\d{1,20}):)?(\d{1,20}):([0-5]\d)")
_SIZE = re.compile(r"(\d{1,20}(?:\.\d+)?)(?:([bkmgt])i?b?)?")
_LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """The duration that the text means.

    Raises:
        ValueError: it means none, or more than ten years.
    """
    stripped = text.strip()
    if found := _WITH_UNIT.fullmatch(stripped):
        seconds = float(found[1]) * _UNITS[found[2] or "s"]
    elif found := _CLOCK.fullmatch(stripped):
        seconds = int(found[1] or 0) * 3600 + int(found[2]) * 60 + int(found[3])
    else:
        raise ValueError(
            f"{text!r} is not a duration: write 50ms, 10s, 10m, 2h, 1d, mm:ss, hh:mm:ss or seconds"
        )
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f"{text!r} is more than ten years: write a shorter duration")
    return timedelta(seconds=seconds)


def parse_instant(text: str) -> datetime:
    """The instant that an ISO 8601 text means; without a timezone, in this machine's.

    Raises:
        ValueError: it means none.
    """
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not an instant: write 2026-12-24T18:00, with a timezone as 2026-12-24T18:00Z or +01:00 behind it"
        ) from None


def parse_size(text: str) -> int:
    """The bytes that a text means: `512m`, `2g`, `1.5GiB`; a plain number is bytes, the units are powers of 1024.

    Raises:
        ValueError: it means none, or nothing.
    """
    found = _SIZE.fullmatch(text.strip().lower())
    size = int(float(found[1]) * 1024 ** "bkmgt".index(found[2] or "b")) if found else 0
    if size < 1:
        raise ValueError(f"{text!r} is not a size: write 512m, 2g, or a number of bytes")
    return size
