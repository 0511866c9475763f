"""How a run's behaviours are asked what follows."""

from typing import ClassVar

from shadows import Retry, Shadow, Worker
from shadows.dependencies.behaviour import Behaviour, Ending
from shadows.protocol.outcomes import Outcome

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
