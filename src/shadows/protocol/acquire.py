"""Limits: what a run may need before it starts. The typed face of `acquire.lua`."""

import enum
from dataclasses import dataclass


class Need(enum.StrEnum):
    """What kind of limit stands in the way of a run."""

    PERMIT = "permit"
    """At most so many at once."""
    RATE = "rate"
    """At most so many starts in a window."""
    COOLDOWN = "cooldown"
    """One start, and none for a while after it."""
    DEBOUNCE = "debounce"
    """One start, when nothing newer has come for a while."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One limit that a run comes under."""

    need: Need
    name: str
    amount: int = 1
    """PERMIT: how many at once; RATE: how many starts in a window."""
    window_ms: int = 0
    drop: bool = False
    """RATE: end it as cancelled rather than have it wait."""


class Admission(enum.Enum):
    """What became of a run that asked to start."""

    GRANTED = "G"
    ASIDE = "W"
    """It waits, and comes back by itself; its token is not this worker's any more."""
    DROPPED = "D"
    """It was ended as cancelled."""
    STALE = "S"
    """Somebody else has it."""
