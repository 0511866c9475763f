"""Of a task that kills its workers its neighbours must not die too: suspects are run one at a time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shadows import Execution, ExecutionState, Shadow, Worker
from shadows.protocol.cycle import Settlement, Taken
from shadows.protocol.outcomes import completed
from shadows.worker.cycle import Loop
from shadows.worker.suspects import PAUSE_MS, Suspects, is_suspect
from tests.support.fleet import Fleet
from tests.support.servers import Server
from tests.support.waiting import until


def taken(name: str, deliveries: int = 0) -> Taken:
    return Taken(f"default/{name}", name, b"1/%d/call" % deliveries)


@pytest.mark.parametrize(
    ("blob", "suspect"),
    [
        (b"1/0/call", False),
        (b"1/1/call", False),
        (b"1/2/call", True),
        (b"12/0/2/2", False),
        (b"3/12/x", True),
        (b"1/x/", False),
        (b"", False),
    ],
)
def test_a_suspect_is_what_two_workers_have_died_of(blob: bytes, suspect: bool) -> None:
    assert is_suspect(Taken("default/1-1", "a", blob)) is suspect
    assert not is_suspect(Taken("default/1-1", "a", blob, readable=False))


def test_what_is_not_suspected_starts_at_once() -> None:
    suspects = Suspects()
    several = [taken("a"), taken("b", 1)]
    parted = suspects.part(several, (), (), lambda: 0)
    assert (parted.start, parted.held, parted.back) == (several, [], [])


def test_one_suspect_starts_when_the_others_have_gone_back() -> None:
    suspects = Suspects()
    one, other, third, plain = taken("one", 2), taken("other", 3), taken("third", 2), taken("plain")
    parted = suspects.part([one, plain, other, third], (), (), lambda: 1000)
    assert (parted.start, parted.held) == ([plain], [one])
    assert [(back.key, back.outcome.instant_ms) for back in parted.back] == [
        ("other", 1000 + PAUSE_MS),
        ("third", 1000 + PAUSE_MS),
    ]
    unsettled = [parted.back[1], Settlement("default/x", "x", completed())]
    parted = suspects.part([one], (), unsettled, lambda: 1000)
    assert (parted.start, parted.held, parted.back) == ([], [one], []), "one is on its way back yet"
    parted = suspects.part([one], (), (), lambda: 1000)
    assert (parted.start, parted.held, parted.back) == ([one], [], [])


def test_while_one_runs_all_others_go_back() -> None:
    suspects = Suspects()
    one, other = taken("one", 2), taken("other", 2)
    suspects.part([one], (), (), lambda: 0)
    parted = suspects.part([other], {one.token}, (), lambda: 0)
    assert (parted.start, parted.held, [back.key for back in parted.back]) == ([], [], ["other"])
    assert suspects.part([other], (), (), lambda: 0).start == [other]


def charge(shadow: Shadow, server: Server, deliveries: int) -> None:
    """What stands in the queue is as if so many workers had died of it."""
    stream = f"{{{shadow.name}}}:ready:default"
    for number, (_, key, _, blob) in server.call("XRANGE", stream, "-", "+"):
        attempt, _, call = blob.split(b"/", 2)
        server.call("XDEL", stream, number)
        again = server.call("XADD", stream, "*", "k", key, "c", b"%b/%d/%b" % (attempt, deliveries, call))
        server.call("HSET", f"{{{shadow.name}}}:live", key, b"default/" + again)


@pytest.fixture
async def shadow(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadow:
        yield shadow


async def test_suspects_run_one_by_one_beside_all_others(shadow: Shadow, server: Server) -> None:
    running: set[str] = set()
    most: dict[str, int] = {}
    together = asyncio.Event()

    async def note(kind: str, n: int) -> None:
        running.add(f"{kind}{n}")
        for one in ("suspect", "plain"):
            most[one] = max(most.get(one, 0), sum(name.startswith(one) for name in running))
        if most.get("plain") == 4:
            together.set()
        if kind == "plain":
            await together.wait()
        else:
            await asyncio.sleep(0)
        running.discard(f"{kind}{n}")

    executions = [await shadow.add(note)("suspect", n) for n in range(4)]
    charge(shadow, server, 2)
    executions += [await shadow.add(note)("plain", n) for n in range(4)]
    async with Worker(shadow) as worker:
        await asyncio.wait_for(worker.run_until_finished(), 30)
    assert {(await one.sync()).state for one in executions} == {ExecutionState.COMPLETED}
    assert most == {"suspect": 1, "plain": 4}


async def test_the_one_that_waits_until_the_others_have_gone_back_is_not_forgotten(
    shadow: Shadow, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loop, "_must_compare", lambda _: False)  # which would find it again, seconds later

    async def note() -> None: ...

    executions = [await shadow.add(note)() for _ in range(2)]
    charge(shadow, server, 2)
    async with Worker(shadow) as worker:
        await asyncio.wait_for(worker.run_until_finished(), 10)
    assert {(await one.sync()).state for one in executions} == {ExecutionState.COMPLETED}


async def test_a_poison_pill_takes_none_of_its_neighbours_with_it(name: str, url: str, fleet: Fleet) -> None:
    async def wait_for_gate(n: int) -> int:
        return n

    async def die(n: int) -> None: ...

    async with Shadow(name, url) as shadow:
        shadow.register(wait_for_gate)
        shadow.register(die)
        neighbours: list[Execution[int]] = [await shadow.add(wait_for_gate)(n) for n in range(5)]
        pill = await shadow.add(die)(99)
        neighbours += [await shadow.add(wait_for_gate)(n) for n in range(5, 10)]
        for life in range(5):
            assert fleet.start(lease=1).wait(60) == 9
            if life == 1:
                fleet.open_gate()
        fleet.start(lease=1)

        async def all_ended() -> bool:
            states = {(await one.sync()).state for one in neighbours}
            return states == {ExecutionState.COMPLETED} and (await pill.sync()).state is ExecutionState.FAILED

        await until(all_ended, 60)
        assert [letter.key for letter in await shadow.dead_letters()] == [pill.key]
    starts = fleet.effects("start")
    assert starts["99"] == 5
    assert max(starts[str(n)] for n in range(10)) <= 3
