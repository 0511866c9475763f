"""What can follow from a run, in the protocol's words: an outcome settles a token, atomically with what follows."""

import enum
from collections.abc import Callable

import msgspec

from .schedule import Item


class Kind(enum.StrEnum):
    """The outcomes that `cycle.lua` understands."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DEAD = "dead"
    RETRY = "retry"
    RELEASE = "release"
    NEXT = "next"
    STARTED = "started"


class Outcome(msgspec.Struct, frozen=True):
    """One outcome: its kind, the instant of what follows (ms, 0 = at once), and its data (info, reason or call)."""

    kind: Kind
    instant_ms: int = 0
    data: bytes = b""
    followers: tuple[Item, ...] = ()
    """What is scheduled with it: all of them, or the outcome is refused as a whole."""
    refused: Callable[[], "Outcome"] | None = None
    """Makes the outcome to record in its place where it is refused for what follows."""


def completed(info: bytes = b"") -> Outcome:
    """It ran and succeeded; `info` is kept for as long as records are."""
    return Outcome(_COMPLETED, 0, info) if info else _PLAIN


def failed(info: bytes = b"") -> Outcome:
    """It failed for good: recorded, and kept with its call among the dead letters."""
    return Outcome(Kind.FAILED, 0, info)


def cancelled(info: bytes = b"") -> Outcome:
    """It was cancelled."""
    return Outcome(Kind.CANCELLED, 0, info)


def expired(info: bytes = b"") -> Outcome:
    """It was not started in time, and is not run."""
    return Outcome(Kind.EXPIRED, 0, info)


def dead(reason: str, info: bytes = b"") -> Outcome:
    """It cannot be run, for a reason in lower-case letters: kept among the dead letters."""
    return Outcome(Kind.DEAD, 0, f"{reason}/".encode() + info)


def retry(instant_ms: int = 0) -> Outcome:
    """The same call again, as the next attempt."""
    return Outcome(Kind.RETRY, instant_ms)


def release(instant_ms: int = 0, call: bytes = b"") -> Outcome:
    """Back where it came from, uncharged: for another worker, or later. `call` replaces what it carries."""
    return Outcome(Kind.RELEASE, instant_ms, call)


def succeeded_by(call: bytes, instant_ms: int = 0) -> Outcome:
    """Another call under the same key: the next run of a perpetual task."""
    return Outcome(Kind.NEXT, instant_ms, call)


def started() -> Outcome:
    """No outcome: news that it runs, for whoever listens. What a cycle takes tells that itself."""
    return Outcome(Kind.STARTED)


_COMPLETED = Kind.COMPLETED
_PLAIN = Outcome(_COMPLETED)
"""What nearly all end with where no records are kept."""
