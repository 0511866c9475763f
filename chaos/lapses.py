"""Leases that ran out though no fault had them run out: the machine gave a worker no turn for so long.

The evidence is in the logs of those that took the tasks over; the victim itself may never come to say it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from chaos.evidence import LAPSE, Event
from chaos.plan import Fault

_LAPSED = 4
"""Leases before a worker's tasks were taken back: what it did since then may not have been recorded."""
_TAKEN = re.compile(
    r"^(\S+ \S+) WARNING shadows\.worker: tasks taken back from a dead worker worker=([^#\s]+)#", re.MULTILINE
)


def taken_back(log: str) -> Iterator[tuple[str, float]]:
    """Whose tasks were taken back, and when, by what a worker logged that did it."""
    for found in _TAKEN.finditer(log):
        at = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
        yield found[2], at.timestamp()


def lapses(taken: Iterable[tuple[int, float]], faults: Sequence[Event], lease: float) -> list[Event]:
    """The takings (from which process, when) that no fault accounts for, each as an event of its own."""
    return [
        Event(LAPSE, at - _LAPSED * lease, at, frozenset({pid}))
        for pid, at in taken
        if not any(
            fault.runs_again and fault.strikes(pid) and _accounts(fault, at, lease) for fault in faults
        )
    ]


def _accounts(fault: Event, at: float, lease: float) -> bool:
    """Whether a lease that ran out by then did so of a fault to its worker.

    It had three quarters of its length left at the least when the fault began, and a worker that goes on renews it at once:
    one that runs out a lease later is another.
    """
    if at < fault.begin + lease / 2:
        return False
    dead = fault.fault in (Fault.KILL9, Fault.POISON)
    return dead or at <= fault.end + lease * (1 if fault.victims else 2)
