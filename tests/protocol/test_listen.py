"""The blocking read of an idle worker, and the look at its own tasks after a reply that it did not get."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import ResponseError

from shadows.protocol import cycle
from shadows.protocol.connection import Address, Link
from shadows.protocol.cycle import Heard, Taken, listen, recover
from shadows.protocol.execution import standing
from tests.protocol.bench import Bench
from tests.protocol.test_enroll import groups
from tests.support.waiting import until


@pytest.fixture
async def link(url: str) -> AsyncIterator[Link]:
    link = Link(Address(url))
    yield link
    await link.close()


async def test_a_ready_task_ends_the_wait_one_a_queue(bench: Bench, link: Link) -> None:
    bench.enroll("mail")
    bench.add("a", "b")
    bench.add("c", queue="mail")
    heard = await listen(bench.store, link, "w", ["mail", "default"], 1000, 5)
    assert sorted((task.key, task.blob) for task in heard.taken) == [
        ("a", b"1/0/call-a"),
        ("c", b"1/0/call-c"),
    ]
    assert heard.woken == b""


async def test_what_becomes_ready_during_the_wait_ends_it(bench: Bench, link: Link) -> None:
    waiting = asyncio.create_task(listen(bench.store, link, "w", ["default"], 10_000, 5))
    await until(lambda: b"blocked_clients:1" in bench.wire.one("INFO", "clients"))
    bench.add("a")
    assert [task.key for task in (await waiting).taken] == ["a"]


async def test_what_is_due_sooner_wakes_the_one_who_waits(bench: Bench, link: Link) -> None:
    bench.add("a", at=bench.instant + 50)
    heard = await listen(bench.store, link, "w", ["default"], 1000, 5)
    assert heard.taken == []
    assert heard.woken.decode() == bench.ask("XRANGE", "wake", "-", "+")[0][0]


async def test_a_wait_in_vain_ends_by_itself(bench: Bench, link: Link) -> None:
    assert await listen(bench.store, link, "w", ["default"], 10, 5) == Heard([], b"")


async def test_lost_groups_are_made_anew(bench: Bench, link: Link) -> None:
    bench.add("a")
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:default"), "g")
    assert await listen(bench.store, link, "w", ["default"], 1000, 5) == Heard([], b"")
    assert groups(bench, "ready:default") == [("g", "0-0")]
    assert [task.key for task in (await listen(bench.store, link, "w", ["default"], 1000, 5)).taken] == ["a"]


async def test_a_broken_queue_lets_a_worker_look_at_the_others_once_in_a_while(
    bench: Bench, link: Link
) -> None:
    bench.enroll("broken")
    bench.ask("DEL", "ready:broken")
    bench.ask("SET", "ready:broken", "x")
    bench.add("a")
    heard = await listen(bench.store, link, "w", ["broken", "default"], 10, 5)
    assert (heard.taken, heard.woken) == ([], b"")
    assert ":ready:broken' holds a string where shadows keeps a stream" in heard.trouble
    bench.lease("w")
    assert [task.key for task in bench.cycle(take=5, queues=["broken", "default"]).taken] == ["a"]
    assert [task.key for task in await recover(bench.store, link, "w", ["broken", "default"])] == ["a"]


async def test_any_other_error_is_told(bench: Bench, link: Link) -> None:
    with pytest.raises(ResponseError, match="timeout"):
        await listen(bench.store, link, "w", ["default"], -1, 5)
    bench.wire.one("CONFIG", "SET", "requirepass", "secret")
    try:
        stranger = Link(Address(bench.store.address.locate().replace("unix://", "unix://:secret@")))
        await stranger.request("CLIENT", "SETNAME", "x")
        bench.wire.one("AUTH", "secret")
        bench.wire.one("ACL", "SETUSER", "default", "-xpending")
        with pytest.raises(ResponseError, match="permission"):
            await recover(bench.store, stranger, "w", ["default"])
        await stranger.close()
    finally:
        bench.wire.one("ACL", "SETUSER", "default", "+@all")
        bench.wire.one("CONFIG", "SET", "requirepass", "")


async def test_all_that_a_worker_holds_is_found_again_page_by_page(
    bench: Bench, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle, "MOST_ITEMS", 2)
    bench.enroll("mail")
    bench.add(*"abcde")
    bench.add("f", queue="mail")
    tasks = [*bench.take("w"), *bench.take("w", queue="mail")]
    bench.take("v")
    bench.wire.one("XDEL", bench.key("ready:default"), tasks[2].token.partition("/")[2])
    tasks[2] = Taken(tasks[2].token, "", b"", readable=False)
    assert await recover(bench.store, link, "w", ["default", "mail"]) == tasks
    assert await recover(bench.store, link, "v", ["default", "mail"]) == []


async def test_what_is_known_is_left_out_and_nothing_begins_anew(bench: Bench, link: Link) -> None:
    bench.add(*"abc")
    first, second, third = bench.take("w")
    id_ = first.token.partition("/")[2]
    bench.wire.one("XCLAIM", bench.key("ready:default"), "g", "w", 0, id_, "IDLE", 60_000)
    assert await recover(bench.store, link, "w", ["default"], {second.token}) == [first, third]
    ((_, _, idle, deliveries), *_) = bench.wire.one("XPENDING", bench.key("ready:default"), "g", "-", "+", 3)
    assert idle >= 60_000
    assert deliveries == 2  # the claim by hand, and none since


async def test_a_lost_group_holds_nothing_of_anybodys(bench: Bench, link: Link) -> None:
    bench.add("a")
    bench.take()
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:default"), "g")
    assert await recover(bench.store, link, "w", ["default"]) == []


async def test_the_keys_of_the_unfinished_are_told(bench: Bench, link: Link) -> None:
    bench.add("a")
    bench.add("b", at=bench.instant + 5)
    assert await standing(bench.store, link, ["a", "b", "c"]) == {"a", "b"}
