"""Leases and what workers say of themselves, over connections of their own."""

from collections.abc import AsyncIterator
from unittest.mock import Mock

import pytest
from redis.exceptions import ResponseError

from shadows.errors import BrokenKey
from shadows.protocol.connection import Address, Link, SyncLink
from shadows.protocol.lease import (
    Announcement,
    Beat,
    Reaped,
    announce,
    announcements,
    beat,
    drop,
    reap,
    server_run,
    strangers,
)
from tests.protocol.bench import LIMITS, Bench
from tests.support.servers import Server


@pytest.fixture
async def link(url: str) -> AsyncIterator[Link]:
    link = Link(Address(url))
    yield link
    await link.close()


def test_a_thread_takes_and_renews_a_lease(bench: Bench, url: str) -> None:
    link = SyncLink(Address(url), 5)

    def renew(worker: str, stamp: int, *, first: bool) -> Beat:
        return beat(bench.store.keys, link, worker, 500, first=first, stamp=b"%d" % stamp)

    assert renew("w", 900, first=False) == Beat(held=False, now_ms=900, expired=[])
    assert renew("w", 1000, first=True) == Beat(held=True, now_ms=1000, expired=[])
    assert renew("v", 1500, first=True) == Beat(held=True, now_ms=1500, expired=["w"])
    assert renew("w", 2000, first=False) == Beat(held=True, now_ms=2000, expired=["v"])
    link.close()


def test_a_broken_key_of_leases_is_named(bench: Bench, url: str) -> None:
    link, leases = SyncLink(Address(url), 5), bench.store.keys["leases"].decode()
    bench.ask("SET", "leases", "nonsense")
    with pytest.raises(BrokenKey, match=f"the key {leases!r} holds a string where shadows keeps a zset"):
        beat(bench.store.keys, link, "w", 500, first=True)
    link.close()


def test_an_error_of_the_server_about_a_lease_is_passed_on(bench: Bench) -> None:
    error = ResponseError("ERR no such thing")
    link = Mock(spec=SyncLink)
    link.request.side_effect = error
    with pytest.raises(ResponseError) as raised:
        beat(bench.store.keys, link, "w", 500, first=True)
    assert raised.value is error


def test_a_thread_sees_which_run_of_the_server_it_talks_to(url: str, server: Server) -> None:
    link = SyncLink(Address(url), 5)
    run = server_run(link)
    assert (run.run_id.encode() in server.call("INFO", "server"), len(run.run_id)) == (True, 40)
    assert run.uptime >= 0
    assert server_run(link).run_id == run.run_id
    assert link.opened == 1
    link.close()


async def test_what_a_worker_held_may_be_taken_back_once_it_dropped_its_lease(
    bench: Bench, link: Link
) -> None:
    bench.add("a")
    bench.take()
    assert await reap(bench.store, link, "w", 3, LIMITS, stamp=bench.stamp) == Reaped(alive=True)
    await drop(bench.store, link, "w")
    await drop(bench.store, link, "nobody")
    assert bench.ask("ZRANGE", "leases", 0, -1) == ["w"]
    assert await reap(bench.store, link, "w", 3, LIMITS, stamp=bench.stamp) == Reaped(
        alive=False, moved=1, left=False
    )


async def test_consumers_without_a_lease_are_strangers_whatever_befell_a_queue(
    bench: Bench, link: Link
) -> None:
    bench.enroll("broken", "gone", "mail")
    bench.add("a", queue="mail")
    bench.take("w", queue="mail")
    bench.wire.one("XREADGROUP", "GROUP", "g", "ghost", "STREAMS", bench.key("ready:mail"), "0")
    bench.ask("DEL", "ready:gone")
    bench.ask("DEL", "ready:broken")
    bench.ask("SET", "ready:broken", "x")
    assert await strangers(bench.store, link, ["broken", "gone", "mail"]) == {"ghost"}


async def test_the_living_say_what_they_are(bench: Bench, link: Link) -> None:
    said = Announcement("worker-1", 1000, 10, ("default", "mail"), ("send",))
    bench.lease("w", 1000)
    bench.lease("late", 500)
    bench.lease("silent", 1000)
    for worker in ("w", "late"):
        await announce(bench.store, link, worker, said)
    assert await announcements(bench.store, link, bench.instant + 500) == {"w": said}
