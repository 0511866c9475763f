"""Waiting for executions: by news, and without trust in them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from shadows import Execution, ExecutionState, Shadow, Worker
from shadows import events as events_module
from shadows import execution as execution_module
from shadows.events import Watch
from shadows.progress import ProgressReport, read_progress
from shadows.protocol.events import News, read_news
from tests.support.proxy import Proxy, command
from tests.support.servers import Server, running
from tests.support.waiting import until


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


async def working(shadows: Shadow) -> None:
    async with Worker(shadows) as worker:
        await worker.run_until_finished()


async def states(execution: Execution[int], ready: asyncio.Event) -> list[str]:
    return [event["state"] async for event in execution.subscribe(ready) if event["type"] == "state"]


async def test_a_subscriber_sees_every_state_from_the_present_one_to_the_end(shadows: Shadow) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        begun.set()
        await go.wait()
        return 7

    execution = await shadows.add(work)()
    ready = asyncio.Event()
    watching = asyncio.create_task(states(execution, ready))
    await ready.wait()
    run = asyncio.create_task(working(shadows))
    await begun.wait()
    go.set()
    await run
    assert await watching == ["queued", "running", "completed"]
    assert await execution.get_result() == 7


async def test_one_who_subscribes_after_the_end_is_told_of_it_and_no_more(shadows: Shadow) -> None:
    async def work() -> int:
        raise ValueError("no")

    execution = await shadows.add(work)()
    await working(shadows)
    events = [event async for event in execution.subscribe()]
    assert [event["type"] for event in events] == ["state", "progress"]
    assert events[0].get("error") == "ValueError: no"
    assert events[0].get("worker")
    assert events[0].get("completed_at")


async def test_a_result_is_told_to_whoever_waits_without_polling(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution_module, "_FIRST_LOOK", 60.0)
    monkeypatch.setattr(execution_module, "_LAST_LOOK", 60.0)

    async def work(n: int) -> int:
        return n

    waiting = [asyncio.create_task((await shadows.add(work)(n)).get_result(timeout=30)) for n in range(3)]
    await until(lambda: len(shadows._events._watches) == 3 and shadows._events._begun.is_set())
    await until(lambda: shadows._events._attended > 0)
    await working(shadows)
    assert await asyncio.gather(*waiting) == [0, 1, 2]
    assert not shadows._events._watches


async def test_nothing_is_published_while_nobody_listens(shadows: Shadow) -> None:
    async def work() -> None: ...

    await shadows.add(work)()
    await working(shadows)
    assert await shadows._link.request(b"HGET", shadows.store.keys["meta"], b"listening") is None


async def test_news_that_are_lost_hang_nobody(name: str, server: Server) -> None:
    async with Proxy(server.socket) as proxy, Shadow(name, proxy.url) as shadows:

        async def work() -> int:
            return 1

        execution = await shadows.add(work)()
        proxy.cut_before_next_request(command("SUBSCRIBE"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(events_module, "FIRST_PAUSE", 60.0)
            patch.setattr(events_module, "BEGIN_PATIENCE", 0.01)
            patch.setattr(execution_module, "_FIRST_LOOK", 0.01)
            waiting = asyncio.create_task(execution.get_result(timeout=30))
            await working(shadows)
            assert await waiting == 1


async def test_a_subscription_that_breaks_is_made_anew(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution_module, "_FIRST_LOOK", 60.0)
    go = asyncio.Event()

    async def work() -> int:
        await go.wait()
        return 1

    execution = await shadows.add(work)()
    run = asyncio.create_task(working(shadows))
    waiting = asyncio.create_task(execution.get_result(timeout=30))
    events = shadows._events
    await until(events._begun.is_set)
    await shadows._link.request(b"CLIENT", b"KILL", b"TYPE", b"pubsub")
    await until(lambda: not events._begun.is_set())
    await until(events._begun.is_set)
    go.set()
    await run
    assert await waiting == 1


async def test_a_shadow_whose_server_is_away_says_so_to_one_who_waits(
    name: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "BEGIN_PATIENCE", 0.01)
    async with Proxy(server.socket) as proxy, Shadow(name, proxy.url) as shadows:

        async def work() -> None: ...

        execution = await shadows.add(work)()
        proxy.cut_before_next_request(command("EVALSHA"))
        async with shadows._events.watch(execution.key) as watch:
            assert shadows._events._attended == float("-inf")
            assert await watch.next(0.01) is None
        await shadows.cancel(execution.key)


async def test_attention_is_renewed_while_somebody_waits(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "ATTENTION_MS", 20)
    async with shadows._events.watch("k"):
        first = shadows._events._attended
        await until(lambda: shadows._events._attended > first)
    assert not shadows._events._watches
    asked = shadows._events._attended
    async with shadows._events.watch("k"), shadows._events.watch("k"):
        await until(lambda: shadows._events._attended > asked)


def test_a_message_tells_who_and_what() -> None:
    assert read_news(b"w#1\nrunning a b\ncompleted k\nodd") == [
        News("a b", "running", "w"),
        News("k", "completed", "w"),
    ]


async def test_a_report_reads_as_it_was_written() -> None:
    told: list[int] = []
    report = ProgressReport(_changed=lambda: told.append(1))
    assert read_progress(report.words) == ProgressReport()
    await report.set_total(5)
    await report.increment()
    await report.increment(2)
    await report.set_message("a/b\nc")
    assert read_progress(report.words) == ProgressReport(3, 5, "a/b\nc")
    assert len(told) == 4
    await report.set_message("")
    assert read_progress(report.words) == ProgressReport(3, 5, "")
    for words in ("", "x", "x/2/", "1/x/"):
        assert read_progress(words) == ProgressReport()
    with pytest.raises(ValueError, match="total=0"):
        await report.set_total(0)
    with pytest.raises(ValueError, match="amount=0"):
        await report.increment(0)


async def test_an_execution_in_another_state_is_told_by_its_fence(shadows: Shadow) -> None:
    fences: list[int] = []
    go = asyncio.Event()

    async def work() -> None:
        found = await shadows.get_execution("k")
        assert found is not None
        fences.append(found.fence)
        await go.wait()

    execution = await shadows.add(work, key="k")()
    assert (await execution.sync()).fence > 0
    run = asyncio.create_task(working(shadows))
    await until(lambda: len(fences) == 1)
    assert (await execution.sync()).state is ExecutionState.RUNNING
    assert fences == [execution.fence]
    go.set()
    await run


async def test_a_subscriber_sees_the_start_of_what_an_idle_worker_hears_of(shadows: Shadow) -> None:
    go = asyncio.Event()

    async def work() -> int:
        await go.wait()
        return 1

    when = datetime.now(UTC) + timedelta(hours=1)
    execution = await shadows.add(work, when=when, key="k")()
    ready = asyncio.Event()
    watching = asyncio.create_task(states(execution, ready))
    await ready.wait()
    async with Worker(shadows) as worker:
        running = asyncio.create_task(worker.run_until_finished())
        await until(lambda: worker._loop is not None and worker._loop._ear.listening)
        await shadows.replace(work, datetime.now(UTC), "k")()
        await until(lambda: execution.state is ExecutionState.RUNNING)
        go.set()
        await running
    assert await watching == ["scheduled", "queued", "running", "completed"]


async def test_a_server_that_refuses_the_subscription_leaves_looking(name: str) -> None:
    with running("valkey", port=None) as own:
        async with Shadow(name, own.url) as shadows:
            rules = (b"on", b">pw", b"~*", b"&*", b"+@all", b"-subscribe")
            await shadows._link.request(b"ACL", b"SETUSER", b"deaf", *rules)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(events_module, "BEGIN_PATIENCE", 3600)  # it is not waited for, as it is refused
            patch.setattr(execution_module, "_FIRST_LOOK", 0.01)
            async with Shadow(name, own.url.replace("unix://", "unix://deaf:pw@")) as shadows:

                async def work() -> int:
                    return 1

                execution = await shadows.add(work)()
                waiting = asyncio.create_task(execution.get_result(timeout=30))
                await working(shadows)
                assert await waiting == 1
                assert not shadows._events._begun.is_set()


async def test_a_report_that_nobody_writes_may_be_changed() -> None:
    report = ProgressReport()
    await report.increment()
    assert report.current == 1


async def test_one_who_does_not_come_for_his_news_looks_for_himself_in_the_end() -> None:
    watch = Watch()
    for n in range(events_module.MOST_NEWS):
        watch.tell(News("k", f"{n}", "w"))
    watch.tell(News("k", "one too many", "w"))
    assert await watch.next(0.01) is None
    watch.tell(News("k", "later", "w"))
    assert await watch.next(1) == News("k", "later", "w")
