"""Which leases ran out by themselves, and which because of a fault."""

import pytest
from chaos.evidence import LAPSE, Event
from chaos.lapses import lapses, taken_back
from chaos.plan import Fault

LEASE = 2.0


def struck(fault: Fault, begin: float, end: float, *pids: int) -> Event:
    return Event(fault, begin, end, frozenset(pids) if pids else None)


def test_whoever_takes_over_says_from_whom_and_when() -> None:
    log = (
        "2026-11-25 09:06:35.500 INFO shadows.worker: task started task=instant() key=k worker=w1\n"
        "2026-11-25 09:06:35.782 WARNING shadows.worker: tasks taken back from a dead worker worker=w0-1#17f7cd tasks=4\n"
    )
    assert list(taken_back(log)) == [("w0-1", 1795597595.782)]


def test_what_nothing_was_done_to_has_lapsed() -> None:
    (event,) = lapses([(1, 10.0)], [struck(Fault.KILL9, 8, 8, 2)], LEASE)
    assert (event.fault, event.end, event.victims) == (LAPSE, 10.0, frozenset({1}))
    assert event.begin < 10.0 - LEASE


@pytest.mark.parametrize(
    "fault",
    [
        struck(Fault.KILL9, 1, 1, 1),
        struck(Fault.SIGSTOP, 8, 13, 1),
        struck(Fault.SIGSTOP, 5, 9, 1),
        struck(Fault.PARTITION, 3, 7),
    ],
    ids=["killed long ago", "stopped", "stopped until lately", "cut off"],
)
def test_what_a_fault_struck_has_not(fault: Event) -> None:
    assert lapses([(1, 10.0)], [fault], LEASE) == []


@pytest.mark.parametrize(
    "fault",
    [
        struck(Fault.SIGSTOP, 3, 7.5, 1),
        struck(Fault.SIGSTOP, 9.5, 13, 1),
        struck(Fault.KILL9, 9.5, 9.5, 1),
        struck(Fault.OOM, 7, 10),
    ],
    ids=["it had gone on", "it was stopped just then", "it was killed just then", "nothing that ends leases"],
)
def test_a_fault_accounts_for_no_lease_that_ran_out_before_it_or_long_after(fault: Event) -> None:
    assert len(lapses([(1, 10.0)], [fault], LEASE)) == 1
