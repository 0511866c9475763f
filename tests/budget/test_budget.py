"""The budget: what each piece of work asks of the server, exactly. Whoever changes a figure changes it in this table."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta

import pytest

from shadows import Shadow, Worker
from shadows.testing import ControlledClock
from tests.support.leaks import remove
from tests.support.servers import Server
from tests.support.traffic import watched

NAME = "budget"
"""Always as long, so that the bytes are too."""


async def noop(number: int) -> int:
    """The task that does nothing."""
    return number


def keys(count: int) -> list[str]:
    """Keys that are as long as random ones."""
    return [f"{number:032}" for number in range(count)]


async def add(shadows: Shadow, count: int = 1) -> None:
    await asyncio.gather(*[shadows.add(noop, key=key)(1) for key in keys(count)])


async def add_hundred_in_turn(shadows: Shadow) -> None:
    for key in keys(100):
        await shadows.add(noop, key=key)(1)


async def add_hundred_gathered(shadows: Shadow) -> None:
    await add(shadows, 100)


async def add_many(shadows: Shadow) -> None:
    await shadows.add_many([shadows.call(noop, key=key)(1) for key in keys(1000)])


async def add_for_later(shadows: Shadow) -> None:
    clock = shadows.clock
    assert isinstance(clock, ControlledClock)
    await shadows.add(noop, clock.now + timedelta(hours=1), keys(1)[0])(1)


async def replace(shadows: Shadow) -> None:
    await shadows.replace(noop, None, keys(1)[0])(2)


async def cancel(shadows: Shadow) -> None:
    await shadows.cancel(keys(1)[0])


async def get_execution(shadows: Shadow) -> None:
    await shadows.get_execution(keys(1)[0])


async def get_result(shadows: Shadow) -> None:
    execution = await shadows.get_execution(keys(1)[0])
    assert execution is not None
    assert await execution.get_result(timeout=timedelta(seconds=5)) == 1


async def snapshot(shadows: Shadow) -> None:
    await shadows.snapshot()


async def run_until_finished(shadows: Shadow) -> None:
    async with Worker(shadows, name="worker", concurrency=100) as worker:
        await worker.run_until_finished()


async def nothing(_: Shadow) -> None:
    """No preparation."""


type Work = Callable[[Shadow], Awaitable[None]]
type Figures = tuple[int, int, int | None]


async def one(shadows: Shadow) -> None:
    await add(shadows)


async def hundred(shadows: Shadow) -> None:
    await add(shadows, 100)


async def finished(shadows: Shadow) -> None:
    await add(shadows)
    await run_until_finished(shadows)


BUDGET: dict[str, tuple[Work, Work, Figures]] = {
    #                                 beforehand  work                   requests, commands, bytes
    "add":                            (nothing,    add,                   (1, 8, 433)),
    "add, taken key":                 (one,        add,                   (2, 12, 730)),
    "add for later":                  (nothing,    add_for_later,         (1, 12, 446)),
    "add, 100 in turn":               (nothing,    add_hundred_in_turn,   (100, 800, 43_300)),
    "add, 100 gathered":              (nothing,    add_hundred_gathered,  (1, 107, 7366)),
    "add_many, 1000":                 (nothing,    add_many,              (5, 1035, 71_830)),
    "replace":                        (one,        replace,               (1, 16, 530)),
    "cancel":                         (one,        cancel,                (1, 17, 457)),
    "get_execution":                  (one,        get_execution,         (1, 6, 297)),
    "get_execution and get_result":   (finished,   get_result,            (2, 8, 594)),
    "snapshot of 100":                (hundred,    snapshot,              (2, 33, 636)),
    "run_until_finished of 0":        (nothing,    run_until_finished,    (7, 53, None)),
    "run_until_finished of 1":        (one,        run_until_finished,    (8, 72, None)),
    "run_until_finished of 100":      (hundred,    run_until_finished,    (9, 581, None)),
}  # fmt: skip
"""Requests are round trips; commands are these and what scripts run for them; bytes are of the requests.

Every engine is asked the same. A worker's bytes are not fixed: the ids of entries are as long as the instant makes them.
A worker's figures hold its whole life, from its first word to its last.
"""


@pytest.fixture
def cleared(server: Server) -> Iterator[Server]:
    yield server
    remove(server, NAME)


@pytest.fixture
async def shadows(cleared: Server) -> AsyncIterator[Shadow]:
    """Past its first batch, and its scripts known to the server: what is done once is not counted."""
    async with Shadow(NAME, cleared.url, clock=ControlledClock()) as shadows:
        shadows.register(noop)
        for prepared, work, _ in BUDGET.values():
            await prepared(shadows)
            await work(shadows)
            await shadows.clear()
        yield shadows


@pytest.mark.parametrize("counted", BUDGET)
async def test_the_work_costs_exactly_its_budget(counted: str, cleared: Server, shadows: Shadow) -> None:
    prepared, work, budget = BUDGET[counted]
    await prepared(shadows)
    with watched(cleared) as traffic:
        await work(shadows)
    received = None if budget[-1] is None else traffic.received
    assert (traffic.requests, traffic.commands, received) == budget, traffic.names
