"""Instants as the server keeps them: scores and the beginnings of ids, and whatever else somebody wrote there."""

import math

FARTHEST_MS = 10**15
"""Beyond it nothing is an instant that anybody meant (it is in the year 33,658)."""


def milliseconds(written: bytes) -> int:
    """A written instant in ms; 0 where it is none or lies before 1970, and the farthest where it is farther."""
    try:
        instant = float(written)
    except ValueError:
        return 0
    return 0 if math.isnan(instant) else int(max(0, min(instant, FARTHEST_MS)))
