"""The client for code without a running loop."""

import asyncio
import gc
import inspect
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from shadows import (
    Disposition,
    Execution,
    ExecutionState,
    InvalidName,
    InvalidTask,
    ServerUnreachable,
    Shadow,
    ShadowError,
    SyncShadow,
    TaskCall,
    Worker,
)
from tests.support.servers import Server, free_port
from tests.support.waiting import until, until_sync


async def greet(name: str) -> str:
    return f"hello {name}"


async def fail() -> None:
    raise ValueError("bad")


@pytest.fixture
def sync(name: str, url: str) -> Iterator[SyncShadow]:
    with SyncShadow(name, url) as sync:
        yield sync


def work(name: str, url: str) -> None:
    """Run what there is to do, with a worker on a loop of its own."""

    async def run() -> None:
        async with Shadow(name, url) as shadows, Worker(shadows, name="w1") as worker:
            await worker.run_until_finished()

    asyncio.run(run())


def loops() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "shadows-sync"]


class TestSurface:
    def test_a_task_is_added_run_and_gives_its_result(self, sync: SyncShadow, name: str, url: str) -> None:
        execution = sync.add(greet, key="k")("Jane")
        work(name, url)
        assert execution.get_result(timeout=5) == "hello Jane"
        assert sync.get_result("k", timeout=timedelta(seconds=5)) == "hello Jane"

    def test_its_failure_is_raised(self, sync: SyncShadow, name: str, url: str) -> None:
        execution = sync.add(fail)()
        work(name, url)
        with pytest.raises(ValueError, match="bad"):
            execution.get_result(timeout=5)
        with pytest.raises(ValueError, match="bad"):
            sync.get_result(execution.key)

    def test_what_has_not_ended_in_time_is_a_timeout(self, sync: SyncShadow) -> None:
        execution = sync.add(greet)("Jane")
        with pytest.raises(TimeoutError, match="has not ended within 0 seconds"):
            execution.get_result(timeout=0)

    def test_an_execution_has_the_same_facts(self, sync: SyncShadow, name: str, url: str) -> None:
        execution = sync.add(greet, key="k", queue="mail")("Jane")
        assert repr(execution) == "<Execution greet key='k' queued>"
        assert (execution.key, execution.function_name, execution.queue) == ("k", "greet", "mail")
        assert (execution.args, execution.kwargs) == (("Jane",), {})
        assert (execution.disposition, execution.state) == (Disposition.SCHEDULED, ExecutionState.QUEUED)
        work(name, url)
        assert execution.sync() is execution
        assert execution.state is ExecutionState.COMPLETED
        assert (execution.attempt, execution.worker, execution.error) == (1, "w1", None)
        assert execution.when is not None
        assert execution.started_at is not None
        assert execution.completed_at is not None
        assert execution.when <= execution.started_at <= execution.completed_at

    def test_a_key_is_taken_cancelled_and_found(self, sync: SyncShadow) -> None:
        when = datetime.now(UTC) + timedelta(hours=1)
        sync.add(greet, when, "k")("Jane")
        assert sync.add(greet, key="k")("Joe").disposition is Disposition.ALREADY_SCHEDULED
        found = sync.get_execution("k")
        assert found is not None
        assert (found.args, found.when) == (("Jane",), when)
        assert sync.cancel("k") is True
        assert sync.cancel("k") is False
        assert sync.get_execution("nothing") is None

    def test_tasks_are_registered_and_added_by_name(self, sync: SyncShadow) -> None:
        sync.register(greet, names=["hello"])
        sync.register_collection(f"{__name__}:greet", queue="mail")
        assert sync.add("hello")("Jane").function_name == "hello"
        assert sync.add("greet")("Jane").queue == "mail"

    def test_mistakes_are_raised_where_they_are_made(self, sync: SyncShadow) -> None:
        with pytest.raises(TypeError, match="missing a required argument"):
            sync.add(greet)()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
        with pytest.raises(InvalidTask):
            sync.add(3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
        with pytest.raises(InvalidName):
            sync.cancel("")
        with pytest.raises(InvalidName):
            SyncShadow("a b")

    def test_what_stands_is_replaced_many_are_added_and_calls_are_made(
        self, sync: SyncShadow, name: str, url: str
    ) -> None:
        later = datetime.now(UTC) + timedelta(hours=1)
        sync.add(greet, later, "k", expires=timedelta(hours=2))("old")
        assert sync.replace(greet, None, "k")("new").disposition is Disposition.SCHEDULED
        threads: set[threading.Thread] = set()

        def calls() -> Iterator[TaskCall]:
            threads.add(threading.current_thread())
            yield from (sync.call(greet, key=str(n))(str(n)) for n in range(3))

        added = sync.add_many(calls())
        assert threads == {threading.current_thread()}  # as a database's cursor needs it
        replaced = sync.replace_many([sync.call(greet, key="0")("zero")], chunk_size=1)
        assert [execution.key for execution in [*added, *replaced]] == ["0", "1", "2", "0"]
        made = Execution[str](sync._shadow, "made", "greet", args=("by hand",))
        assert sync.schedule(made).disposition is Disposition.SCHEDULED
        work(name, url)
        assert {key: sync.get_result(key, timeout=5) for key in ("k", "0", "2", "made")} == {
            "k": "hello new", "0": "hello zero", "2": "hello 2", "made": "hello by hand",
        }  # fmt: skip

    def test_strikes_are_made_and_taken_back(self, sync: SyncShadow) -> None:
        sync.strike(greet, "name", "==", "Jane")
        sync.wait_for_strikes_loaded()
        assert sync.strike_list.is_stricken({"name": "Jane"}, "greet")
        execution = sync.add(greet)("Jane")
        assert execution.disposition is Disposition.STRUCK
        (letter,) = sync.dead_letters()
        assert (letter.reason, letter.key) == ("stricken", execution.key)
        sync.restore(greet, "name", "==", "Jane")
        assert sync.requeue(letter.id).key == execution.key
        assert sync.discard(letter.id) is False

    async def test_an_operator_sees_and_acts(self, sync: SyncShadow, name: str, url: str) -> None:
        async with Shadow(name, url) as shadows, Worker(shadows, name="w1"):
            await asyncio.to_thread(self._look_and_act, sync)

    def _look_and_act(self, sync: SyncShadow) -> None:
        sync.add(greet, datetime.now(UTC) + timedelta(hours=1))("Jane")
        sync.pause("mail")
        snapshot = sync.snapshot(limit=5)
        assert [execution.args for execution in snapshot.future] == [("Jane",)]
        assert [worker.name for worker in sync.workers()] == ["w1"]
        assert [worker.name for worker in sync.task_workers("trace")] == ["w1"]
        assert sync.task_workers("nothing") == []
        sync.resume("mail")
        assert sync.clear() == 1
        sync.purge()
        assert sync.snapshot().total_tasks == 0

    def test_it_has_the_same_settings(self) -> None:
        sync = SyncShadow("orders", "redis://someone:secret@host", missed_heartbeats=3)
        assert (sync.name, sync.url) == ("orders", "redis://someone:***@host")
        assert (sync.heartbeat_interval, sync.missed_heartbeats) == (timedelta(seconds=2), 3)
        sync.heartbeat_interval, sync.missed_heartbeats = timedelta(seconds=1), 4
        assert (sync.heartbeat_interval, sync.missed_heartbeats) == (timedelta(seconds=1), 4)
        with pytest.raises(ValueError, match="heartbeat_interval="):
            sync.heartbeat_interval = timedelta(0)
        sync.register(greet)
        assert sync.tasks["greet"] is greet

    def test_nothing_of_the_client_is_missing(self) -> None:
        inner = {
            "abandon",
            "clock",
            "find",
            "limits",
            "meter",
            "names_of",
            "plan",
            "plans",
            "preparer",
            "store",
            "strikes",
            "watch",
        }
        missing = public(Shadow("orders")) - inner - public(SyncShadow("orders"))
        assert not missing

    def test_its_methods_take_the_same_arguments(self) -> None:
        for name in public(Shadow) & public(SyncShadow):
            member = getattr(SyncShadow, name)
            if callable(member):
                mine, theirs = inspect.signature(member), inspect.signature(getattr(Shadow, name))
                assert list(mine.parameters.values()) == list(theirs.parameters.values()), name

    def test_nothing_of_an_execution_is_missing(self, sync: SyncShadow) -> None:
        execution = sync.add(greet)("Jane")
        inner = {"subscribe", "then", "then_run", "update"}
        missing = public(execution._execution) - inner - public(execution)
        assert not missing
        assert execution.function is greet
        assert (execution.fence, execution.expires, execution.progress.current) == (0, None, None)


def public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


class TestLife:
    def test_it_is_shown_like_the_shadow_behind_it(self) -> None:
        assert repr(SyncShadow("orders", "redis://host")) == "<SyncShadow 'orders' on redis://host>"

    def test_it_opens_at_its_first_use_and_again_after_it_was_closed(self, name: str, url: str) -> None:
        before = len(loops())
        sync = SyncShadow(name, url)
        assert len(loops()) == before
        for _ in range(2):
            sync.add(greet)("Jane")
            assert len(loops()) == before + 1
            sync.close()
            assert len(loops()) == before
        sync.close()

    def test_no_server_is_an_error_and_leaves_no_thread(self) -> None:
        before = len(loops())
        sync = SyncShadow(url=f"redis://localhost:{free_port()}")
        for act in (lambda: sync.cancel("k"), lambda: sync.add(greet)("Jane"), sync.__enter__):
            with pytest.raises(ServerUnreachable, match="no Redis or Valkey answers"):
                act()
        assert len(loops()) == before
        gc.collect()  # a coroutine that was never awaited would warn here

    def test_it_is_refused_on_its_own_loop(self, sync: SyncShadow) -> None:
        async def inside() -> None:
            for act in (lambda: sync.cancel("k"), sync.close):
                with pytest.raises(ShadowError, match="cannot be used from its own loop: use Shadow"):
                    act()

        sync.wait_for(inside())

    async def test_it_may_be_used_in_a_task_that_runs_in_a_thread(self, name: str, url: str) -> None:
        sync = SyncShadow(name, url)

        def parent(n: int) -> list[str]:
            return [sync.add(greet)(str(i)).key for i in range(n)]

        async with Shadow(name, url) as shadows, Worker(shadows) as worker:
            execution = await shadows.add(parent)(3)
            await worker.run_until_finished()
            keys = await execution.get_result(timeout=5)
            found = [await shadows.get_execution(key) for key in keys]
        assert [one is not None and one.state for one in found] == [ExecutionState.COMPLETED] * 3
        await asyncio.to_thread(sync.close)

    async def test_who_waits_when_it_is_closed_is_told(self, name: str, url: str) -> None:
        sync = SyncShadow(name, url)
        execution = await asyncio.to_thread(lambda: sync.add(greet)("Jane"))
        waiting = asyncio.create_task(asyncio.to_thread(execution.get_result))
        await until(lambda: execution.state is ExecutionState.QUEUED and _polls(sync))
        await asyncio.to_thread(sync.close)
        with pytest.raises(ShadowError, match="was closed while this was waited for"):
            await waiting

    async def test_however_its_waiting_ended(self, name: str, url: str) -> None:
        async def for_ever() -> None:
            await asyncio.Event().wait()

        async def until_it_is_shut() -> None:
            while opened._shadow._batcher is not None:  # noqa: ASYNC110
                await asyncio.sleep(0)
            raise ShadowError("not open")

        opened = SyncShadow(name, url)
        for wait in (for_ever, until_it_is_shut):
            with opened:
                waiting = asyncio.create_task(asyncio.to_thread(lambda: opened.wait_for(wait())))  # noqa: B023
                await until(lambda: _polls(opened, wait.__name__))  # noqa: B023
                await asyncio.to_thread(opened.close)
                with pytest.raises(ShadowError, match="was closed while this was waited for"):
                    await waiting

    def test_closing_ends_its_thread_even_where_the_server_is_gone(self, name: str, proxy_url: str) -> None:
        before = len(loops())
        sync = SyncShadow(name, proxy_url)
        sync.add(greet)("Jane")
        sync.close()
        assert len(loops()) == before

    def test_a_thread_that_is_interrupted_leaves_nothing_behind_on_the_loop(self, sync: SyncShadow) -> None:
        execution = sync.add(greet)("Jane")
        threading.Thread(target=_interrupt_when_polling, args=(sync,)).start()
        with pytest.raises(KeyboardInterrupt):
            execution.get_result(timeout=30)
        until_sync(lambda: not _polls(sync))
        assert sync.cancel(execution.key)

    @pytest.mark.parametrize("handed_over", [True, False])
    def test_an_interruption_of_the_hand_over_itself_leaves_nothing_behind(
        self, handed_over: bool, sync: SyncShadow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        execution = sync.add(greet)("Jane")
        loop = sync._loop
        assert loop is not None
        hand_over = loop.call_soon_threadsafe

        def interrupted(callback: Callable[..., object], *args: object) -> None:
            monkeypatch.undo()
            if handed_over:
                hand_over(callback, *args)
            raise KeyboardInterrupt

        monkeypatch.setattr(loop, "call_soon_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            execution.get_result(timeout=30)
        until_sync(lambda: not _polls(sync))
        assert sync.cancel(execution.key)


@pytest.fixture
def proxy_url(server: Server) -> str:
    return server.tcp_url


def _polls(sync: SyncShadow, what: str = "get_result") -> bool:
    """Whether such a call, for a result unless told, is going on behind it."""

    async def look() -> bool:
        return any(what in repr(task.get_coro()) for task in asyncio.all_tasks())

    return sync.wait_for(look())


def _interrupt_when_polling(sync: SyncShadow) -> None:
    until_sync(lambda: _polls(sync))
    os.kill(os.getpid(), signal.SIGINT)


class TestThreads:
    def test_many_threads_share_it(self, name: str, url: str) -> None:
        sync = SyncShadow(name, url)  # opened by whoever comes first
        before = len(loops())
        start = threading.Barrier(20)

        def add(i: int) -> list[str]:
            start.wait()
            return [sync.add(greet, key=f"{i}/{j}")("Jane").key for j in range(25)]

        with ThreadPoolExecutor(20) as pool:
            keys = [key for keys in pool.map(add, range(20)) for key in keys]
        assert len(loops()) == before + 1
        assert len(set(keys)) == 500
        work(name, url)
        assert sync.get_result("19/24", timeout=5) == "hello Jane"
        sync.close()

    def test_threads_that_register_and_add_do_not_disturb_each_other(self, sync: SyncShadow) -> None:
        def register(i: int) -> None:
            for j in range(100):
                sync.register(greet, names=[f"greet-{i}-{j}"])

        def add(i: int) -> None:
            for j in range(100):
                sync.add(f"greet-{i}-{j}") if sync.wait_for(_known(sync, f"greet-{i}-{j}")) else None
                sync.add(fail)

        with ThreadPoolExecutor(8) as pool:
            for one in [pool.submit(act, i) for i in range(4) for act in (register, add)]:
                one.result()

    def test_closing_while_others_add_loses_nothing_that_was_accepted(
        self, name: str, url: str, server: Server
    ) -> None:
        sync = SyncShadow(name, url)
        accepted: list[str] = []

        def add() -> None:
            for i in range(50):
                try:
                    accepted.append(sync.add(greet)(str(i)).key)
                except ShadowError:
                    continue

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            sync.close()
        sync.close()
        live = set(server.call("HKEYS", f"{{{name}}}:live"))
        assert {key.encode() for key in accepted} <= live


async def _known(sync: SyncShadow, name: str) -> bool:
    return sync._shadow.plan(name) is not None  # pyright: ignore[reportPrivateUsage]


FORKING = """
import os, sys, threading, warnings
warnings.simplefilter("error", ResourceWarning)
from shadows import SyncShadow

async def greet(name): return name

sync = SyncShadow(*sys.argv[1:])
before = sync.add(greet, key="before")("parent")
sync._lock.acquire()  # as if another thread were in the middle of something
child = os.fork()
if child == 0:
    try:
        assert sync.add(greet, key="child")("child").disposition == "scheduled"
        assert before.sync().state == "queued"
        assert sync.cancel("before")
        sync.close()
    except BaseException:
        import traceback
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)
sync._lock.release()
_, status = os.waitpid(child, 0)
assert status == 0, status
assert sync.add(greet, key="after")("parent").disposition == "scheduled"
assert before.sync().state == "cancelled"
assert sync.get_execution("child").state == "queued"
sync.close()
print("fine")
"""

UNCLOSED = """
import sys
from shadows import SyncShadow

async def greet(name): return name

SyncShadow(*sys.argv[1:]).add(greet, key="k")("Jane")
print("fine")
"""


class TestProcesses:
    @pytest.mark.parametrize("script", [FORKING, UNCLOSED], ids=["forked", "unclosed"])
    def test_it_is_safe_across_fork_and_at_the_end_of_the_process(
        self, name: str, url: str, script: str
    ) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(script), name, url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)
