"""What tests say of tasks that wait to be run."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from shadows import Shadow, Worker
from shadows.testing import (
    assert_no_tasks,
    assert_task_count,
    assert_task_not_scheduled,
    assert_task_scheduled,
)

LATER = datetime(2100, 1, 1, tzinfo=UTC)


async def greet(name: str, *, loud: bool = False, times: int = 1) -> None: ...


async def other() -> None: ...


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        await shadows.add(greet, key="k")("Jane", loud=True, times=2)
        await shadows.add(greet, LATER, "later")("Joe")
        yield shadows


async def test_what_is_scheduled_is_found_by_each_of_its_facts(shadows: Shadow) -> None:
    await assert_task_scheduled(shadows, greet)
    await assert_task_scheduled(shadows, "greet")
    await assert_task_scheduled(shadows, greet, key="later")
    await assert_task_scheduled(shadows, greet, args=("Jane",), kwargs={"times": 2}, key="k")
    await assert_task_scheduled(shadows, greet, args=["Joe"], kwargs={})


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"args": ("Jim",)}, "greet with args=('Jim',)"),
        ({"args": ()}, "greet with args=()"),
        ({"kwargs": {"loud": False}}, "greet with kwargs={'loud': False}"),
        ({"kwargs": {"loud": True, "name": "Jane"}}, "greet with kwargs="),
        ({"key": "other"}, "greet with key='other'"),
        ({"args": ("Jane",), "key": "later"}, "greet with args=('Jane',), key='later'"),
    ],
)
async def test_what_is_not_there_fails_with_what_is(
    shadows: Shadow, wanted: dict[str, object], words: str
) -> None:
    await assert_task_not_scheduled(shadows, greet, **wanted)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(AssertionError, match=re.escape(words)) as caught:
        await assert_task_scheduled(shadows, greet, **wanted)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert " is not scheduled; there are 2:\n" in str(caught.value)
    assert "  greet(args=('Jane',), kwargs={'loud': True, 'times': 2}, key='k', when=" in str(caught.value)
    assert f"  greet(args=('Joe',), kwargs={{}}, key='later', when={LATER})" in str(caught.value)


async def test_what_should_not_be_there_is_listed(shadows: Shadow) -> None:
    await assert_task_not_scheduled(shadows, other)
    with pytest.raises(
        AssertionError, match=r"greet with key='k' is scheduled, and should not be; there are 1:\n  greet"
    ):
        await assert_task_not_scheduled(shadows, greet, key="k")


async def test_they_are_counted_by_task_and_all_together(shadows: Shadow) -> None:
    await shadows.add(other)()
    await assert_task_count(shadows, count=3)
    await assert_task_count(shadows, greet, count=2)
    await assert_task_count(shadows, "other", count=1)
    with pytest.raises(AssertionError, match=r"^1 executions of greet should be scheduled; there are 2:"):
        await assert_task_count(shadows, greet, count=1)
    with pytest.raises(AssertionError, match=r"^4 executions should be scheduled; there are 3:"):
        await assert_task_count(shadows, count=4)


async def test_a_failure_lists_only_so_many(shadows: Shadow) -> None:
    await shadows.add_many([shadows.call(other)() for _ in range(25)])
    with pytest.raises(AssertionError, match=r"there are 27:(\n  \w+\(.*\)){20}\n  … and 7 more$"):
        await assert_task_count(shadows, count=0)


async def test_nothing_is_there_when_all_is_done(shadows: Shadow) -> None:
    with pytest.raises(AssertionError, match=r"^0 executions should be scheduled; there are 2:"):
        await assert_no_tasks(shadows)
    await shadows.cancel("later")
    async with Worker(shadows) as worker:
        await worker.run_until_finished()
    await assert_no_tasks(shadows)
    with pytest.raises(AssertionError, match=r"^greet is not scheduled; there is none$"):
        await assert_task_scheduled(shadows, greet)


async def test_what_runs_does_not_count(shadows: Shadow) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        started.set()
        await go_on.wait()

    await shadows.cancel("later")
    await shadows.add(slow)()
    async with Worker(shadows) as worker:
        run = asyncio.create_task(worker.run_until_finished())
        await started.wait()
        await assert_task_not_scheduled(shadows, slow)
        go_on.set()
        await run


async def test_a_task_is_known_by_each_of_its_names(name: str, url: str) -> None:
    async with Shadow(name, url) as shadows:
        shadows.register(greet, names=["hello", "hi"])
        await shadows.add("hi", datetime.now(UTC) + timedelta(hours=1))("Jane")
        await assert_task_scheduled(shadows, greet)
        await assert_task_count(shadows, greet, count=1)
        with pytest.raises(AssertionError, match=r"^hello or hi with key='k' is not scheduled"):
            await assert_task_scheduled(shadows, greet, key="k")
