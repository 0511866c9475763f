"""`replace.lua`: calls that take the place of what stands under their keys."""

from collections.abc import Sequence

import pytest
from redis.exceptions import ResponseError

from shadows.protocol.acquire import Claim, Need
from shadows.protocol.cycle import Taken, Verdict
from shadows.protocol.execution import Stand
from shadows.protocol.outcomes import Outcome, completed, retry
from shadows.protocol.schedule import Answer, Item, Mode
from tests.protocol.bench import Bench

ACCEPTED, EXISTS, BAD = Answer.ACCEPTED, Answer.EXISTS, Answer.BAD
PERMIT = Claim(Need.PERMIT, "one", 1)


def replacing(key: str, queue: str = "default", at: int = 0) -> Item:
    return Item(key, queue, at, b"other", Mode.REPLACE)


def entries(bench: Bench, queue: str = "default") -> list[list[str]]:
    return [fields for _, fields in bench.ask("XRANGE", f"ready:{queue}", "-", "+")]


def waiting(bench: Bench, keys: Sequence[str]) -> None:
    """The first runs with the only permit, the others wait for it."""
    bench.add(*keys)
    for task in bench.take():
        bench.acquire(task, PERMIT)


def test_a_replacement_takes_the_place_of_what_is_ready_in_whatever_queue(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("a")
    assert bench.schedule(replacing("a", "mail")) == [ACCEPTED]
    assert entries(bench) == []
    assert entries(bench, "mail") == [["k", "a", "c", "1/0/other"]]
    assert bench.ask("HGET", "live", "a").startswith("mail/")


def test_a_replacement_takes_the_place_of_what_is_scheduled(bench: Bench) -> None:
    bench.add("a", "b", at=bench.instant + 50)
    assert bench.schedule(replacing("a"), replacing("b", at=bench.instant + 70)) == [ACCEPTED] * 2
    assert entries(bench) == [["k", "a", "c", "1/0/other"]]
    assert bench.ask("ZRANGE", "due", 0, -1, "WITHSCORES") == ["b", str(bench.instant + 70)]
    assert bench.ask("HGETALL", "parked") == ["b", "default/1/0/other"]


def test_a_replacement_of_a_free_key_is_an_addition(bench: Bench) -> None:
    assert bench.schedule(replacing("a")) == [ACCEPTED]
    assert entries(bench) == [["k", "a", "c", "1/0/other"]]


def test_what_runs_and_is_replaced_has_nothing_more_to_say(bench: Bench) -> None:
    bench.add("a")
    (taken,) = bench.take()
    bench.cancel("a")
    assert bench.schedule(replacing("a", at=bench.instant + 50)) == [ACCEPTED]
    assert not bench.ask("EXISTS", "controls")
    assert bench.cycle(settle=[(taken, retry())]).verdicts == [Verdict.STALE]
    assert bench.ask("HGET", "live", "a") == "~due"
    assert entries(bench) == []


def test_additions_and_replacements_of_one_batch_are_told_apart(bench: Bench) -> None:
    bench.add("a", "b")
    items = [Item("a", "default", 0, b"x"), replacing("b"), replacing("c"), Item("c", "default", 0, b"x")]
    assert bench.schedule(*items) == [EXISTS, ACCEPTED, ACCEPTED, EXISTS]
    assert entries(bench) == [
        ["k", "a", "c", "1/0/call-a"],
        ["k", "b", "c", "1/0/other"],
        ["k", "c", "c", "1/0/other"],
    ]


def test_the_same_batch_again_answers_the_same_and_replaces_nothing(bench: Bench) -> None:
    bench.add("a")
    assert bench.schedule(replacing("a")) == [ACCEPTED]
    token = bench.hash("live")["a"]
    bench.batch -= 1
    assert bench.schedule(replacing("a")) == [ACCEPTED]
    assert bench.hash("live")["a"] == token


def test_a_replacement_takes_the_place_of_what_waits_for_a_permit(bench: Bench) -> None:
    waiting(bench, "ab")
    assert bench.schedule(replacing("b", at=bench.instant + 5)) == [ACCEPTED]
    assert not bench.ask("EXISTS", "waiting")
    assert bench.hash("parked") == {"b": "default/1/0/other"}
    assert bench.find("b").stand is Stand.SCHEDULED


def test_a_replacement_takes_the_place_of_what_has_passed_a_window(bench: Bench) -> None:
    bench.add("a", "b")
    first, second = bench.take()
    claim = Claim(Need.RATE, "slow", 1, 100)
    bench.acquire(first, claim)
    bench.acquire(second, claim)
    assert "~b" in bench.hash("held")
    bench.schedule(replacing("b"))
    assert list(bench.hash("held")) == [first.token], "the other comes with nothing passed"
    assert bench.hash("parked") == {}


@pytest.mark.parametrize("key", ["a", "b"], ids=["running", "handed"])
def test_what_is_replaced_gives_its_permit_to_the_next_in_line(bench: Bench, key: str) -> None:
    waiting(bench, "abc")
    if key == "b":
        bench.cycle(settle=[(bench_task(bench, "a"), completed())])
    assert bench.schedule(replacing(key)) == [ACCEPTED]
    ready = [fields[1] for fields in entries(bench)]
    assert ready == (["a", "b", "a"] if key == "a" else ["c", "b"])[-2:]
    assert bench.hash("permits") == {"one": "1/1"}
    assert len(bench.hash("held")) == 1


def bench_task(bench: Bench, key: str) -> Taken:
    return Taken(bench.hash("live")[key], key, b"")


def test_a_key_that_is_kept_for_its_time_can_be_replaced(bench: Bench) -> None:
    bench.add("a")
    (task,) = bench.take()
    bench.cycle(settle=[(task, Outcome(completed().kind, 50))])
    assert bench.schedule(Item("a", "default", 0, b"x"), replacing("a")) == [EXISTS, ACCEPTED]
    assert entries(bench) == [["k", "a", "c", "1/0/other"]]


def test_a_replacement_in_a_broken_queue_leaves_all_as_it_was(bench: Bench) -> None:
    bench.enroll("broken")
    waiting(bench, "ab")
    bench.ask("DEL", "ready:broken")
    bench.ask("SET", "ready:broken", "x")
    before = bench.hash("live")
    assert bench.schedule(replacing("b", "broken"), replacing("a", "nowhere")) == [BAD, BAD]
    assert (bench.hash("live"), bench.ask("ZCARD", "waiting")) == (before, 1)


def test_a_full_server_refuses_a_replacement_with_nothing_written(bench: Bench) -> None:
    bench.add("a")
    with bench.full(), pytest.raises(ResponseError, match="maxmemory"):
        bench.schedule(replacing("a"), replacing("b"))
    assert entries(bench) == [["k", "a", "c", "1/0/call-a"]]
    assert bench.ask("HKEYS", "live") == ["a"]


def test_whoever_listens_is_told_of_what_comes_and_of_who_has_the_permit_then(bench: Bench) -> None:
    waiting(bench, "ab")
    with bench.listening() as heard:
        bench.schedule(replacing("a"), replacing("c", at=bench.instant + 5), replacing("d", "nowhere"))
        assert heard() == ["producer\nqueued b\nqueued a\nscheduled c"]
