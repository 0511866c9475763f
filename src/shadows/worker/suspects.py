"""Suspects: tasks of which workers have died, twice or more. One runs at a time, so that the next death has one culprit."""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field

from shadows.protocol.cycle import Settlement, Taken
from shadows.protocol.outcomes import release

LEAST_DELIVERIES = 2
_FRESH = b"1/0/"
"""What nearly all begin with, which no worker died of and nobody retried."""
PAUSE_MS = 500
"""For how long the others of one worker's suspects wait, uncharged, for this or another worker."""


@dataclass(slots=True)
class Suspects:
    """What one worker does with the suspects among what it takes."""

    _alone: str = ""
    """The token of the one that was started last."""
    _parted: set[str] = field(default_factory=set[str])
    """Tokens of those that are on their way back: while the server counts them as ours, a death would charge them too."""

    def part(
        self,
        taken: list[Taken],
        running: Container[str],
        unsettled: Iterable[Settlement],
        now_ms: Callable[[], int],
    ) -> "Parted":
        """Which of these start, which one starts after the next cycle, and which go back."""
        suspects = [one for one in taken if not one.blob.startswith(_FRESH) and is_suspect(one)]
        if not suspects:
            return Parted(taken)
        parted = Parted([one for one in taken if one not in suspects])
        alone = None if self._alone in running else suspects.pop(0)
        later = now_ms() + PAUSE_MS if suspects else 0
        parted.back = [Settlement(one.token, one.key, release(later)) for one in suspects]
        self._parted &= {settlement.token for settlement in unsettled}
        self._parted.update(one.token for one in suspects)
        if alone is not None:
            if self._parted:
                parted.held = [alone]
            else:
                self._alone = alone.token
                parted.start.append(alone)
        return parted


@dataclass(slots=True)
class Parted:
    """What becomes of what was taken."""

    start: list[Taken]
    held: list[Taken] = field(default_factory=list[Taken])
    back: list[Settlement] = field(default_factory=list[Settlement])


def is_suspect(taken: Taken) -> bool:
    """Whether several workers have died of it."""
    if not taken.readable:
        return False
    _, _, behind = taken.blob.partition(b"/")
    deliveries = behind.partition(b"/")[0]
    return deliveries.isdigit() and int(deliveries) >= LEAST_DELIVERIES
