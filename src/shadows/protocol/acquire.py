"""Limits: what a run may need before it starts. The typed face of `acquire.lua`."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from .connection import Argument, Link
from .cycle import Limits
from .scripts import load
from .store import Store

MOST_ARGUMENTS = 3_900
"""The most that one request carries: some servers take no more."""


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
    UNKNOWN = "U"
    """The server could not tell: something is wrong with the keys of limits."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A taken task that asks to start."""

    token: str
    key: str
    who: str
    """Tells this execution from others that had the key before."""
    claims: Sequence[Claim]

    @property
    def size(self) -> int:
        """How many arguments it is."""
        return 4 + 5 * len(self.claims)


async def acquire(
    store: Store, link: Link, worker: str, asking: Sequence[Asking], limits: Limits, *, stamp: bytes = b""
) -> list[Admission]:
    """Ask for what taken tasks need: all that one comes under, or nothing.

    It may be asked again: what was granted is granted once, what was set aside or dropped is then STALE.
    """
    arguments: list[Argument] = [stamp, worker, *limits.arguments(), len(asking)]
    for one in asking:
        arguments += (one.token, one.key, f"{one.key}\0{one.who}", len(one.claims))
        for claim in one.claims:
            arguments += (claim.need.value, claim.name, claim.amount, claim.window_ms, int(claim.drop))
    reply = await store.call(link, _SCRIPT, *arguments)
    return [_ADMISSIONS[letter] for letter in reply[1]]


_SCRIPT = load("acquire")
_ADMISSIONS = {ord(admission.value): admission for admission in Admission}
