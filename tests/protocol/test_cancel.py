"""`cancel.lua`: what has not started is ended; who runs it is told."""

from shadows.protocol.acquire import Claim, Need
from shadows.protocol.cycle import Limits, Taken
from shadows.protocol.execution import Cancelled, Stand
from shadows.protocol.outcomes import Outcome, completed
from shadows.protocol.schedule import Answer, Item, Mode
from tests.protocol.bench import LIMITS, Bench


def test_what_is_ready_is_ended_and_its_key_free(bench: Bench) -> None:
    bench.add("a")
    assert bench.cancel("a") is Cancelled.ENDED
    assert bench.ask("XLEN", "ready:default") == 0
    assert not bench.ask("EXISTS", "live")
    found = bench.find("a")
    assert (found.stand, found.state, found.queue, found.instant_ms, found.blob, found.info) == (
        Stand.ENDED, "cancelled", "default", bench.instant, b"1/0/call-a", b"",
    )  # fmt: skip
    bench.add("a")


def test_what_is_scheduled_is_ended_and_its_key_free(bench: Bench) -> None:
    bench.add("a", at=bench.instant + 10)
    assert bench.cancel("a") is Cancelled.ENDED
    assert not bench.ask("EXISTS", "live", bench.key("due"), bench.key("parked"))
    assert bench.find("a").blob == b"1/0/call-a"
    assert bench.find("a").queue == "default"


def test_what_runs_is_told_until_it_has_ended(bench: Bench) -> None:
    bench.add("a")
    (taken,) = bench.take()
    assert bench.cancel("a") is Cancelled.TOLD
    assert bench.cancel("a") is Cancelled.TOLD
    assert bench.ask("ZRANGE", "controls", 0, -1) == [f"w\0{taken.token}"]
    for _ in range(2):
        assert bench.cycle().stops == [taken.token]
    assert bench.cycle("another").stops == []


def test_a_key_that_nobody_has_is_said_to_be_nobodys(bench: Bench) -> None:
    assert bench.cancel("a") is Cancelled.NONE
    assert bench.cancel("a") is Cancelled.NONE
    assert not bench.ask("EXISTS", "ended")


def test_what_stands_in_a_broken_queue_is_left_alone(bench: Bench) -> None:
    bench.add("a")
    bench.ask("DEL", "ready:default")
    bench.ask("SET", "ready:default", "x")
    assert bench.cancel("a") is Cancelled.BAD
    assert bench.ask("HLEN", "live") == 1


def test_what_was_lost_can_be_cancelled(bench: Bench) -> None:
    bench.add("a", at=bench.instant + 10)
    bench.ask("HDEL", "parked", "a")
    bench.add("b")
    bench.ask("DEL", "ready:default")
    assert bench.cancel("a") is Cancelled.ENDED
    assert bench.cancel("b") is Cancelled.ENDED
    assert not bench.ask("EXISTS", "live", bench.key("due"))
    assert (bench.find("a").queue, bench.find("b").queue) == ("", "default")


def test_a_lost_group_makes_a_running_task_one_that_has_not_started(bench: Bench) -> None:
    bench.add("a", "b")
    bench.take()
    bench.cancel("b")
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:default"), "g")
    assert bench.cancel("a") is Cancelled.ENDED


def test_no_record_is_kept_where_none_is_wanted(bench: Bench) -> None:
    bench.add("a")
    assert bench.cancel("a", Limits(0, 100, 100)) is Cancelled.ENDED
    assert bench.find("a").stand is Stand.NONE


def test_records_that_are_old_or_too_many_are_swept(bench: Bench) -> None:
    limits = Limits(100, 3, 100)
    bench.add(*"abcde")
    for key in "abc":
        bench.cancel(key, limits)
        bench.instant += 10
    bench.cancel("d", limits)
    assert (
        sorted(bench.ask("HKEYS", "ended"))
        == ["b", "c", "d"]
        == sorted(bench.ask("ZRANGE", "ended:at", 0, -1))
    )
    bench.instant += 95
    bench.cancel("e", limits)
    assert sorted(bench.ask("HKEYS", "ended")) == ["d", "e"] == sorted(bench.ask("ZRANGE", "ended:at", 0, -1))


def test_a_full_server_still_cancels(bench: Bench) -> None:
    bench.add("a", "b", "c")
    bench.take(most=1)
    with bench.full():
        assert bench.cancel("a") is Cancelled.TOLD
        assert bench.cancel("b", LIMITS) is Cancelled.ENDED


PERMIT = Claim(Need.PERMIT, "one", 1)


def waiting(bench: Bench, keys: str) -> Taken:
    """The first runs with the only permit, the others wait for it."""
    bench.add(*keys)
    first, *_ = tasks = bench.take()
    for task in tasks:
        bench.acquire(task, PERMIT)
    return first


def test_what_waits_for_a_permit_is_ended_and_its_place_in_line_goes(bench: Bench) -> None:
    first = waiting(bench, "abc")
    assert bench.cancel("b") is Cancelled.ENDED
    found = bench.find("b")
    assert (found.state, found.queue, found.blob) == ("cancelled", "default", b"1/0/call-b")
    assert bench.hash("live").keys() == {"a", "c"}
    assert bench.hash("parked").keys() == {"c"}
    bench.cycle(settle=[(first, completed())])
    assert [task.key for task in bench.take()] == ["c"]


def test_what_was_handed_a_permit_and_has_not_started_gives_it_to_the_next(bench: Bench) -> None:
    first = waiting(bench, "abc")
    bench.cycle(settle=[(first, completed())])
    assert bench.find("b").stand is Stand.QUEUED
    with bench.listening() as heard:
        assert bench.cancel("b") is Cancelled.ENDED
        assert heard() == ["\nqueued c\ncancelled b"]
    assert [task.key for task in bench.take()] == ["c"]
    assert bench.hash("permits") == {"one": "1/1"}
    assert bench.cancel("c") is Cancelled.TOLD


def test_the_last_who_held_a_permit_leaves_nothing_behind(bench: Bench) -> None:
    first = waiting(bench, "ab")
    bench.cycle(settle=[(first, completed())])
    bench.cancel("b")
    assert not bench.ask("EXISTS", "permits", bench.key("held"), bench.key("waiting"))


def test_nothing_that_it_has_passed_is_left_of_what_comes_back_later(bench: Bench) -> None:
    bench.add("a", "b")
    for task in bench.take():
        bench.acquire(task, Claim(Need.RATE, "slow", 1, 100))
    assert "~b" in bench.hash("held")
    assert bench.cancel("b") is Cancelled.ENDED
    assert "~b" not in bench.hash("held")


def test_a_key_that_is_kept_for_its_time_is_nobodys_and_stays_taken(bench: Bench) -> None:
    bench.add("a")
    (task,) = bench.take()
    bench.cycle(settle=[(task, Outcome(completed().kind, 50))])
    assert bench.cancel("a") is Cancelled.NONE
    assert bench.find("a").state == "completed"
    assert bench.schedule(Item("a", "default", 0, b"x")) == [Answer.EXISTS]


def test_a_key_is_free_at_once_also_where_one_before_had_kept_it(bench: Bench) -> None:
    bench.add("a")
    (task,) = bench.take()
    bench.cycle(settle=[(task, Outcome(completed().kind, 50))])
    bench.schedule(Item("a", "default", 0, b"x", Mode.REPLACE))
    assert bench.cancel("a") is Cancelled.ENDED
    assert bench.schedule(Item("a", "default", 0, b"x")) == [Answer.ACCEPTED]


def test_what_keeps_its_key_for_a_time_does_not_where_it_never_started(bench: Bench) -> None:
    bench.schedule(Item("a", "default", 0, b"x", unique_ms=50))
    bench.cancel("a")
    bench.add("a")
