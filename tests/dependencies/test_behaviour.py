"""How a run's behaviours are asked what follows."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import ClassVar

from shadows import ExecutionState, Perpetual, Retry, Shadow, Worker
from shadows.dependencies.behaviour import Asking, Behaviour, Ending
from shadows.protocol.acquire import Claim, Need
from shadows.protocol.outcomes import Outcome
from tests.dependencies.conftest import running, stands
from tests.support.waiting import until

asked: list[tuple[str, int]] = []


class Watching(Behaviour["Watching"]):
    """Has no say; notes that it was asked."""

    rank: ClassVar[int] = 1

    def __init__(self, name: str) -> None:
        self.name = name

    async def follow(self, ending: Ending) -> Outcome | None:
        asked.append((self.name, ending.attempt))
        return None


class Early(Watching):
    rank: ClassVar[int] = 0


class Broken(Watching):
    rank: ClassVar[int] = 5

    async def follow(self, ending: Ending) -> Outcome | None:
        raise ZeroDivisionError("a behaviour's own mistake")


async def test_the_lowest_rank_is_asked_first_and_the_rest_only_while_nobody_has_an_answer(
    shadows: Shadow, worker: Worker
) -> None:
    asked.clear()

    async def task(
        late: Watching = Watching("late"),
        early: Watching = Early("early"),
        retry: Retry = Retry(attempts=2),
    ) -> None:
        raise ValueError

    await shadows.add(task)()
    await worker.run_until_finished()
    assert asked == [("early", 1), ("late", 1), ("early", 2), ("late", 2)]


async def test_several_of_a_kind_that_is_not_single_go_together(shadows: Shadow, worker: Worker) -> None:
    asked.clear()

    async def task(one: Watching = Watching("one"), two: Watching = Watching("two")) -> None: ...

    await shadows.add(task)()
    await worker.run_until_finished()
    assert asked == [("one", 1), ("two", 1)]


async def test_the_mistake_of_a_behaviour_fails_the_task_visibly(shadows: Shadow, worker: Worker) -> None:
    async def task(broken: Watching = Broken("broken")) -> None: ...

    execution = await shadows.add(task)()
    await worker.run_until_finished()
    assert (await execution.sync()).error == "ZeroDivisionError: a behaviour's own mistake"


class Narrow(Watching):
    """Claims a permit of its own, beside what its base claims."""

    def claims(self, asking: Asking) -> list[Claim]:
        return [*super().claims(asking), Claim(Need.PERMIT, f"narrow/{asking.arguments['n'] % 2}", 1)]


async def test_one_of_ones_own_may_claim_limits(shadows: Shadow, worker: Worker) -> None:
    inside: Counter[int] = Counter()
    most: Counter[int] = Counter()

    async def task(n: int, narrow: Watching = Narrow("narrow")) -> None:
        inside[n % 2] += 1
        most[n % 2] = max(most[n % 2], inside[n % 2])
        await asyncio.sleep(0)
        inside[n % 2] -= 1

    for n in range(10):
        await shadows.add(task)(n)
    await worker.run_until_finished()
    assert most == {0: 1, 1: 1}


async def test_what_is_stricken_ends_unless_a_behaviour_has_it_go_on(shadows: Shadow, worker: Worker) -> None:
    asked.clear()

    async def task(watching: Watching = Watching("watching"), retry: Retry = Retry(attempts=9)) -> None:
        asked.append(("ran", 0))

    async def chain(perpetual: Perpetual = Perpetual(every=timedelta(days=1))) -> None:
        asked.append(("ran", 0))

    one, two = await shadows.add(task)(), await shadows.add(chain)()
    for struck in (task, chain):
        await shadows.strike(struck)
    async with running(worker):
        await until(lambda: stands(one, ExecutionState.FAILED))
        await until(lambda: stands(two, ExecutionState.SCHEDULED))
    assert not asked
    await shadows.cancel(two.key)
