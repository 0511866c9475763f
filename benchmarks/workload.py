"""What a workload is: a function that plays one round of one contender on the stage, with a name and who takes part."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.meter import Figures
from benchmarks.roster import Entrant
from benchmarks.stage import Stage

type Play = Callable[[Stage, Entrant], Figures]


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload: the operations that a contender must have for it, and who takes part (all, unless told)."""

    name: str
    needs: frozenset[str]
    play: Play
    only: tuple[str, ...] = ()
    rounds: int | None = None
    """At most how often, where that tells as much as often."""
    peers: int | None = None
    """At most how often peers play, where no target is judged by ratios to theirs."""
    cast: str = ""
    """Workloads of one cast that follow each other play with the same processes."""
