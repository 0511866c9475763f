"""`clear.lua`: what is pending goes, what runs stays."""

import pytest

from shadows.protocol.cycle import Limits
from shadows.protocol.execution import Stand
from shadows.protocol.keys import FIXED
from shadows.protocol.operator import clear
from shadows.protocol.outcomes import Kind, Outcome, completed, failed
from shadows.protocol.schedule import Answer, Item, Mode
from tests.protocol.bench import LEASE_MS, LIMITS, Bench, now
from tests.protocol.held import acquire, set_aside

BOOKS = ("ended", "ended:at", "producers", "windows", "permits", "held", "progress", "controls")
KEPT = ("meta", "queues", "dead", "dead:at", "strikes", "leases", "workers", "wake")


def wipe(bench: Bench, limits: Limits = LIMITS) -> int:
    """All pages; how many were removed."""
    total, more = 0, True
    while more:
        removed, more = now(clear(bench.store, bench.link, limits, stamp=bench.stamp))
        total += removed
    return total


def page(bench: Bench, most: int = 200, limits: Limits = LIMITS) -> tuple[int, bool]:
    _, removed, more = bench.raw("clear", bench.instant, "", *limits.arguments(), most)
    return removed, more == 1


def keys(bench: Bench) -> list[str]:
    """Whose tasks are unfinished."""
    return sorted(bench.ask("HKEYS", "live"))


def is_empty(bench: Bench) -> bool:
    """Nothing is unfinished, and nothing is left of what was."""
    roles = ("live", "parked", "due", "waiting", "controls")
    return bench.ask("XLEN", "ready:default") == 0 and not any(bench.ask("EXISTS", role) for role in roles)


# -- what goes


def test_where_there_is_nothing_nothing_is_removed(bench: Bench) -> None:
    assert page(bench) == (0, False)


def test_what_is_scheduled_goes_and_its_key_is_free(bench: Bench) -> None:
    bench.add("a", "b", at=bench.instant + 10)
    assert page(bench) == (2, False)
    assert is_empty(bench)
    bench.add("a")


def test_what_is_ready_goes_and_its_key_is_free(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("a", "b")
    bench.add("c", queue="mail")
    assert page(bench) == (3, False)
    assert is_empty(bench)
    assert bench.ask("XLEN", "ready:mail") == 0
    assert bench.take() == []
    bench.add("a")
    assert [task.key for task in bench.take()] == ["a"]


def test_what_waits_goes_and_its_key_is_free(bench: Bench) -> None:
    holder = set_aside(bench, "holder", "a", "b")
    assert page(bench) == (2, False)
    assert keys(bench) == ["holder"]
    assert not bench.ask("EXISTS", "waiting", bench.key("parked"))
    bench.cycle(settle=[(holder, completed())])
    assert not bench.ask("EXISTS", "permits", bench.key("held"))


def test_what_runs_stays_and_ends_as_ever(bench: Bench) -> None:
    bench.add("a", "b", "c")
    (task,) = bench.take(most=1)
    bench.cancel("a")
    assert page(bench) == (2, False)
    assert keys(bench) == ["a"]
    assert bench.ask("ZCARD", "controls") == 1
    bench.cycle(settle=[(task, completed())])
    assert bench.find("a").state == "completed"


def test_what_is_ready_with_a_permit_in_hand_gives_it_back(bench: Bench) -> None:
    holder = set_aside(bench, "holder", "a")
    bench.cycle(settle=[(holder, completed())])
    assert bench.ask("HGETALL", "permits") == ["limit", "1/1"]
    assert page(bench) == (1, False)
    assert not bench.ask("EXISTS", "permits", bench.key("held"))


def test_what_waits_goes_before_what_is_ready_so_that_no_permit_makes_it_ready(bench: Bench) -> None:
    holder = set_aside(bench, "holder", "a", "b", "c")
    bench.cycle(settle=[(holder, completed())])
    assert bench.find("a").stand is Stand.QUEUED
    for left in (["a", "c"], ["a"], []):
        assert page(bench, most=1) == (1, True)
        assert keys(bench) == left
    assert page(bench, most=1) == (0, False)


def test_what_a_cleared_task_was_let_pass_is_forgotten(bench: Bench) -> None:
    bench.add("a", "b")
    tasks = bench.take()
    words = [w for task in tasks for w in (task.token, task.key, task.token, 1, "rate", "r", 1, 5000, 0)]
    assert bench.raw("acquire", bench.instant, "w", *LIMITS.arguments(), 2, *words)[1] == "GW"
    assert "~b" in bench.ask("HKEYS", "held")
    assert page(bench) == (1, False)
    assert bench.ask("HKEYS", "held") == [tasks[0].token]


def test_pages_go_through_all_there_is(bench: Bench) -> None:
    bench.enroll("mail")
    set_aside(bench, "holder", *[f"w{n}" for n in range(3)])
    bench.add(*[f"d{n}" for n in range(12)])
    bench.add(*[f"m{n}" for n in range(12)], queue="mail")
    bench.add(*[f"s{n}" for n in range(3)], at=bench.instant + 10)
    sizes: list[int] = []
    more = True
    while more:
        removed, more = page(bench, most=5)
        sizes.append(removed)
    assert sizes == [5, 5, 5, 5, 5, 5, 0]
    assert keys(bench) == ["holder"]


def test_a_call_removes_two_hundred_at_most(bench: Bench) -> None:
    for first in range(0, 250, 50):
        bench.add(*[f"s{first + n}" for n in range(50)], at=bench.instant + 10)
    assert now(clear(bench.store, bench.link, LIMITS, stamp=bench.stamp)) == (200, True)
    assert now(clear(bench.store, bench.link, LIMITS, stamp=bench.stamp)) == (50, False)


# -- what is left of it


@pytest.mark.parametrize("place", ["scheduled", "ready", "waiting"])
def test_while_somebody_works_it_is_on_record_as_cancelled(bench: Bench, place: str) -> None:
    if place == "waiting":
        set_aside(bench, "holder", "a")
    bench.lease("w")
    if place != "waiting":
        bench.add("a", at=bench.instant + 10 if place == "scheduled" else 0)
    assert page(bench) == (1, False)
    found = bench.find("a")
    assert (found.stand, found.state, found.queue, found.blob, found.info, found.instant_ms) == (
        Stand.ENDED, "cancelled", "default", b"1/0/call-a", b"", bench.instant,
    )  # fmt: skip


def test_while_somebody_works_records_and_bookkeeping_stay(bench: Bench) -> None:
    bench.add("a")
    bench.cycle(settle=[(task, completed()) for task in bench.take()])
    bench.ask("HSET", "progress", "x", "y")
    bench.instant += LEASE_MS - 1
    assert wipe(bench) == 0
    assert bench.find("a").state == "completed"
    assert bench.ask("EXISTS", "producers", *map(bench.key, ("windows", "progress"))) == 3
    bench.instant += 1
    assert wipe(bench) == 0
    assert not bench.ask("EXISTS", "ended", *map(bench.key, BOOKS))


def test_while_something_runs_records_and_bookkeeping_stay(bench: Bench) -> None:
    bench.add("a", "b")
    bench.take(most=1)
    bench.instant += LEASE_MS
    assert wipe(bench) == 1
    assert bench.find("b").state == "cancelled"
    bench.reap()
    assert wipe(bench) == 1
    assert not bench.ask("EXISTS", "ended", *map(bench.key, BOOKS))


def test_while_something_runs_of_any_queue_records_stay(bench: Bench) -> None:
    bench.enroll("aaa", "zzz")
    for queue in ("aaa", "default", "zzz"):
        bench.add(queue, "x", queue=queue)
        (task,) = bench.take(most=1, queue=queue)
        bench.instant += LEASE_MS
        assert wipe(bench) == 1
        assert bench.find("x").state == "cancelled"
        bench.cycle(settle=[(task, completed())])


def test_where_nobody_works_all_books_go_with_the_last_page_and_the_rest_stays(bench: Bench) -> None:
    bench.add("f")
    bench.cycle(settle=[(task, failed()) for task in bench.take()])
    bench.instant += LEASE_MS
    for role in ("permits", "held", "progress", "strikes"):
        bench.ask("HSET", role, "x", "y")
    bench.ask("ZADD", "controls", 0, "x\0y")
    bench.ask("HSET", "workers", "w", "{}")
    bench.add("a", "b", at=bench.instant + 10)
    assert page(bench, most=1) == (1, True)
    assert bench.find("f").state == "failed"
    assert bench.find("a").stand is Stand.NONE  # it would not stay there
    assert page(bench, most=1) == (1, True)
    assert bench.find("f").state == "failed"
    assert page(bench, most=1) == (0, False)
    there = {role for role in FIXED if bench.ask("EXISTS", role)}
    assert there == set(KEPT)
    assert len(bench.dead()) == 1


def test_whoever_listens_is_told_even_where_no_record_stays(bench: Bench) -> None:
    bench.add("a")
    bench.ask("HSET", "meta", "listening", bench.instant + 1000)
    bench.wire.one("CONFIG", "RESETSTAT")
    wipe(bench)
    assert "cmdstat_publish:calls=1" in bench.wire.one("INFO", "commandstats", text=True)


def test_records_that_are_too_many_are_swept_as_they_come(bench: Bench) -> None:
    bench.lease("w")
    bench.add(*[f"s{n}" for n in range(30)], at=bench.instant + 10)
    assert wipe(bench, Limits(60_000, 3, 100)) == 30
    assert bench.ask("HLEN", "ended") == 3 == bench.ask("ZCARD", "ended:at")


def test_a_key_that_was_to_stay_taken_is_free(bench: Bench) -> None:
    bench.lease("w")
    bench.schedule(Item("a", "default", 0, b"c", unique_ms=50_000))
    (task,) = bench.take()
    bench.cycle(settle=[(task, Outcome(Kind.COMPLETED, 50_000))])
    assert bench.schedule(Item("a", "default", 0, b"c")) == [Answer.EXISTS]
    for mode, at in ((Mode.REPLACE, bench.instant + 10), (Mode.REPLACE, 0)):
        bench.ask("ZADD", "windows", bench.instant + 50_000, "u/a")
        bench.schedule(Item("a", "default", at, b"c", mode))
        assert wipe(bench) == 1
        bench.add("a")
        bench.cancel("a")


# -- what was broken


def test_an_index_that_another_life_of_the_key_left_behind_is_removed_and_not_counted(bench: Bench) -> None:
    bench.add("a", at=bench.instant + 10)
    bench.add("b", "c")
    bench.take()
    bench.ask("ZADD", "due", 5, "b")
    bench.ask("HSET", "parked", "b", "default/1/0/x")
    bench.ask("HSET", "live", "a", "~wait/1/limit")
    bench.ask("ZADD", "waiting", 0, "limit\0" + "2\0" + "a")
    bench.ask("ZADD", "waiting", 0, "nonsense")
    assert wipe(bench) == 1  # of `a` only its mark was left
    assert not bench.ask("EXISTS", "due", bench.key("waiting"), bench.key("parked"))
    assert keys(bench) == ["b", "c"]


def test_what_is_scheduled_and_lost_its_mark_or_its_call_goes_too(bench: Bench) -> None:
    bench.lease("w")
    bench.add("a", "b", "c", at=bench.instant + 10)
    bench.ask("HDEL", "live", "a")
    bench.ask("HDEL", "parked", "b")
    bench.ask("HSET", "parked", "c", "nonsense")
    assert wipe(bench) == 3
    assert is_empty(bench)
    assert [bench.find(key).state for key in "abc"] == ["cancelled"] * 3
    assert [bench.find(key).queue for key in "abc"] == ["default", "", ""]


def test_entries_that_are_not_ours_or_not_the_keys_own_go_and_count(bench: Bench) -> None:
    bench.add("a")
    bench.wire.one("XADD", bench.key("ready:default"), "*", "k", "a", "c", "1/0/x")
    bench.wire.one("XADD", bench.key("ready:default"), "*", "some", "thing")
    assert wipe(bench) == 3
    assert is_empty(bench)
    bench.add("b")
    bench.ask("HSET", "live", "b", "~due")
    assert wipe(bench) == 2
    assert is_empty(bench)


def test_half_an_entry_goes_with_its_key(bench: Bench) -> None:
    bench.lease("w")
    id_ = bench.wire.one("XADD", bench.key("ready:default"), "*", "k", "a", text=True)
    bench.ask("HSET", "live", "a", f"default/{id_}")
    assert wipe(bench) == 1
    assert is_empty(bench)
    assert bench.find("a").state == "cancelled"


def test_a_broken_queue_keeps_what_it_has_and_holds_nothing_up(bench: Bench) -> None:
    bench.enroll("aaa")
    bench.add("b", queue="aaa")
    bench.add("a")
    bench.add("c", queue="aaa", at=bench.instant + 10)
    bench.ask("RENAME", "ready:aaa", bench.key("meta") + b"-aside")
    bench.ask("SET", "ready:aaa", "x")
    assert wipe(bench) == 2
    assert keys(bench) == ["b"]
    bench.wire.one("RENAME", bench.key("meta") + b"-aside", bench.key("ready:aaa"))
    assert wipe(bench) == 1


def test_where_the_group_or_the_stream_was_lost_all_is_ready_or_nothing(bench: Bench) -> None:
    bench.add("a", "b")
    bench.take(most=1)
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:default"), "g")
    assert wipe(bench) == 2
    assert keys(bench) == []
    bench.ask("DEL", "ready:default")
    assert wipe(bench) == 0


def test_a_large_call_is_no_matter(bench: Bench) -> None:
    for n in range(25):
        bench.schedule(Item(f"k{n}", "default", 0, b"x" * 100_000))
    assert wipe(bench) == 25


def test_a_full_server_does_not_refuse_it(bench: Bench) -> None:
    bench.lease("w")
    bench.add("a", at=bench.instant + 10)
    bench.add("b")
    with bench.full():
        assert wipe(bench) == 2
    assert bench.find("a").state == "cancelled"


def test_an_older_list_of_queues_is_renewed(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("a", queue="mail")
    with bench.knowing("default"):
        assert wipe(bench) == 1


def test_a_permit_taken_meanwhile_stays_taken(bench: Bench) -> None:
    bench.add("a", "b")
    (task,) = bench.take(most=1)
    assert acquire(bench, task) == "G"
    assert wipe(bench) == 1
    assert bench.ask("HGETALL", "permits") == ["limit", "1/1"]
