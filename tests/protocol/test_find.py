"""`find.lua`: where an execution stands, in one look."""

from dataclasses import replace

from shadows.protocol.acquire import Claim, Need
from shadows.protocol.execution import Found, Stand
from shadows.protocol.outcomes import completed
from tests.protocol.bench import Bench


def seen(bench: Bench, key: str) -> Found:
    """What is found, but for the token: the server chose that, and it is the one in `live`."""
    found = bench.find(key)
    assert found.token in ("", bench.ask("HGET", "live", key))
    assert bool(found.token) == (found.stand in (Stand.QUEUED, Stand.RUNNING))
    return replace(found, token="")


def test_how_far_a_running_task_has_come_is_told(bench: Bench) -> None:
    bench.add("a")
    bench.take("w")
    bench.ask("HSET", "progress", "a", "1/3/")
    assert seen(bench, "a") == Found(
        Stand.RUNNING, "default", blob=b"1/0/call-a", worker="w", progress="1/3/"
    )


def test_each_stand_is_told_with_what_belongs_to_it(bench: Bench) -> None:
    bench.enroll("mail")
    assert seen(bench, "a") == Found(Stand.NONE)
    bench.add("a", queue="mail", at=bench.instant + 10)
    assert seen(bench, "a") == Found(Stand.SCHEDULED, "mail", bench.instant + 10, b"1/0/call-a")
    bench.instant += 10
    bench.cycle()
    assert seen(bench, "a") == Found(Stand.QUEUED, "mail", blob=b"1/0/call-a")
    (taken,) = bench.take("w", queue="mail")
    assert seen(bench, "a") == Found(Stand.RUNNING, "mail", blob=b"1/0/call-a", worker="w")
    bench.cycle(settle=[(taken, completed(b"it/went/well"))])
    assert seen(bench, "a") == Found(
        Stand.ENDED, "mail", bench.instant, b"", "", "completed", b"it/went/well"
    )


def test_who_waits_for_a_permit_is_said_to_wait(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("a")
    bench.add("b", queue="mail")
    for queue in ("default", "mail"):
        (task,) = bench.take(queue=queue)
        bench.acquire(task, Claim(Need.PERMIT, "one", 1))
    assert seen(bench, "b") == Found(Stand.WAITING, "mail", blob=b"1/0/call-b")
    bench.ask("HDEL", "parked", "b")
    assert seen(bench, "b") == Found(Stand.WAITING)
    assert bench.raw("find", "", "b") == ["WAITING", "", ""]


def test_what_was_lost_is_told_as_far_as_it_is_known(bench: Bench) -> None:
    bench.add("a", at=bench.instant + 10)
    bench.ask("HDEL", "parked", "a")
    assert seen(bench, "a") == Found(Stand.SCHEDULED, "", bench.instant + 10, b"")
    bench.ask("ZREM", "due", "a")
    assert seen(bench, "a") == Found(Stand.SCHEDULED, "", 0, b"", lost=True)
    bench.add("b", "c")
    bench.take(most=1)
    bench.wire.one("XTRIM", bench.key("ready:default"), "MAXLEN", 0)
    assert seen(bench, "b") == Found(Stand.RUNNING, "default", blob=b"", worker="w")
    assert seen(bench, "c") == Found(Stand.QUEUED, "default", blob=b"", lost=True)


def test_a_broken_queue_or_a_lost_group_is_no_error(bench: Bench) -> None:
    bench.add("a")
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:default"), "g")
    assert seen(bench, "a") == Found(Stand.QUEUED, "default", blob=b"1/0/call-a")
    bench.ask("DEL", "ready:default")
    bench.ask("SET", "ready:default", "x")
    assert seen(bench, "a") == Found(Stand.QUEUED, "default", blob=b"")
