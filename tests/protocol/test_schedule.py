"""`schedule.lua`: calls are accepted, each by itself."""

import pytest
from redis.exceptions import ResponseError

from shadows.protocol.outcomes import completed
from shadows.protocol.schedule import Answer, Item, LateBatch, Mode, schedule
from tests.protocol.bench import Bench, now
from tests.protocol.model import Wish, worded

ACCEPTED, EXISTS, BAD, FULL = Answer.ACCEPTED, Answer.EXISTS, Answer.BAD, Answer.FULL


def call(key: str, queue: str = "default", at: int = 0, mode: Mode = Mode.ADD, text: bytes = b"call") -> Item:
    return Item(key, queue, at, text, mode)


def replacing(key: str, queue: str = "default", at: int = 0) -> Item:
    return call(key, queue, at, Mode.REPLACE, b"other")


def entries(bench: Bench, queue: str = "default") -> list[list[str]]:
    return [fields for _, fields in bench.ask("XRANGE", f"ready:{queue}", "-", "+")]


def test_a_call_for_now_is_ready_at_once_in_the_order_of_its_batch(bench: Bench) -> None:
    assert bench.schedule(call("b"), call("a", at=bench.instant), call("c", at=5)) == [ACCEPTED] * 3
    assert entries(bench) == [["k", key, "c", "1/0/call"] for key in "bac"]
    (token, _), *_ = bench.ask("XRANGE", "ready:default", "-", "+")
    assert bench.ask("HGET", "live", "b") == f"default/{token}"
    assert not bench.ask("EXISTS", "due")


def test_a_call_for_later_waits_aside_until_its_instant(bench: Bench) -> None:
    assert bench.schedule(call("a", at=bench.instant + 1)) == [ACCEPTED]
    assert entries(bench) == []
    assert bench.ask("ZRANGE", "due", 0, -1, "WITHSCORES") == ["a", str(bench.instant + 1)]
    assert bench.ask("HGETALL", "parked") == ["a", "default/1/0/call"]
    assert bench.ask("HGETALL", "live") == ["a", "~due"]


def test_a_key_is_taken_for_as_long_as_its_task_has_not_ended(bench: Bench) -> None:
    bench.add("a")
    bench.add("b", at=bench.instant + 50)
    assert bench.schedule(call("a"), call("b"), call("c"), call("c")) == [EXISTS, EXISTS, ACCEPTED, EXISTS]
    (first, _) = bench.take()
    assert bench.schedule(call("a")) == [EXISTS]
    bench.cycle(settle=[(first, completed())])
    assert bench.schedule(call("a")) == [ACCEPTED]


def test_a_call_that_cannot_be_accepted_does_not_stop_its_batch(bench: Bench) -> None:
    bench.enroll("broken")
    bench.add("old", queue="broken")
    bench.ask("DEL", "ready:broken")
    bench.ask("SET", "ready:broken", "x")
    before = bench.ask("HGETALL", "live")
    answers = bench.schedule(
        call("a", "broken"), call("b", "broken", at=bench.instant + 9), call("c", "nowhere"), replacing("old")
    )
    assert answers == [BAD] * 4
    assert bench.ask("HGETALL", "live") == before
    assert bench.schedule(call("a", "broken"), call("b")) == [BAD, ACCEPTED]
    assert bench.ask("HEXISTS", "live", "a") == 0


def test_an_instant_that_is_no_number_is_refused_with_nothing_written(bench: Bench) -> None:
    runs = ("default", "soon", 2, "a", "b", "x", "y", "default", 0, 1, "b", "x")
    said = bench.raw("schedule", bench.instant, "p", 1, "", "", *runs)
    assert said == ["OK", "BBA", 0]
    assert bench.ask("HKEYS", "live") == ["b"]


def test_the_same_batch_again_answers_the_same_and_changes_nothing(bench: Bench) -> None:
    bench.add("a")
    items = [call("a"), call("b"), call("c", "nowhere"), call("d", at=bench.instant + 5)]
    assert bench.schedule(*items) == [EXISTS, ACCEPTED, BAD, ACCEPTED]
    state = bench.ask("HGETALL", "live")
    (taken, *_) = bench.take()
    bench.cycle(settle=[(taken, completed())])
    for _ in range(2):
        bench.batch -= 1
        assert bench.schedule(*items) == [EXISTS, ACCEPTED, BAD, ACCEPTED]
    assert bench.ask("HLEN", "live") == len(state) / 2 - 1
    assert bench.ask("XLEN", "ready:default") == 1


def test_a_batch_that_comes_after_a_newer_one_is_refused(bench: Bench) -> None:
    bench.add("a")
    bench.add("b")
    late = schedule(bench.store, bench.link, "producer", 1, [call("c")], remember=True, stamp=bench.stamp)
    with pytest.raises(LateBatch):
        now(late)
    assert sorted(bench.ask("HKEYS", "live")) == ["a", "b"]


def test_producers_are_told_apart(bench: Bench) -> None:
    bench.add("a")
    item = call("b")
    assert now(
        schedule(bench.store, bench.link, "another", 1, [item], remember=False, stamp=bench.stamp)
    ) == ([ACCEPTED], 0)


def wakes(bench: Bench) -> list[str]:
    return [id_ for id_, _ in bench.ask("XRANGE", "wake", "-", "+")]


def test_somebody_is_woken_only_by_what_is_due_before_all_else(bench: Bench) -> None:
    bench.add("now")
    assert wakes(bench) == []
    bench.add("a", at=bench.instant + 100)
    (first,) = wakes(bench)
    bench.add("b", at=bench.instant + 100)
    bench.add("c", "d", at=bench.instant + 200)
    assert wakes(bench) == [first]
    bench.schedule(call("e", at=bench.instant + 300), call("f", at=bench.instant + 50))
    (second,) = wakes(bench)
    assert second != first
    bench.schedule(call("g", at=bench.instant + 40), call("h", at=bench.instant + 45))
    (third,) = wakes(bench)
    assert third != second


def test_one_batch_wakes_no_more_than_needed(bench: Bench) -> None:
    bench.ask("XADD", "wake", "1-0", "k", "")
    bench.schedule(*[call(key, at=bench.instant + 100) for key in "abc"])
    assert [id_.endswith("-0") for id_ in wakes(bench)] == [True]


def test_a_wake_that_is_no_stream_hurts_nobody(bench: Bench) -> None:
    bench.ask("DEL", "wake")
    bench.ask("SET", "wake", "x")
    bench.add("a", at=bench.instant + 100)
    bench.instant += 100
    bench.lease("w")
    assert [taken.key for taken in bench.cycle(take=1, woken=b"1-0").taken] == ["a"]
    bench.instant += 2000
    assert bench.reap().moved == 1


def test_a_full_server_refuses_a_batch_with_nothing_written(bench: Bench) -> None:
    bench.add("a")
    with bench.full(), pytest.raises(ResponseError, match="maxmemory"):
        bench.schedule(replacing("a"), call("b"), call("c", at=bench.instant + 5))
    assert entries(bench) == [["k", "a", "c", "1/0/call-a"]]
    assert bench.ask("HKEYS", "live") == ["a"]
    bench.batch -= 1
    assert bench.schedule(call("b")) == [ACCEPTED]


def test_a_full_server_still_answers_what_it_has_answered(bench: Bench) -> None:
    bench.add("a")
    bench.batch -= 1
    with bench.full():
        bench.add("a")


def test_a_caller_who_does_not_know_all_queues_learns_of_them(bench: Bench) -> None:
    for queues in ((), ("mail",), ("default", "mail", "more")):
        with bench.knowing(*queues):
            words = ("schedule", bench.instant, "p", 1, "", "", "default", 0, 1, "a", "")
            assert bench.raw(*words) == ["QUEUES"]
            assert not bench.ask("EXISTS", "live", bench.key("producers"))
            bench.add("a")
            assert bench.store.queues == ("default",)
            bench.cancel("a")
            bench.ask("DEL", "producers")


def test_a_caller_who_knows_no_queue_of_an_empty_server_enrols_his_own(bench: Bench) -> None:
    bench.purge()
    with bench.knowing():
        assert bench.raw("schedule", bench.instant, "p", 1, "", "") == ["QUEUES"]
        assert not bench.ask("EXISTS", "queues")
        bench.add("a")
    assert [taken.key for taken in bench.take()] == ["a"]


def test_a_queue_whose_stream_was_deleted_is_made_anew(bench: Bench) -> None:
    bench.ask("DEL", "ready:default")
    bench.add("a")
    assert [taken.key for taken in bench.take()] == ["a"]


def test_a_key_whose_place_was_lost_is_free(bench: Bench) -> None:
    bench.add("a", at=bench.instant + 10)
    bench.ask("HDEL", "live", "a")
    bench.add("a")
    bench.instant += 10
    assert [taken.key for taken in bench.take()] == ["a"]
    assert not bench.ask("EXISTS", "due", bench.key("parked"))


def test_whoever_listens_is_told_of_what_comes(bench: Bench) -> None:
    bench.add("a")
    with bench.listening() as heard:
        bench.schedule(call("b"), call("a"), call("c", at=bench.instant + 5), call("d", "nowhere"))
        assert heard() == ["producer\nqueued b\nscheduled c"]
        bench.batch -= 1
        bench.schedule(call("b"), call("a"), call("c"), call("d", "nowhere"))
        assert heard() == []


def test_the_version_of_the_strikes_is_told_also_where_the_batch_was_here_before(bench: Bench) -> None:
    words = ("schedule", bench.instant, "p", 1, "", "", "default", 0, 1, "a", "")
    assert bench.raw(*words) == ["OK", "A", 0]
    bench.ask("HSET", "meta", "strikes", 3)
    assert bench.raw(*words) == ["OK", "A", "3"]
    assert bench.raw("schedule", bench.instant, "p", 2, "", "", *words[6:]) == ["OK", "E", "3"]


def test_a_key_that_is_kept_for_its_time_is_free_after_it(bench: Bench) -> None:
    bench.ask("HSET", "meta", "unique", 1)
    bench.ask("ZADD", "windows", bench.instant + 1, "u/a")
    assert bench.schedule(call("a"), call("b")) == [EXISTS, ACCEPTED]
    bench.instant += 1
    assert bench.schedule(call("a")) == [ACCEPTED]


def test_a_full_queue_takes_nothing_more_for_now(bench: Bench) -> None:
    """What runs counts too; what is for later, another queue and whatever replaces what stands there do not."""
    bench.enroll("mail")
    bench.add("a", "b")
    (running, _) = bench.take()
    bench.add("later", at=bench.instant + 5)
    before = {role: bench.ask("HGETALL", role) for role in ("live", "parked")}
    items: list[Wish] = [
        ("add", "c", "default", 0, "x"), ("add", "a", "default", 0, "x"), ("replace", "c", "default", 0, "x"),
        ("replace", "later", "default", 0, "x"), ("replace", "a", "default", 0, "x"), ("replace", "b", "mail", 0, "x"),
    ]  # fmt: skip
    assert bench.raw("replace", bench.instant, "other", 1, "", *worded("replace", items[:4], 2)) == [
        "OK",
        "FEFF",
        0,
    ]
    assert {role: bench.ask("HGETALL", role) for role in ("live", "parked")} == before
    assert bench.ask("XLEN", "ready:default") == 2
    assert bench.raw("replace", bench.instant, "other", 2, "", *worded("replace", items[4:], 2)) == [
        "OK",
        "AA",
        0,
    ]
    assert bench.raw("replace", bench.instant, "other", 2, "", *worded("replace", items[4:], 1)) == [
        "OK",
        "AA",
        0,
    ], "the same again"
    more: list[Wish] = [("add", "d", "default", bench.instant + 9, "x"), ("add", "e", "default", 0, "x")]
    assert bench.raw("schedule", bench.instant, "other", 3, "", *worded("schedule", more, 1)) == [
        "OK",
        "AF",
        0,
    ]
    bench.cycle(settle=[(running, completed())])
    assert bench.ask("XLEN", "ready:default") == 1
    assert bench.raw("schedule", bench.instant, "other", 4, "", *worded("schedule", more[1:], 2)) == [
        "OK",
        "A",
        0,
    ]


def test_a_queue_whose_stream_is_at_its_end_refuses_its_batch_and_loses_nothing(bench: Bench) -> None:
    """An error in the midst of a batch is the batch's: what stands by then is named in `live`, and asked again."""
    bench.enroll("mail")
    bench.ask("XADD", "ready:mail", "18446744073709551615-18446744073709551615", "k", "x", "c", "x")
    items = call("a"), call("b", "mail"), call("c", at=bench.instant + 5), call("d")
    with pytest.raises(ResponseError, match="last possible ID"):
        bench.schedule(*items)
    assert sorted(bench.ask("HKEYS", "live")) == ["a", "c", "d"]
    bench.batch -= 1
    assert bench.schedule(items[0], items[2], items[3]) == [EXISTS] * 3
    assert bench.ask("XLEN", "ready:default") == 2


def test_a_taken_key_is_taken_also_where_its_queue_is_broken(bench: Bench) -> None:
    bench.enroll("broken")
    bench.add("a")
    bench.ask("DEL", "ready:broken")
    bench.ask("SET", "ready:broken", "x")
    with_longest = worded("schedule", [("add", key, "broken", 0, "x") for key in "ab"], 5)
    later = call("c", "broken", at=bench.instant + 9)
    assert bench.schedule(call("a", "broken"), call("b", "broken"), later) == [EXISTS, BAD, BAD]
    assert bench.raw("schedule", bench.instant, "other", 1, "", *with_longest) == ["OK", "EB", 0]


def test_the_instant_is_the_servers_own_where_none_is_given(bench: Bench) -> None:
    assert bench.raw("schedule", "", "p", 1, "", "", "default", 1, 1, "a", "x") == ["OK", "A", 0], (
        "it is over"
    )
    far = 4_000_000_000_000
    assert bench.raw("schedule", "", "p", 2, "", "", "default", far, 1, "b", "x") == ["OK", "A", 0]
    runs = ("default", 0, 1, "c", "x", "default", far, 1, "d", "x")
    assert bench.raw("schedule", "", "p", 3, "", "", *runs) == ["OK", "AA", 0]
    runs = ("default", 0, 1, "over", "x", "default", 1, 1, "over too", "x")
    assert bench.raw("schedule", "", "p", 4, "", "", *runs) == ["OK", "AA", 0]
    assert sorted(bench.ask("ZRANGE", "due", 0, -1)) == ["b", "d"]
    assert bench.raw("schedule", "", "p", 5, 1000, "", "default", 0, 1, "e", "x") == ["OK", "A", 0]
    assert bench.scores("windows")["p/p"] > far / 4
    bench.ask("ZADD", "windows", far, "u/f")
    bench.ask("HSET", "meta", "unique", 1)
    assert bench.raw("schedule", "", "p", 6, "", "", "default", 0, 1, "f", "x") == ["OK", "E", 0]
    bench.ask("ZADD", "windows", 1, "u/f")
    assert bench.raw("schedule", "", "p", 7, "", "", "default", 0, 1, "f", "x") == ["OK", "A", 0]


def test_nobody_is_told_who_has_ceased_to_listen(bench: Bench) -> None:
    with bench.listening() as heard:
        bench.ask("HSET", "meta", "listening", 1)
        assert bench.raw("schedule", "", "p", 1, "", "", "default", 0, 1, "a", "x") == ["OK", "A", 0]
        assert heard() == []
