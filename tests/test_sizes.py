"""What is too large: refused where it enters, or left out and said so; what is stored stays small."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shadows import ExecutionState, Perpetual, Progress, ResultUnavailable, Retry, Shadow, Worker
from shadows.progress import MAX_MESSAGE_BYTES, MOST, ProgressReport
from tests.support.servers import Server
from tests.support.waiting import until

HUGE = "x" * 50_000_000
MIB = 1024 * 1024


@pytest.fixture
async def shadow(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadow:
        yield shadow


def stored(server: Server, shadow: Shadow) -> int:
    """Bytes that the server needs for everything of a shadow."""
    keys = server.call("KEYS", f"{{{shadow.name}}}:*")
    return sum(server.call("MEMORY", "USAGE", key, "SAMPLES", "0") for key in keys)


async def finish(shadow: Shadow) -> None:
    async with Worker(shadow) as worker:
        await asyncio.wait_for(worker.run_until_finished(), 30)


async def test_a_huge_argument_is_refused_before_anything_is_sent(shadow: Shadow, server: Server) -> None:
    async def take(text: str) -> None: ...

    before = server.call("INFO", "stats").split(b"total_net_input_bytes:")[1].split()[0]
    with pytest.raises(
        ValueError, match=r"take: its arguments take 50,000,0\d\d bytes, a call may have 1,048,576"
    ):
        await shadow.add(take, key="huge")(HUGE)
    after = server.call("INFO", "stats").split(b"total_net_input_bytes:")[1].split()[0]
    assert int(after) - int(before) < 10_000
    assert await shadow.get_execution("huge") is None


async def test_a_huge_result_is_not_kept_and_the_task_has_succeeded(
    shadow: Shadow, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[int] = []

    async def give(retry: Retry = Retry(attempts=3)) -> str:
        runs.append(1)
        return HUGE

    execution = await shadow.add(give)()
    await finish(shadow)
    assert (await execution.sync()).state is ExecutionState.COMPLETED
    with pytest.raises(ResultUnavailable):
        await execution.get_result()
    assert runs == [1]
    assert "result cannot travel task=give" in caplog.text
    assert stored(server, shadow) < 20_000


async def test_a_huge_error_is_cut_also_in_its_dead_letter(shadow: Shadow, server: Server) -> None:
    async def fail() -> None:
        error = ValueError(HUGE, "a\ud800" * 1_000_000)
        for _ in range(100):
            error.add_note("n" * 10_000)
        raise error

    execution = await shadow.add(fail)()
    await finish(shadow)
    assert (await execution.sync()).state is ExecutionState.FAILED
    assert len(await shadow.dead_letters()) == 1
    assert stored(server, shadow) < MIB


async def test_a_huge_argument_for_the_next_run_fails_the_run(shadow: Shadow, server: Server) -> None:
    async def grow(text: str, perpetual: Perpetual = Perpetual()) -> None:
        perpetual.perpetuate(HUGE)

    execution = await shadow.add(grow)("")
    await finish(shadow)
    await execution.sync()
    assert execution.state is ExecutionState.FAILED
    assert "grow: its arguments take 50,000,0" in str(execution.error)
    assert stored(server, shadow) < MIB


async def test_a_huge_message_of_progress_is_cut(shadow: Shadow) -> None:
    go = asyncio.Event()

    async def work(progress: Progress = Progress()) -> None:
        await progress.set_message("\ud800ä" + HUGE)
        assert progress.message is not None
        assert len(progress.message) > len(HUGE)
        await go.wait()

    execution = await shadow.add(work)()
    async with Worker(shadow) as worker:
        running = asyncio.create_task(worker.run_until_finished())

        async def told() -> str:
            return (await execution.sync()).progress.message or ""

        message = await until(told)
        assert message.startswith("\\ud800äxxx")
        assert MAX_MESSAGE_BYTES - 4 <= len(message.encode()) <= MAX_MESSAGE_BYTES
        go.set()
        await running


async def test_numbers_of_progress_are_bounded() -> None:
    report = ProgressReport()
    with pytest.raises(ValueError, match="a total is at most"):
        await report.set_total(10**5000)
    await report.increment(MOST)
    with pytest.raises(ValueError, match="what is done is at most"):
        await report.increment()
    assert report.words == f"{MOST}/1/"
