"""`reap.lua`: what a dead worker holds is taken back, in bounded batches."""

from itertools import batched

import pytest

from shadows.protocol.acquire import Admission, Claim, Need
from shadows.protocol.cycle import Limits, Verdict
from shadows.protocol.execution import Cancelled, Stand
from shadows.protocol.lease import Reaped
from shadows.protocol.outcomes import completed, release, retry
from shadows.protocol.schedule import Answer, Item
from tests.protocol.bench import LEASE_MS, LIMITS, Bench

GONE = Reaped(alive=False, moved=0, left=False)


def expire(bench: Bench) -> None:
    bench.instant += LEASE_MS


def consumers(bench: Bench, queue: str = "default") -> list[str]:
    return [
        found[1]
        for found in bench.wire.one("XINFO", "CONSUMERS", bench.key(f"ready:{queue}"), "g", text=True)
    ]


def test_the_living_are_left_alone(bench: Bench) -> None:
    bench.add("a")
    bench.take()
    bench.instant += LEASE_MS - 1
    assert bench.reap() == Reaped(alive=True)
    assert bench.ask("ZSCORE", "leases", "w") == str(bench.instant + 1)


def test_what_a_dead_worker_held_is_ready_again_and_charged(bench: Bench) -> None:
    bench.add("a")
    (old,) = bench.take()
    bench.ask("HSET", "workers", "w", "{}")
    expire(bench)
    assert bench.reap() == Reaped(alive=False, moved=1, left=False)
    (again,) = bench.take("v")
    assert (again.key, again.blob) == ("a", b"1/1/call-a")
    assert bench.cycle(settle=[(old, completed())]).verdicts == [Verdict.STALE]
    assert bench.cycle("v", settle=[(again, completed())]).verdicts == [Verdict.RECORDED]


def test_nothing_is_left_of_a_dead_worker(bench: Bench) -> None:
    bench.add("a")
    bench.take()
    bench.ask("HSET", "workers", "w", "{}")
    bench.ask("XADD", "wake", "*", "k", "")
    bench.wire.one("XREADGROUP", "GROUP", "g", "w", "STREAMS", bench.key("wake"), ">")
    bench.ask("ZADD", "controls", 0, "w\0default/1-1", 0, "w1\0default/1-1")
    expire(bench)
    bench.reap()
    assert consumers(bench) == []
    assert bench.wire.one("XINFO", "CONSUMERS", bench.key("wake"), "g") == []
    assert not bench.ask("EXISTS", "workers", bench.key("leases"))
    assert bench.ask("ZRANGE", "controls", 0, -1) == ["w1\0default/1-1"]
    assert bench.reap() == GONE


def test_a_bounded_batch_is_taken_back_and_the_lease_goes_with_the_last(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("a", "b", "c")
    bench.add("d", queue="mail")
    bench.take()
    bench.take(queue="mail")
    bench.ask("HSET", "workers", "w", "{}")
    expire(bench)
    limits = LIMITS.arguments()
    assert bench.raw("reap", bench.instant, "w", *limits, 3, 2) == ["OK", 2, 1]
    assert bench.ask("ZSCORE", "leases", "w") == "-1"
    assert bench.raw("beat", bench.instant, "w", LEASE_MS, 0)[0] == "LOST"
    assert bench.ask("HLEN", "workers") == 1
    assert bench.raw("reap", bench.instant, "w", *limits, 3, 1) == ["OK", 1, 1]
    assert consumers(bench) == []
    assert consumers(bench, "mail") == ["w"]
    assert bench.raw("reap", bench.instant, "w", *limits, 3, 1) == ["OK", 1, 0]
    assert not bench.ask("EXISTS", "leases")
    assert [found.blob for found in bench.take("v")] == [b"1/1/call-a", b"1/1/call-b", b"1/1/call-c"]


def test_nothing_is_charged_where_there_was_no_lease(bench: Bench) -> None:
    bench.add("a")
    bench.take()
    bench.ask("ZREM", "leases", "w")
    assert bench.reap(max_deliveries=1) == Reaped(alive=False, moved=1, left=False)
    assert [found.blob for found in bench.take("v")] == [b"1/0/call-a"]


def died_of(bench: Bench, *keys: str, worker: str = "w") -> None:
    """Let a worker die with these alone, and nothing else."""
    bench.add(*keys)
    assert [found.key for found in bench.take(worker)] == [*keys]
    expire(bench)
    bench.reap(worker)


def test_where_suspects_were_held_only_they_are_charged(bench: Bench) -> None:
    died_of(bench, "a", "b")
    bench.add("c", "d")
    bench.take("v")
    expire(bench)
    assert bench.reap("v").moved == 4
    blobs = [b"1/2/call-a", b"1/2/call-b", b"1/0/call-c", b"1/0/call-d"]
    assert [found.blob for found in bench.take("u")] == blobs


def test_a_suspect_is_seen_in_any_batch_and_in_any_queue(bench: Bench) -> None:
    bench.enroll("aaa", "mail")
    bench.add("late", queue="mail")
    bench.take(queue="mail")
    expire(bench)
    bench.reap()
    bench.add("a", "b")
    bench.add("c", queue="mail")
    bench.take("v")
    bench.take("v", queue="mail")
    bench.ask("DEL", "ready:aaa")
    bench.ask("SET", "ready:aaa", "x")
    expire(bench)
    limits = LIMITS.arguments()
    assert bench.raw("reap", bench.instant, "v", *limits, 3, 1) == ["OK", 1, 1]
    assert bench.ask("ZSCORE", "leases", "v") == "-2"
    assert bench.raw("reap", bench.instant, "v", *limits, 3, 2) == ["OK", 2, 1]
    assert bench.raw("reap", bench.instant, "v", *limits, 3, 2) == ["OK", 1, 0]
    assert [found.blob for found in bench.take("u")] == [b"1/0/call-a", b"1/0/call-b"]
    assert [found.blob for found in bench.take("u", queue="mail")] == [b"1/2/call-late", b"1/0/call-c"]


def test_suspects_are_still_known_when_an_earlier_batch_took_them_back(bench: Bench) -> None:
    died_of(bench, "a")
    bench.add("b")
    bench.take("v")
    expire(bench)
    for left in (1, 0):
        assert bench.raw("reap", bench.instant, "v", *LIMITS.arguments(), 3, 1) == ["OK", 1, left]
    assert [found.blob for found in bench.take("u")] == [b"1/2/call-a", b"1/0/call-b"]


def test_who_resigned_and_held_suspects_has_only_them_charged(bench: Bench) -> None:
    died_of(bench, "a")
    bench.add("b")
    bench.take("v")
    bench.raw("resign", bench.instant, "v")
    assert bench.reap("v").moved == 2
    assert [found.blob for found in bench.take("u")] == [b"1/2/call-a", b"1/0/call-b"]


@pytest.mark.parametrize(("others", "mark"), [(999, "-2"), (1000, "-1")])
def test_the_look_for_suspects_is_bounded(bench: Bench, others: int, mark: str) -> None:
    """Where the only suspect is behind a thousand others, all are charged."""
    bench.enroll("aaa", "zzz")
    bench.add("z", queue="zzz")
    bench.take(queue="zzz")
    expire(bench)
    bench.reap()
    keys = [f"k{number}" for number in range(others)]
    for several in batched(keys, 200):
        bench.add(*several, queue="aaa")
        bench.take("v", most=200, queue="aaa")
    bench.take("v", queue="zzz")
    expire(bench)
    assert bench.raw("reap", bench.instant, "v", *LIMITS.arguments(), 9, 1) == ["OK", 1, 1]
    assert bench.ask("ZSCORE", "leases", "v") == mark


def test_a_suspect_is_not_charged_either_where_there_was_no_lease(bench: Bench) -> None:
    died_of(bench, "a")
    bench.take("v")
    bench.ask("ZREM", "leases", "v")
    assert bench.reap("v").moved == 1
    assert [found.blob for found in bench.take("u")] == [b"1/1/call-a"]


def test_a_task_whose_workers_died_too_often_becomes_a_dead_letter(bench: Bench) -> None:
    bench.add("a")
    bench.take()
    expire(bench)
    bench.reap(max_deliveries=2)
    (taken,) = bench.take()
    expire(bench)
    bench.reap(max_deliveries=2)
    assert bench.dead() == {taken.token: "deliveries/default/1/0/a1/2/call-a"}
    found = bench.find("a")
    assert (found.stand, found.state, found.blob) == (Stand.ENDED, "failed", b"1/2/call-a")
    bench.add("a")


def test_deliveries_are_forgotten_by_any_recorded_outcome(bench: Bench) -> None:
    bench.add("a")
    (taken,) = bench.take()
    expire(bench)
    bench.reap()
    (taken,) = bench.take()
    bench.cycle(settle=[(taken, retry())])
    assert [found.blob for found in bench.take()] == [b"2/0/call-a"]


def test_deliveries_are_kept_by_what_is_handed_back(bench: Bench) -> None:
    bench.add("a")
    bench.take()
    expire(bench)
    bench.reap()
    (taken,) = bench.take()
    bench.cycle(settle=[(taken, release())])
    assert [found.blob for found in bench.take()] == [b"1/1/call-a"]


def test_what_was_to_be_cancelled_is_not_run_again(bench: Bench) -> None:
    bench.add("a", "b")
    bench.take()
    assert bench.cancel("a") is Cancelled.TOLD
    expire(bench)
    assert bench.reap(max_deliveries=1).moved == 2
    assert bench.find("a").state == "cancelled"
    assert bench.find("a").blob == b"1/1/call-a"
    assert [record.split("/")[0] for record in bench.dead().values()] == ["deliveries"]
    assert not bench.ask("EXISTS", "controls", bench.key("live"))


def test_what_nobody_can_run_becomes_a_dead_letter(bench: Bench) -> None:
    bench.add("a")
    token = bench.ask("HGET", "live", "a").partition("/")[2]
    bench.wire.one("XDEL", bench.key("ready:default"), token)
    odd = bench.ask("XADD", "ready:default", "*", "k", "a", "c", "not a blob")
    bench.ask("HSET", "live", "a", f"default/{odd}")
    foreign = bench.ask("XADD", "ready:default", "*", "some", "thing")
    other = bench.ask("XADD", "ready:default", "*", "k", "b", "x", "1/0/y")
    more = bench.ask("XADD", "ready:default", "*", "k", "b", "c", "1/0/y", "d", "")
    less = bench.ask("XADD", "ready:default", "*", "k", "b", "c", "x/0/y")
    odder = bench.ask("XADD", "ready:default", "*", "x", "b", "c", "1/0/y")
    bench.take()
    expire(bench)
    assert bench.reap() == Reaped(alive=False, moved=6, left=False)
    assert bench.dead() == {
        f"default/{odd}": "undecodable/default/1/0/anot a blob",
        f"default/{foreign}": "undecodable/default/0/0/some thing",
        f"default/{other}": "undecodable/default/0/0/k b x 1/0/y",
        f"default/{more}": "undecodable/default/0/0/k b c 1/0/y d ",
        f"default/{less}": "undecodable/default/1/0/bx/0/y",
        f"default/{odder}": "undecodable/default/0/0/x b c 1/0/y",
    }
    assert bench.find("a").state == "failed"
    assert bench.find("a").blob == b"not a blob"
    assert not bench.ask("EXISTS", "live")


def test_an_entry_that_was_deleted_by_hand_becomes_a_dead_letter(bench: Bench) -> None:
    bench.add("a")
    (taken,) = bench.take()
    bench.wire.one("XTRIM", bench.key("ready:default"), "MAXLEN", 0)
    expire(bench)
    assert bench.reap() == Reaped(alive=False, moved=1, left=False)
    assert bench.dead() == {taken.token: "lost/default/0/0/"}
    assert bench.cancel("a") is Cancelled.ENDED


def test_another_life_of_the_key_is_left_alone(bench: Bench) -> None:
    bench.add("a", "b")
    (old, _) = bench.take()
    bench.ask("HDEL", "live", "a", "b")
    bench.add("a")
    expire(bench)
    bench.reap()
    assert [(found.key, found.blob) for found in bench.take("v")] == [
        ("a", b"1/0/call-a"),
        ("b", b"1/1/call-b"),
    ]
    assert bench.cycle(settle=[(old, completed())]).verdicts == [Verdict.STALE]


def test_a_broken_queue_neither_keeps_the_lease_nor_hurts_another(bench: Bench) -> None:
    bench.enroll("aaa", "mail")
    bench.add("a", queue="mail")
    bench.take(queue="mail")
    bench.ask("DEL", "ready:aaa")
    bench.ask("SET", "ready:aaa", "x")
    expire(bench)
    assert bench.reap() == Reaped(alive=False, moved=1, left=False)
    assert bench.ask("ZSCORE", "leases", "w") is None
    assert consumers(bench, "mail") == []


def test_a_lost_group_or_stream_is_no_error(bench: Bench) -> None:
    bench.enroll("mail", "more")
    bench.add("a", "b")
    bench.take()
    bench.add("c", queue="more")
    bench.take(queue="more")
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:more"), "g")
    bench.ask("DEL", "ready:mail")
    expire(bench)
    assert bench.raw("reap", bench.instant, "w", *LIMITS.arguments(), 3, 1) == ["OK", 1, 1]
    assert bench.raw("reap", bench.instant, "w", *LIMITS.arguments(), 3, 9) == ["OK", 1, 0]


def test_records_and_dead_letters_are_bounded(bench: Bench) -> None:
    bench.add(*[f"k{number:02}" for number in range(40)])
    bench.take(most=40)
    bench.cancel("k00")
    expire(bench)
    bench.reap(max_deliveries=1, limits=Limits(100, 3, 5))
    assert bench.ask("ZCARD", "ended:at") == bench.ask("HLEN", "ended") == 3
    assert bench.ask("ZCARD", "dead:at") == bench.ask("HLEN", "dead") == 5


def test_a_full_server_still_takes_back(bench: Bench) -> None:
    bench.add("a")
    bench.take()
    expire(bench)
    with bench.full():
        assert bench.reap() == Reaped(alive=False, moved=1, left=False)


PERMIT = Claim(Need.PERMIT, "one", 1)


def test_the_permit_of_a_dead_worker_is_handed_to_the_next_in_line(bench: Bench) -> None:
    bench.add("a", "b")
    for task in bench.take():
        bench.acquire(task, PERMIT)
    bench.add("c")
    (other,) = bench.take("dying")
    bench.acquire(other, PERMIT, worker="dying")
    expire(bench)
    assert bench.reap().moved == 1
    tasks = bench.take("v")
    assert [(found.key, found.blob) for found in tasks] == [("b", b"1/0/call-b"), ("a", b"1/1/call-a")]
    assert bench.hash("permits") == {"one": "1/1"}
    assert [bench.acquire(found, PERMIT, worker="v") for found in tasks] == [
        Admission.GRANTED,
        Admission.ASIDE,
    ]
    assert bench.reap("dying").moved == 0, "what it had set aside is not its own"
    assert bench.ask("ZCARD", "waiting") == 2


def test_a_permit_that_was_handed_to_a_dead_worker_is_handed_on(bench: Bench) -> None:
    bench.add("a", "b", "c")
    (first, *_) = tasks = bench.take()
    for task in tasks:
        bench.acquire(task, PERMIT)
    bench.cycle(settle=[(first, completed())])
    bench.take("dying")
    expire(bench)
    bench.reap("dying")
    assert [found.key for found in bench.take("v")] == ["c", "b"]
    assert len(bench.hash("held")) == 1


def test_a_task_that_is_taken_back_keeps_the_windows_that_it_has_passed(bench: Bench) -> None:
    claim = Claim(Need.RATE, "slow", 1, 100)
    bench.add("a", "b", "c")
    for task in bench.take():
        bench.acquire(task, claim)
    bench.instant += 100
    assert [task.key for task in bench.take("dying")] == ["b"]
    expire(bench)
    bench.reap("dying")
    tasks = {task.key: task for task in bench.take("v")}
    assert bench.acquire(tasks["b"], claim, worker="v") is Admission.GRANTED
    assert bench.scores("windows")["r/slow/1/0"] == bench.instant + 100
    assert bench.hash("permits") == {"\1slow/1": "3"}, "it had its place"


@pytest.mark.parametrize("cancelled", [True, False])
def test_nothing_that_it_has_passed_is_left_of_a_task_that_ends(bench: Bench, cancelled: bool) -> None:
    claim = Claim(Need.RATE, "slow", 1, 100)
    bench.add("a", "b")
    for task in bench.take():
        bench.acquire(task, claim)
    bench.instant += 100
    bench.take("dying")
    assert "~b" in bench.hash("held")
    if cancelled:
        bench.cancel("b")
    expire(bench)
    bench.reap("dying", max_deliveries=1)
    assert bench.find("b").state == ("cancelled" if cancelled else "failed")
    assert "~b" not in bench.hash("held")


def test_nothing_that_it_has_passed_is_left_of_what_nobody_can_run(bench: Bench) -> None:
    bench.add("a")
    (task,) = bench.take()
    bench.acquire(task, PERMIT)
    odd = bench.ask("XADD", "ready:default", "*", "k", "b", "c", "odd")
    bench.ask("HSET", "live", "b", f"default/{odd}")
    bench.ask("HSET", "held", "~b", "\0d/x")
    bench.take()
    expire(bench)
    bench.reap()
    assert not bench.ask("EXISTS", "held")


def test_how_far_it_had_come_is_forgotten(bench: Bench) -> None:
    bench.add("a", "b")
    (first, _) = bench.take()
    bench.progress((first.token, "a", "1/2"))
    bench.add("c")
    (other,) = bench.take("v")
    bench.ask("HSET", "progress", "c", "1/3", "b", "9/9")
    assert other.key == "c"
    bench.ask("HSET", "live", "b", other.token)
    expire(bench)
    bench.reap()
    assert bench.hash("progress") == {"c": "1/3", "b": "9/9"}, "another life of the key has its own"


def test_the_key_of_what_died_too_often_stays_taken_for_its_time(bench: Bench) -> None:
    bench.schedule(*[Item(key, "default", 0, b"x", unique_ms=50) for key in "ab"])
    bench.take()
    bench.cancel("b")
    expire(bench)
    bench.reap(max_deliveries=1)
    items = [Item(key, "default", 0, b"x") for key in "ab"]
    assert bench.schedule(*items) == [Answer.EXISTS, Answer.ACCEPTED], "what was cancelled is free at once"
    bench.instant += 50
    assert bench.schedule(items[0]) == [Answer.ACCEPTED]


def test_whoever_listens_is_told_what_became_of_them(bench: Bench) -> None:
    bench.add(*"abc")
    tasks = bench.take()
    bench.cancel("b")
    bench.wire.one("XDEL", bench.key("ready:default"), tasks[2].token.partition("/")[2])
    odd = bench.ask("XADD", "ready:default", "*", "k", "d", "c", "odd")
    bench.ask("HSET", "live", "d", f"default/{odd}")
    bench.take()
    expire(bench)
    with bench.listening() as heard:
        bench.reap()
        assert heard() == ["w\nqueued a\ncancelled b\nfailed d"]
