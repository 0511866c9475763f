"""Durations as people write them: `50ms`, `10s`, `10m`, `2h`, `1d`, `mm:ss`, `hh:mm:ss`; a plain number is seconds."""

import re
from datetime import timedelta

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_WITH_UNIT = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):([0-5]\d)")
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
