"""Runs that end at once: while one half of a load is being settled the other half runs, and none is lost or doubled by it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shadows import ServerUnreachable, Shadow, Worker
from shadows.protocol.cycle import Cycled
from shadows.worker import cycle as cycle_module
from shadows.worker.cycle import Loop
from shadows.worker.lease import Lease
from tests.support.waiting import until

LOAD, HALF = 40, 20


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


@pytest.fixture
def runs() -> list[int]:
    return []


async def load(shadows: Shadow, runs: list[int], many: int = LOAD) -> None:
    """Add tasks that end at once."""

    async def note(n: int) -> None:
        runs.append(n)

    await shadows.add_many([shadows.call(note)(n) for n in range(many)])


@pytest.fixture
async def worker(shadows: Shadow, runs: list[int]) -> AsyncIterator[Worker]:
    """One that has run half of its load."""
    await load(shadows, runs)
    async with Worker(shadows, concurrency=LOAD) as worker:
        loop, _ = inside(worker)
        await loop._cycle(LOAD)
        assert runs == list(range(HALF))
        yield worker


def inside(worker: Worker) -> tuple[Loop, Lease]:
    assert worker._loop is not None
    assert worker._lease is not None
    return worker._loop, worker._lease


async def test_the_other_half_runs_while_the_first_is_on_its_way(
    worker: Worker, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, _ = inside(worker)
    request, when = loop._request, list[int]()

    async def watched(*arguments: object) -> Cycled:
        when.append(len(runs))
        cycled = await request(*arguments)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        when.append(len(runs))
        return cycled

    monkeypatch.setattr(loop, "_request", watched)
    cycled = await loop._cycle(loop._free())
    assert when == [HALF, LOAD]
    assert len(cycled.verdicts) == HALF
    assert not cycled.taken


async def test_each_runs_once(worker: Worker, runs: list[int]) -> None:
    await worker.run_until_finished()
    assert runs == list(range(LOAD))


async def test_where_the_server_is_far_away_loads_travel_whole(shadows: Shadow, runs: list[int]) -> None:
    await load(shadows, runs)
    async with Worker(shadows, concurrency=LOAD) as worker:
        loop, _ = inside(worker)
        loop._halves._run_took = 0  # as beside an answer that takes for ever
        await loop._cycle(LOAD)
        assert len(runs) == LOAD
        assert loop._halves._run_took > 0


async def test_what_is_left_takes_its_slots(worker: Worker) -> None:
    loop, _ = inside(worker)
    assert loop._free() == LOAD - HALF


async def test_a_few_that_end_at_once_are_settled_together(shadows: Shadow, runs: list[int]) -> None:
    await load(shadows, runs, 10)
    async with Worker(shadows, concurrency=10) as worker:
        await inside(worker)[0]._cycle(10)
        assert len(runs) == 10


async def test_what_waits_is_all_started(shadows: Shadow) -> None:
    started: list[int] = []
    gate = asyncio.Event()

    async def wait(n: int) -> None:
        started.append(n)
        await gate.wait()

    await shadows.add_many([shadows.call(wait)(n) for n in range(LOAD)])
    async with Worker(shadows, concurrency=LOAD) as worker:
        await inside(worker)[0]._cycle(LOAD)
        assert len(started) == LOAD
        gate.set()
        await worker.run_until_finished()


async def test_a_worker_that_stops_hands_back_what_is_left(
    worker: Worker, runs: list[int], shadows: Shadow
) -> None:
    inside(worker)[0].stop()
    await inside(worker)[0].run(lambda _: asyncio.sleep(0, result=False))
    assert len(runs) == HALF
    snapshot = await shadows.snapshot()
    assert (snapshot.total_tasks, snapshot.running) == (HALF, [])
    await again(shadows, runs)


async def test_a_worker_that_is_left_hands_back_what_is_left(
    worker: Worker, runs: list[int], shadows: Shadow
) -> None:
    await inside(worker)[0].close()
    assert len(runs) == HALF
    await again(shadows, runs)


@pytest.mark.parametrize("told", [True, False])
async def test_what_is_left_when_the_lease_is_lost_is_left_to_others(
    worker: Worker, runs: list[int], *, told: bool
) -> None:
    loop, lease = inside(worker)
    lease.incarnation = "another"
    if told:
        loop.lease_lost()
    loop._start_left()
    assert len(runs) == HALF
    assert not loop._halves.left
    assert len(loop._finished) == HALF


async def test_without_a_lease_what_is_left_goes_back(
    worker: Worker, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, lease = inside(worker)
    with monkeypatch.context() as patched:
        patched.setattr(lease, "holds", lambda: False)
        loop._start_left()
    assert len(runs) == HALF
    await worker.run_until_finished()
    assert sorted(runs) == list(range(LOAD))


async def test_what_is_left_when_the_server_fails_starts_once_it_is_known_to_be_held_still(
    worker: Worker, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, _ = inside(worker)
    request, compare, compared = loop._request, loop._compare, list[int]()

    async def away(*_: object) -> Cycled:
        monkeypatch.setattr(loop, "_request", request)
        raise ServerUnreachable("gone for a moment")

    async def comparing() -> None:
        compared.append(len(runs))
        await compare()

    monkeypatch.setattr(loop, "_request", away)
    monkeypatch.setattr(loop, "_compare", comparing)
    await worker.run_until_finished()
    assert compared == [HALF]
    assert sorted(runs) == list(range(LOAD))


async def test_what_is_left_is_not_taken_for_lost(worker: Worker, runs: list[int]) -> None:
    loop, _ = inside(worker)
    await loop._compare()
    assert not loop._ear.heard
    await worker.run_until_finished()
    assert runs == list(range(LOAD))


async def test_so_many_runs_are_so_many(
    shadows: Shadow, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    await load(shadows, runs)
    async with Worker(shadows, concurrency=LOAD) as worker:
        loop, _ = inside(worker)
        loop.limit(30, loop.stop)
        monkeypatch.setattr(cycle_module, "BACKSTOP", 0.02)
        await loop.run(lambda _: asyncio.sleep(0, result=False))
        await until(lambda: len(runs) == 30)
    await again(shadows, runs)


async def again(shadows: Shadow, runs: list[int]) -> None:
    """Another worker runs what is left, and each has run once."""
    async with Worker(shadows) as other:
        await other.run_until_finished()
    assert sorted(runs) == list(range(LOAD))
