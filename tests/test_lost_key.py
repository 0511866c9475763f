"""A key whose task somebody removed by hand: whoever adds it has it, and it runs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from unittest.mock import AsyncMock

import pytest
from redis.asyncio import Redis

from shadows import Disposition, ExecutionState, NotReplicated, Shadow, Worker
from shadows.protocol.batcher import Unreplicated
from shadows.protocol.schedule import Answer, Mode

LATER = timedelta(hours=1)


async def note(number: int) -> int:
    return number


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        shadows.register(note)
        yield shadows


@pytest.fixture
def lose(shadows: Shadow, redis: Redis) -> Callable[..., Awaitable[None]]:
    """Adds a task and removes it by hand, but for its mark."""

    async def lose(key: str, when: datetime | None = None) -> None:
        await shadows.add(note, when, key)(1)
        await redis.delete(shadows.store.keys["due"], shadows.store.keys.ready("default"))

    return lose


@pytest.mark.parametrize("later", [False, True])
async def test_adding_it_takes_its_place(
    shadows: Shadow, lose: Callable[..., Awaitable[None]], later: bool
) -> None:
    await lose("k", datetime.now(UTC) + LATER if later else None)
    assert (await shadows.add(note, key="k")(2)).disposition is Disposition.SCHEDULED
    again = await shadows.add(note, key="k")(3)
    assert (again.disposition, again.state) == (Disposition.ALREADY_SCHEDULED, ExecutionState.QUEUED)
    async with Worker(shadows) as worker:
        await worker.run_until_finished()
    assert await again.get_result(timeout=5) == 2


async def test_adding_many_takes_the_place_of_those_that_are_lost(
    shadows: Shadow, lose: Callable[..., Awaitable[None]]
) -> None:
    await lose("k")
    await shadows.add(note, key="stands")(1)
    found = await shadows.add_many([shadows.call(note, key=key)(2) for key in ("new", "k", "stands")])
    assert [each.disposition for each in found] == [
        Disposition.SCHEDULED, Disposition.SCHEDULED, Disposition.ALREADY_SCHEDULED,
    ]  # fmt: skip
    async with Worker(shadows) as worker:
        await worker.run_until_finished()
    assert [await each.get_result(timeout=5) for each in found] == [2, 2, 1]


async def test_where_another_was_first_it_is_his(
    shadows: Shadow, lose: Callable[..., Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await lose("k")
    assert shadows._batcher is not None
    post = shadows._batcher.post

    async def posted(item: object) -> Answer:
        answer = await post(item)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        return Answer.EXISTS if getattr(item, "mode") is Mode.RECLAIM else answer  # noqa: B009

    monkeypatch.setattr(shadows._batcher, "post", posted)
    second = await shadows.add(note, key="k")(2)
    assert (second.disposition, second.state) == (Disposition.ALREADY_SCHEDULED, ExecutionState.QUEUED)


async def test_where_too_few_replicas_have_it_that_is_said(
    shadows: Shadow, lose: Callable[..., Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shadows._batcher is not None
    await lose("k")
    lacking = AsyncMock(side_effect=[Answer.EXISTS, Unreplicated(Answer.ACCEPTED, 0)])
    monkeypatch.setattr(shadows._batcher, "post", lacking)
    with pytest.raises(NotReplicated) as caught:
        await shadows.add(note, key="k")(2)
    assert caught.value.execution.disposition is Disposition.SCHEDULED


@pytest.mark.parametrize("operate", ["cancel", "replace", "clear"])
async def test_it_can_be_cancelled_replaced_and_cleared(
    shadows: Shadow, lose: Callable[..., Awaitable[None]], operate: str
) -> None:
    await lose("k", datetime.now(UTC) + LATER)
    if operate == "cancel":
        assert await shadows.cancel("k")
    elif operate == "clear":
        assert await shadows.clear() == 1
    else:
        assert (await shadows.replace(note, None, "k")(2)).disposition is Disposition.SCHEDULED
        return
    assert (await shadows.add(note, key="k")(2)).disposition is Disposition.SCHEDULED


async def test_a_worker_runs_what_has_lost_its_place_and_ends_what_is_lost(
    name: str, url: str, redis: Redis
) -> None:
    async with Shadow(name, url, heartbeat_interval=timedelta(milliseconds=20)) as shadows:
        shadows.register(note)
        placeless = await shadows.add(note, datetime.now(UTC) + LATER)(1)
        await redis.delete(shadows.store.keys["due"])
        gone = await shadows.add(note)(1)
        await redis.delete(shadows.store.keys.ready("default"))
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        assert await placeless.get_result(timeout=5) == 1
        assert (await gone.sync()).state is ExecutionState.FAILED
        assert [letter.reason for letter in await shadows.dead_letters()] == ["lost"]
