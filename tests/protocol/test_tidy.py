"""`tidy.lua`: windows that are over are forgotten, permits that are free are handed out."""

import pytest

from shadows.protocol.acquire import Admission, Claim, Need
from shadows.protocol.cycle import Taken
from shadows.protocol.execution import Stand
from shadows.protocol.outcomes import completed, failed
from tests.protocol.bench import LEASE_MS, Bench


def test_a_producer_is_forgotten_when_it_has_been_silent_for_its_time(bench: Bench) -> None:
    bench.raw("schedule", bench.instant, "old", 1, 100, 0)
    bench.raw("schedule", bench.instant, "kept", 1, 101, 0)
    bench.raw("schedule", bench.instant, "renewed", 1, 100, 0)
    bench.instant += 50
    bench.raw("schedule", bench.instant, "renewed", 2, 100, 0)
    bench.instant += 50
    assert bench.tidy() == b""
    assert sorted(bench.hash("producers")) == ["kept", "renewed"]
    assert sorted(bench.scores("windows")) == ["p/kept", "p/renewed"]


def test_windows_are_forgotten_two_hundred_at_a_time(bench: Bench) -> None:
    for number in range(210):
        bench.ask("ZADD", "windows", bench.instant - number, f"u/k{number}")
    bench.tidy()
    assert sorted(bench.scores("windows")) == [f"u/k{number}" for number in range(10)]
    bench.tidy()
    assert not bench.ask("EXISTS", "windows")


def claim(need: Need, name: str = "x", amount: int = 1, window: int = 100) -> Claim:
    return Claim(need, name, amount, window)


@pytest.mark.parametrize("need", [Need.COOLDOWN, Need.RATE])
def test_nothing_is_left_of_a_window_that_is_over(bench: Bench, need: Need) -> None:
    bench.add("a")
    (task,) = bench.take()
    bench.acquire(task, claim(need))
    bench.cycle(settle=[(task, completed())])
    before = bench.hash("permits")
    bench.instant += 99
    bench.tidy()
    assert bench.hash("permits") == before
    bench.instant += 1
    bench.tidy()
    assert not bench.ask("EXISTS", "permits")
    assert list(bench.scores("windows")) == ["p/producer"]


def test_a_debounce_is_forgotten_a_day_after_its_window(bench: Bench) -> None:
    bench.add("a")
    (task,) = bench.take()
    bench.acquire(task, claim(Need.DEBOUNCE))
    bench.cancel("a")
    bench.instant += 86_400_000 + 99
    bench.tidy()
    assert list(bench.hash("permits")) == ["\3x"]
    bench.instant += 1
    bench.tidy()
    assert not bench.ask("EXISTS", "permits", bench.key("windows"))


def test_a_debounce_is_not_forgotten_while_somebody_waits_for_it(bench: Bench) -> None:
    bench.add("a", "b")
    first, second = bench.take()
    bench.acquire(first, claim(Need.DEBOUNCE))
    bench.acquire(second, claim(Need.RATE, "y"))
    for _ in range(3):
        bench.instant += 10**8
        bench.tidy()
        assert "\3x" in bench.hash("permits")
    assert bench.scores("windows") == {"d/x": bench.instant + 86_400_000}
    bench.ask("HSET", "held", "~a", "\0d/xx")
    bench.instant += 10**8
    bench.tidy()
    assert not bench.ask("EXISTS", "windows", bench.key("permits"))


def test_the_turns_of_a_rate_are_forgotten_with_its_newest_window(bench: Bench) -> None:
    bench.add(*"abc")
    for task in bench.take():
        bench.acquire(task, claim(Need.RATE, amount=2))
        bench.instant += 10
    assert bench.hash("permits") == {"\1x/2": "3"}
    bench.instant = 1_000_000 + 110
    bench.tidy()
    assert bench.hash("permits") == {"\1x/2": "3"}
    assert sorted(bench.scores("windows")) == ["p/producer", "q/x/2/0"], "the third has a place still"
    bench.instant = 1_000_000 + 199
    bench.tidy()
    assert bench.hash("permits") == {"\1x/2": "3"}
    bench.instant += 1
    bench.tidy()
    assert not bench.ask("EXISTS", "permits")


def test_a_late_start_keeps_the_turns_until_its_own_window_is_over(bench: Bench) -> None:
    bench.add("a", "b")
    for task in bench.take():
        bench.acquire(task, claim(Need.RATE))
    bench.instant += 150
    (task,) = bench.take()
    assert bench.acquire(task, claim(Need.RATE)) is Admission.GRANTED
    bench.instant += 60
    bench.tidy()
    assert bench.hash("permits") == {"\1x/1": "2"}
    bench.instant += 40
    bench.tidy()
    assert not bench.ask("EXISTS", "permits")


@pytest.mark.parametrize("window", ["", "d/", "d/x", "r/", "r/x", "r/x/y", "r/x/0", "q/x/0/0", "z/what"])
def test_a_window_that_somebody_else_wrote_is_removed_and_hurts_nobody(bench: Bench, window: str) -> None:
    bench.ask("ZADD", "windows", 1, window)
    bench.ask("HSET", "permits", "\1x/0", "odd")
    bench.tidy()
    assert not bench.ask("EXISTS", "windows")


def waiting(bench: Bench, keys: str, name: str = "one") -> Taken:
    """The first runs with the only permit, the others wait for it."""
    bench.add(*keys)
    first, *_ = tasks = bench.take()
    for task in tasks:
        bench.acquire(task, Claim(Need.PERMIT, name, 1))
    return first


def test_nothing_is_handed_out_while_the_permit_is_held(bench: Bench) -> None:
    waiting(bench, "ab")
    bench.tidy()
    assert bench.find("b").stand is Stand.WAITING
    assert bench.hash("permits") == {"one": "1/1"}


def test_a_permit_whose_holder_was_removed_by_hand_is_handed_out(bench: Bench) -> None:
    first = waiting(bench, "abc")
    bench.ask("HDEL", "held", first.token)
    with bench.listening() as heard:
        bench.tidy()
        assert heard() == ["w\nqueued b"]
    assert [task.key for task in bench.take()] == ["b"]
    assert bench.hash("permits") == {"one": "1/1"}
    assert bench.find("c").stand is Stand.WAITING


def test_a_count_that_was_removed_by_hand_is_counted_again(bench: Bench) -> None:
    waiting(bench, "abc")
    bench.ask("HDEL", "permits", "one")
    bench.tidy()
    assert bench.take() == []
    assert bench.hash("permits") == {"one": "1/1"}


def test_all_who_hold_are_counted_also_on_a_full_server(bench: Bench) -> None:
    bench.add(*"abcd")
    for task in bench.take():
        bench.acquire(task, Claim(Need.PERMIT, "one", 3))
    bench.ask("HSET", "permits", "one", "1/3")
    with bench.full():
        bench.tidy()
    assert bench.hash("permits") == {"one": "3/3"}
    assert bench.find("d").stand is Stand.WAITING


def test_all_that_is_free_is_handed_out_limit_after_limit(bench: Bench) -> None:
    for name in ("a", "ab", "b"):
        keys = [f"{name}{number}" for number in range(5)]
        bench.add(*keys)
        for task in bench.take():
            bench.acquire(task, Claim(Need.PERMIT, name, 1))
    bench.instant += LEASE_MS
    bench.ask("DEL", "held")
    bench.ask("HSET", "permits", "ab", "1/3", "b", "odd")
    bench.tidy()
    assert sorted(task.key for task in bench.take("v")) == ["a1", "ab1", "ab2", "ab3", "b1"]
    assert bench.hash("permits") == {"a": "1/1", "ab": "3/3", "b": "1/1"}


def test_a_hundred_limits_are_looked_at_in_one_call_and_then_it_goes_on(bench: Bench) -> None:
    names = [f"n{number:03}" for number in range(101)]
    bench.add(*names)
    for task in bench.take(most=200):
        bench.ask("HSET", "permits", task.key, "1/1")
        bench.acquire(task, Claim(Need.PERMIT, task.key, 1))
    assert bench.ask("ZCARD", "waiting") == 101
    behind = bench.tidy()
    assert (behind, bench.ask("ZCARD", "waiting")) == (b"n099", 1)
    assert bench.tidy(behind) == b""
    assert not bench.ask("EXISTS", "waiting")


def test_those_who_hold_are_not_counted_where_they_are_very_many(bench: Bench) -> None:
    first = waiting(bench, "ab")
    bench.ask("HDEL", "held", first.token)
    for number in range(2001):
        bench.ask("HSET", "held", f"default/1-{number}", "\0p/other")
    bench.tidy()
    assert bench.find("b").stand is Stand.WAITING
    bench.ask("HDEL", "held", "default/1-0")
    bench.tidy()
    assert bench.find("b").stand is Stand.QUEUED


@pytest.mark.parametrize("member", ["odd", "one\0odd", "\0", "one\0.\0nobody"])
def test_what_somebody_else_wrote_into_the_line_hurts_nobody(bench: Bench, member: str) -> None:
    first = waiting(bench, "ab")
    bench.ask("ZADD", "waiting", 0, member)
    bench.tidy()
    bench.cycle(settle=[(first, completed())])
    assert [task.key for task in bench.take()] == ["b"]
    assert (list(bench.hash("live")), bench.dead()) == (["b"], {})


def test_who_lost_its_place_is_handed_the_permit_all_the_same(bench: Bench) -> None:
    first = waiting(bench, "ab")
    bench.ask("HDEL", "live", "b")
    bench.cycle(settle=[(first, completed())])
    (task,) = bench.take()
    assert (task.key, bench.hash("live")) == ("b", {"b": task.token})
    assert not bench.ask("EXISTS", "parked")


def test_another_life_of_a_key_takes_no_permit_for_the_one_that_waited(bench: Bench) -> None:
    first, second = waiting(bench, "abc"), waiting(bench, "de", "two")
    bench.ask("HDEL", "live", "b", "e")
    bench.add("b")
    bench.add("e", at=bench.instant + 5)
    bench.cycle(settle=[(first, completed()), (second, completed())])
    assert bench.find("c").stand is Stand.QUEUED
    assert bench.hash("permits") == {"one": "1/1"}
    assert bench.hash("parked") == {"e": "default/1/0/call-e"}


def test_who_waited_and_lost_its_call_becomes_a_dead_letter_and_the_next_has_the_permit(bench: Bench) -> None:
    first = waiting(bench, "abcd")
    bench.ask("HDEL", "parked", "b")
    bench.ask("HSET", "parked", "c", "odd")
    bench.cycle(settle=[(first, completed())])
    assert [task.key for task in bench.take()] == ["d"]
    assert sorted(bench.dead().values()) == ["lost//1/0/b", "lost//1/0/codd"]
    assert bench.hash("live").keys() == {"d"}


def test_who_waited_and_whose_queue_is_broken_comes_back_when_it_is_mended(bench: Bench) -> None:
    bench.enroll("broken")
    bench.add("a")
    bench.add("b", queue="broken")
    (first,), (second,) = bench.take(), bench.take(queue="broken")
    for task in (first, second):
        bench.acquire(task, Claim(Need.PERMIT, "one", 1))
    bench.wire.one("RENAME", bench.key("ready:broken"), bench.key("strikes"))
    bench.ask("SET", "ready:broken", "x")
    bench.cycle(settle=[(first, completed())])
    assert bench.find("b").stand is Stand.SCHEDULED
    bench.wire.one("RENAME", bench.key("strikes"), bench.key("ready:broken"))
    bench.instant += 1000
    assert [task.key for task in bench.take(queue="broken")] == ["b"]
    assert not bench.ask("EXISTS", "permits", bench.key("held"))


def test_no_more_than_four_hundred_are_passed_over_in_one_call(bench: Bench) -> None:
    first = waiting(bench, "ab")
    for number in range(399):
        bench.ask("ZADD", "waiting", 0, f"one\x000000{number:03}\0nobody")
    bench.cycle(settle=[(first, completed())])
    assert [task.key for task in bench.take()] == ["b"]
    first = waiting(bench, "cd", "two")
    for number in range(400):
        bench.ask("ZADD", "waiting", 0, f"two\x000000{number:03}\0nobody")
    bench.cycle(settle=[(first, completed())])
    assert bench.find("d").stand is Stand.WAITING
    bench.tidy()
    assert bench.find("d").stand is Stand.QUEUED
    assert bench.hash("permits") == {"one": "1/1", "two": "1/1"}


def test_a_full_server_still_hands_out(bench: Bench) -> None:
    first = waiting(bench, "ab")
    bench.ask("HDEL", "held", first.token)
    with bench.full():
        bench.tidy()
    assert bench.find("b").stand is Stand.QUEUED


def test_a_caller_who_does_not_know_all_queues_learns_of_them(bench: Bench) -> None:
    with bench.knowing("mail"):
        assert bench.raw("tidy", bench.instant, "w", "", "") == ["QUEUES"]


def test_a_dead_letter_is_kept_for_thirty_days(bench: Bench) -> None:
    bench.add("a", "b")
    first, second = bench.take()
    bench.cycle(settle=[(first, failed())])
    bench.instant += 1
    bench.cycle(settle=[(second, failed())])
    bench.instant += 30 * 24 * 3600 * 1000 - 2
    bench.tidy()
    assert len(bench.dead()) == 2
    bench.instant += 1
    bench.tidy()
    assert list(bench.dead()) == [second.token]
    assert bench.ask("ZRANGE", "dead:at", 0, -1) == [second.token]
