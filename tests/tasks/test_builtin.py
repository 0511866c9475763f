"""The tasks that every worker knows."""

import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from shadows import Shadow, Worker
from shadows.tasks import fail, sleep, standard_tasks, trace
from shadows.testing import ControlledClock


async def test_trace_logs_a_message_and_how_long_it_took(
    name: str, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ControlledClock(datetime(2030, 1, 1, tzinfo=UTC))
    async with Shadow(name, url, clock=clock) as shadows:
        await shadows.add(trace, key="k")("system startup completed")
        await clock.advance(seconds=90)
        with caplog.at_level(logging.INFO, "shadows.task.trace"):
            async with Worker(shadows, name="w1") as worker:
                await worker.run_until_finished()
    (text,) = [record.getMessage() for record in caplog.records if record.name == "shadows.task.trace"]
    assert text == f"system startup completed key=k shadow={name} worker=w1 waited=0:01:30"


async def test_fail_fails_twice(name: str, url: str) -> None:
    async with Shadow(name, url) as shadows, Worker(shadows, name="w1") as worker:
        execution = await shadows.add(fail, key="k")("oh no")
        await worker.run_until_finished()
        with pytest.raises(
            RuntimeError, match=rf"oh no \(attempt 2 of 2, key=k, shadow={name}, worker=w1, waited="
        ):
            await execution.get_result(timeout=5)
    assert execution.attempt == 2


async def test_sleep_keeps_a_slot_for_so_long(name: str, url: str) -> None:
    async with Shadow(name, url) as shadows, Worker(shadows) as worker:
        execution = await shadows.add(sleep)(0.05)
        await worker.run_until_finished()
        await execution.sync()
    assert execution.started_at is not None
    assert execution.completed_at is not None
    assert execution.completed_at - execution.started_at >= timedelta(seconds=0.05)


async def test_every_worker_is_listed_with_them_and_runs_them_by_name(name: str, url: str) -> None:
    async with Shadow(name, url) as shadows, Worker(shadows) as worker:
        (listed,) = await shadows.workers()
        assert {task.__name__ for task in standard_tasks} <= listed.tasks
        execution = await shadows.add("sleep")(0)
        await worker.run_until_finished()
        assert await execution.get_result(timeout=5) is None


def test_they_are_a_collection_and_the_first_thing_that_is_imported() -> None:
    words = (
        "from shadows.tasks import trace, standard_tasks; import shadows; s = shadows.Shadow('x', 'memory://')\n"
        "s.register_collection('shadows.tasks:standard_tasks'); assert s.tasks['trace'] is trace is standard_tasks[0]"
    )
    subprocess.run([sys.executable, "-c", words], check=True, timeout=60)


def test_importing_the_library_does_not_load_them() -> None:
    words = "import shadows, sys; assert 'shadows.tasks.builtin' not in sys.modules"
    subprocess.run([sys.executable, "-c", words], check=True, timeout=60)
