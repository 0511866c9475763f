"""Dead letters: seen, run again, thrown away."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from shadows import (
    DeadLetter,
    ExecutionState,
    NotRequeued,
    Retry,
    Shadow,
    Worker,
)
from shadows.payload.call import Call, decode_call, encode_arguments, encode_call
from shadows.payload.outcomes import Record, encode_record
from shadows.protocol.blob import split_blob

LATER = datetime(2100, 1, 1, tzinfo=UTC)


class Fickle:
    """A task that fails until it is mended."""

    def __init__(self) -> None:
        self.mended = False
        self.runs: list[int] = []

    async def fickle(self, number: int) -> int:
        self.runs.append(number)
        if not self.mended:
            raise ValueError("not yet")
        return number


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


@pytest.fixture
def task() -> Fickle:
    return Fickle()


async def run(shadows: Shadow) -> None:
    async with Worker(shadows, "w1") as worker:
        await worker.run_until_finished()


async def bury(redis: Redis, shadows: Shadow, id_: str, letter: bytes) -> None:
    """Put a letter among the dead."""
    await redis.hset(f"{{{shadows.name}}}:dead", id_, letter)
    await redis.zadd(f"{{{shadows.name}}}:dead:at", {id_: 1_700_000_000_000})


class TestSeeing:
    async def test_there_are_none(self, shadows: Shadow) -> None:
        assert await shadows.dead_letters() == []

    async def test_one_tells_what_failed_and_why(self, shadows: Shadow, task: Fickle) -> None:
        before = datetime.now(UTC)
        await shadows.add(task.fickle, key="k", queue="mail")(number=3)
        await run(shadows)
        (letter,) = await shadows.dead_letters()
        assert isinstance(letter, DeadLetter)
        assert (letter.key, letter.function_name, letter.reason, letter.queue) == (
            "k",
            "fickle",
            "failed",
            "mail",
        )
        assert (letter.error, letter.attempt, letter.args, letter.kwargs) == (
            "ValueError: not yet", 1, (), {"number": 3},
        )  # fmt: skip
        assert timedelta(seconds=-1) < letter.died_at - before < timedelta(seconds=10)

    async def test_its_attempt_is_its_last(self, shadows: Shadow) -> None:
        async def fail(retry: Retry = Retry(attempts=3)) -> None:
            raise KeyError("x")

        await shadows.add(fail)()
        await run(shadows)
        (letter,) = await shadows.dead_letters()
        assert (letter.attempt, letter.error) == (3, "KeyError: 'x'")

    async def test_they_come_newest_first_in_pages(self, shadows: Shadow, task: Fickle) -> None:
        for n in range(5):
            await shadows.add(task.fickle, key=f"k{n}")(n)
            await run(shadows)
        first = await shadows.dead_letters(limit=2)
        assert [letter.key for letter in first] == ["k4", "k3"]
        second = await shadows.dead_letters(limit=2, before=first[-1].id)
        assert [letter.key for letter in second] == ["k2", "k1"]
        assert [letter.key for letter in await shadows.dead_letters(before=second[-1].id)] == ["k0"]

    async def test_many_are_read_page_by_page(self, shadows: Shadow, task: Fickle) -> None:
        await asyncio.gather(*[shadows.add(task.fickle)(n) for n in range(450)])
        await run(shadows)
        assert len(await shadows.dead_letters()) == 100
        assert len({letter.id for letter in await shadows.dead_letters(limit=1000)}) == 450
        assert len(await shadows.dead_letters(limit=450)) == 450

    async def test_a_page_behind_one_that_is_no_more_is_refused(self, shadows: Shadow) -> None:
        with pytest.raises(
            ValueError, match="before='x': no dead letter has this id, it was requeued or discarded"
        ):
            await shadows.dead_letters(before="x")

    async def test_where_the_last_of_a_page_goes_meanwhile_what_was_read_is_answered(
        self, shadows: Shadow, redis: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for n in range(3):
            await bury(redis, shadows, f"i{n}", b"failed/default/1/0/k1/0/" + b"x" * 600_000)
        await shadows.dead_letters(limit=1)  # (the server knows the script from here on)
        ask = shadows._link.request
        asked = 0

        async def discarding(*words: object, **options: object) -> object:
            nonlocal asked
            asked += 1
            if asked == 2:  # between the pages
                await redis.hdel(f"{{{shadows.name}}}:dead", "i1")
                await redis.zrem(f"{{{shadows.name}}}:dead:at", "i1")
            return await ask(*words, **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]

        class Watched:
            request = staticmethod(discarding)
            close = shadows._link.close

        monkeypatch.setattr(shadows, "_link", Watched())
        assert [letter.id for letter in await shadows.dead_letters()] == ["i2", "i1"]

    @pytest.mark.parametrize("limit", [0, -1])
    async def test_a_limit_that_makes_no_sense_is_refused(self, shadows: Shadow, limit: int) -> None:
        with pytest.raises(ValueError, match=r"limit=.*how many to list, at least 1"):
            await shadows.dead_letters(limit=limit)

    async def test_one_of_an_unknown_task_carries_its_name(self, shadows: Shadow, redis: Redis) -> None:
        call = encode_call(Call("stranger", encode_arguments((1,), {}), 5))
        await bury(redis, shadows, "i", b"unknown/default/1/0/k4/2/" + call)
        (letter,) = await shadows.dead_letters()
        assert (letter.function_name, letter.reason, letter.attempt) == ("stranger", "unknown", 4)
        assert (letter.args, letter.kwargs, letter.error) == ((), {}, None)
        assert letter.died_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)

    async def test_one_whose_arguments_do_not_fit_its_task_any_more_has_none(
        self, shadows: Shadow, redis: Redis, task: Fickle
    ) -> None:
        shadows.register(task.fickle)
        await bury(redis, shadows, "i", b"failed/default/1/0/k1/0/" + encode_call(Call("fickle", b"\xc1", 5)))
        (letter,) = await shadows.dead_letters()
        assert (letter.function_name, letter.args, letter.kwargs) == ("fickle", (), {})

    async def test_one_whose_record_holds_no_failure_has_no_error(
        self, shadows: Shadow, redis: Redis
    ) -> None:
        record = encode_record(Record("task", "w", 2, 0, 1, None, None))
        head = f"stricken/default/1/{len(record)}/k".encode()
        await bury(redis, shadows, "i", head + record + b"1/0/" + encode_call(Call("task", b"", 5)))
        (letter,) = await shadows.dead_letters()
        assert (letter.function_name, letter.attempt, letter.error) == ("task", 2, None)

    @pytest.mark.parametrize(
        "stored",
        [
            b"lost/default/1/0/k",
            b"undecodable/default/1/3/kxyzsome thing",
            b"undecodable/default/1/0/k1/0/\x02",
        ],
    )
    async def test_one_that_cannot_be_read_is_told_as_far_as_it_can(
        self, shadows: Shadow, redis: Redis, stored: bytes
    ) -> None:
        await bury(redis, shadows, "i", stored)
        (letter,) = await shadows.dead_letters()
        assert (letter.id, letter.key, letter.queue, letter.function_name) == ("i", "k", "default", "")
        assert (letter.reason, letter.error, letter.attempt) == (stored.decode().partition("/")[0], None, 1)


class TestRequeue:
    async def test_it_runs_again_under_its_key_through_its_queue_as_a_first_attempt(
        self, shadows: Shadow, task: Fickle
    ) -> None:
        await shadows.add(task.fickle, key="k", queue="mail")(3)
        await run(shadows)
        task.mended = True
        (letter,) = await shadows.dead_letters()
        execution = await shadows.requeue(letter.id)
        assert (execution.key, execution.function_name, execution.args) == ("k", "fickle", (3,))
        assert (execution.queue, execution.state, execution.attempt) == ("mail", ExecutionState.QUEUED, 1)
        await run(shadows)
        assert await execution.get_result(timeout=5) == 3
        assert task.runs == [3, 3]
        assert await shadows.dead_letters() == []

    async def test_a_retried_one_has_all_its_attempts_again(self, shadows: Shadow) -> None:
        attempts: list[int] = []

        async def fail(retry: Retry = Retry(attempts=2)) -> None:
            attempts.append(retry.attempt)
            raise ValueError

        await shadows.add(fail)()
        await run(shadows)
        execution = await shadows.requeue((await shadows.dead_letters())[0].id)
        assert execution.attempt == 1
        await run(shadows)
        assert attempts == [1, 2, 1, 2]
        assert len(await shadows.dead_letters()) == 1

    async def test_asking_twice_runs_it_once(self, shadows: Shadow, task: Fickle) -> None:
        await shadows.add(task.fickle)(1)
        await run(shadows)
        (letter,) = await shadows.dead_letters()
        await shadows.requeue(letter.id)
        with pytest.raises(
            NotRequeued, match="no dead letter has this id: it was requeued or discarded already"
        ):
            await shadows.requeue(letter.id)
        assert (await shadows.snapshot()).counts.ready == 1
        await shadows.clear()

    async def test_two_who_ask_at_once_run_it_once(
        self, shadows: Shadow, name: str, url: str, task: Fickle
    ) -> None:
        await shadows.add(task.fickle)(1)
        await run(shadows)
        (letter,) = await shadows.dead_letters()
        async with Shadow(name, url) as other:
            answers = await asyncio.gather(
                shadows.requeue(letter.id), other.requeue(letter.id), return_exceptions=True
            )
        assert sorted(type(answer).__name__ for answer in answers) == ["Execution", "NotRequeued"]
        assert (await shadows.snapshot()).counts.ready == 1
        await shadows.clear()

    async def test_while_its_key_is_taken_it_is_refused_and_stays(
        self, shadows: Shadow, task: Fickle
    ) -> None:
        await shadows.add(task.fickle, key="k")(1)
        await run(shadows)
        await shadows.add(task.fickle, key="k", when=LATER)(2)
        (letter,) = await shadows.dead_letters()
        with pytest.raises(NotRequeued, match="its key 'k' belongs to an unfinished execution"):
            await shadows.requeue(letter.id)
        assert await shadows.dead_letters() == [letter]
        await shadows.clear()

    async def test_one_whose_call_was_lost_is_refused_with_what_to_do(
        self, shadows: Shadow, redis: Redis
    ) -> None:
        await bury(redis, shadows, "i", b"lost/default/1/0/k")
        with pytest.raises(NotRequeued, match=r"'i' cannot be requeued: its call was lost.*discard it"):
            await shadows.requeue("i")

    async def test_one_whose_queue_is_broken_is_refused_with_what_to_do(
        self, shadows: Shadow, redis: Redis, task: Fickle
    ) -> None:
        await shadows.add(task.fickle, queue="mail")(1)
        await run(shadows)
        stream = f"{{{shadows.name}}}:ready:mail"
        await redis.delete(stream)
        await redis.set(stream, "x")
        (letter,) = await shadows.dead_letters()
        with pytest.raises(NotRequeued, match=":ready:mail' holds a string where shadows keeps a stream"):
            await shadows.requeue(letter.id)

    async def test_it_expires_no_more_and_is_no_longer_unknown_but_unique_as_before(
        self, shadows: Shadow, redis: Redis, task: Fickle
    ) -> None:
        shadows.register(task.fickle)
        call = Call(
            "fickle", encode_arguments((1,), {}), 5, unknown_since_us=7, headers={"a": "b"}, expires_us=9
        )
        await bury(redis, shadows, "i", b"unknown/default/1/0/k3/1/u5000/" + encode_call(call))
        execution = await shadows.requeue("i")
        assert execution.args == (1,)
        blob = (await shadows.find("k")).blob
        attempt, deliveries, unique, data = split_blob(blob)
        assert (attempt, deliveries, unique) == (1, 0, 5000)
        assert decode_call(data) == Call("fickle", encode_arguments((1,), {}), 5, headers={"a": "b"})
        await shadows.clear()

    async def test_one_that_only_a_newer_version_can_read_goes_as_it_is(
        self, shadows: Shadow, redis: Redis
    ) -> None:
        await bury(redis, shadows, "i", b"undecodable/default/1/0/k2/1/\x02later")
        await shadows.requeue("i")
        assert (await shadows.find("k")).blob == b"1/0/\x02later"
        await shadows.clear()


class TestDiscard:
    async def test_it_is_gone(self, shadows: Shadow, task: Fickle) -> None:
        for n in range(2):
            await shadows.add(task.fickle, key=f"k{n}")(n)
        await run(shadows)
        one, other = await shadows.dead_letters()
        assert await shadows.discard(one.id) is True
        assert await shadows.discard(one.id) is False
        assert await shadows.dead_letters() == [other]
        with pytest.raises(NotRequeued):
            await shadows.requeue(one.id)
