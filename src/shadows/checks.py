"""Checks of what callers give, so that the same fault is told in the same words everywhere."""

from datetime import timedelta


def check_duration(parameter: str, duration: object) -> None:
    """Refuse what is no duration, before it is compared with one.

    Raises:
        TypeError: not a timedelta.
    """
    if not isinstance(duration, timedelta):
        raise TypeError(f"{parameter}={duration!r}: a duration is a timedelta, as timedelta(seconds=30)")


def at_least_one(parameter: str, number: object, or_else: str = "") -> int:
    """The number, where it is a whole one above nothing; `or_else` says what else there is.

    Raises:
        ValueError: below 1, or not a whole number.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"{parameter}={number!r}: a whole number, at least 1{or_else}")
    return number
