"""`depth.lua`: how much there is to do, without touching it."""

from shadows.protocol.depth import Depth, QueueDepth, depth
from shadows.protocol.outcomes import completed
from tests.protocol.bench import Bench, now


def seen(bench: Bench) -> Depth:
    return now(depth(bench.store, bench.link, stamp=str(bench.instant).encode()))


def test_an_empty_shadow_has_nothing_to_do(bench: Bench) -> None:
    assert seen(bench) == Depth(0, 0, 0, 0, {"default": QueueDepth(0, 0, 0)})


def test_ready_running_due_and_scheduled_are_told_apart(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("a", "b", "c")
    bench.add("m", queue="mail")
    bench.add("later", at=bench.instant + 5000)
    bench.add("soon", at=bench.instant + 10)
    (taken,) = bench.take("w", most=1)
    bench.instant += 40
    found = seen(bench)
    assert (found.ready, found.running, found.due, found.scheduled) == (3, 1, 1, 1)
    assert (found.queues["default"].ready, found.queues["mail"].ready) == (2, 1)
    assert found.overdue_ms == 30
    bench.cycle(settle=[(taken, completed())])
    found = seen(bench)
    assert (found.ready, found.running, found.due, found.scheduled, found.overdue_ms) == (4, 0, 0, 1, 0)


def test_what_is_due_at_this_very_instant_is_due(bench: Bench) -> None:
    bench.add("soon", at=bench.instant + 10)
    bench.instant += 10
    found = seen(bench)
    assert (found.due, found.scheduled, found.overdue_ms) == (1, 0, 0)


def test_latency_is_the_age_of_the_oldest_task_that_nobody_has(bench: Bench) -> None:
    bench.enroll("mail")
    time = bench.wire.one("TIME")
    present = int(time[0]) * 1000 + int(time[1]) // 1000
    stream = bench.key("ready:default")
    for age, key in ((60_000, "a"), (50_000, "b")):
        bench.wire.one("XADD", stream, f"{present - age}-7", "k", key, "c", "1/0/call")
    assert 60_000 <= seen(bench).queues["default"].latency_ms < 70_000
    bench.wire.one("XREADGROUP", "GROUP", "g", "w", "COUNT", 1, "STREAMS", stream, ">")
    found = seen(bench)
    assert 50_000 <= found.queues["default"].latency_ms < 60_000
    assert found.latency_ms == found.queues["default"].latency_ms
    assert found.queues["mail"].latency_ms == 0


def test_what_is_overdue_counts_as_latency(bench: Bench) -> None:
    bench.add("soon", at=bench.instant + 10)
    bench.instant += 90_010
    assert seen(bench).latency_ms == 90_000


def test_strikes_are_counted(bench: Bench) -> None:
    bench.ask("HSET", "strikes", "x", "y")
    assert seen(bench).strikes == 1


def test_a_lost_group_or_a_broken_queue_is_no_error(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("a")
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:default"), "g")
    bench.wire.one("XGROUP", "CREATE", bench.key("ready:default"), "another", "$")
    bench.ask("DEL", "ready:mail")
    bench.ask("SET", "ready:mail", "x")
    found = seen(bench)
    assert found.queues["default"].ready == 1
    assert found.queues["mail"] == QueueDepth(0, 0, 0)


def test_it_writes_nothing(bench: Bench) -> None:
    bench.add("a")
    before = bench.wire.one("INFO", "persistence").decode()
    seen(bench)
    after = bench.wire.one("INFO", "persistence").decode()
    changes = "rdb_changes_since_last_save"
    assert [line for line in before.split() if changes in line] == [
        line for line in after.split() if changes in line
    ]
