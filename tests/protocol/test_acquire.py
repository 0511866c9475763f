"""`acquire.lua`: what a task needs before it may start, all of it or nothing."""

import pytest

from shadows.protocol.acquire import Admission, Claim, Need
from shadows.protocol.cycle import Limits, Taken, Verdict
from shadows.protocol.execution import Stand
from shadows.protocol.outcomes import completed, dead, failed, release, retry
from shadows.protocol.schedule import Item, Mode
from tests.protocol.bench import LEASE_MS, LIMITS, Bench

GRANTED, ASIDE, DROPPED, STALE = Admission.GRANTED, Admission.ASIDE, Admission.DROPPED, Admission.STALE


def permit(name: str = "one", most: int = 1) -> Claim:
    return Claim(Need.PERMIT, name, most)


def rate(name: str = "slow", most: int = 1, window: int = 100, *, drop: bool = False) -> Claim:
    return Claim(Need.RATE, name, most, window, drop)


def cooldown(name: str = "cool", window: int = 100) -> Claim:
    return Claim(Need.COOLDOWN, name, 1, window)


def debounce(name: str = "last", window: int = 100) -> Claim:
    return Claim(Need.DEBOUNCE, name, 1, window)


def taken(bench: Bench, *keys: str, queue: str = "default") -> list[Taken]:
    bench.add(*keys, queue=queue)
    return bench.take(queue=queue)


def again(bench: Bench, key: str, worker: str = "w") -> Taken:
    """The one task that is ready, which has this key."""
    (task,) = bench.take(worker)
    assert task.key == key
    return task


def end(bench: Bench, *tasks: Taken, worker: str = "w") -> None:
    cycled = bench.cycle(worker, settle=[(task, completed()) for task in tasks])
    assert cycled.verdicts == [Verdict.RECORDED] * len(tasks)


def is_empty(bench: Bench) -> bool:
    """Nothing is left of any task, nor of any limit that is no window."""
    roles = ("live", "parked", "due", "controls", "permits", "held", "waiting")
    return bench.ask("XLEN", "ready:default") == 0 and not any(bench.ask("EXISTS", role) for role in roles)


# -- permits


def test_no_more_run_at_once_than_there_are_permits_and_the_rest_wait_in_order(bench: Bench) -> None:
    tasks = taken(bench, *"abcde")
    answers = [bench.acquire(task, permit(most=2)) for task in tasks]
    assert answers == [GRANTED, GRANTED, ASIDE, ASIDE, ASIDE]
    assert bench.hash("permits") == {"one": "2/2"}
    assert [bench.find(key).stand for key in "abcde"] == [Stand.RUNNING] * 2 + [Stand.WAITING] * 3
    assert bench.find("c").blob == b"1/0/call-c"
    assert bench.find("c").queue == "default"
    assert bench.take() == []
    end(bench, tasks[1])
    third = again(bench, "c")
    assert bench.acquire(third, permit(most=2)) is GRANTED
    end(bench, tasks[0], third)
    assert [task.key for task in bench.take()] == ["d", "e"]


def test_of_those_that_ask_together_the_first_is_granted(bench: Bench) -> None:
    first, second, third = taken(bench, *"abc")
    asking = [(task, [permit()], "") for task in (second, first, third)]
    assert bench.acquire_many(*asking) == [GRANTED, ASIDE, ASIDE]
    end(bench, second)
    end(bench, again(bench, "a"))
    end(bench, again(bench, "c"))
    assert is_empty(bench)


def test_who_waits_keeps_its_blob_and_its_queue(bench: Bench) -> None:
    bench.enroll("mail")
    (first,) = taken(bench, "a")
    bench.schedule(Item("b", "mail", 0, b"call-b", unique_ms=5))
    (second,) = bench.take(queue="mail")
    bench.cycle(settle=[(second, retry())])
    (second,) = bench.take(queue="mail")
    assert [bench.acquire(task, permit()) for task in (first, second)] == [GRANTED, ASIDE]
    end(bench, first)
    assert bench.take() == []
    (second,) = bench.take(queue="mail")
    assert (second.key, second.blob) == ("b", b"2/0/u5/call-b")


def test_a_permit_is_handed_to_the_first_in_line_before_any_newcomer(bench: Bench) -> None:
    first, _ = tasks = taken(bench, "a", "b")
    assert [bench.acquire(task, permit()) for task in tasks] == [GRANTED, ASIDE]
    end(bench, first)
    assert bench.hash("permits") == {"one": "1/1"}
    bench.add("c")
    handed, newcomer = bench.take()
    assert [handed.key, newcomer.key] == ["b", "c"]
    assert bench.acquire(newcomer, permit()) is ASIDE
    assert bench.acquire(handed, permit()) is GRANTED
    assert bench.hash("permits") == {"one": "1/1"}


def test_asked_again_what_was_granted_is_granted_once(bench: Bench) -> None:
    task, other = taken(bench, "a", "b")
    claims = [permit(most=2), rate(), cooldown()]
    for _ in range(2):
        assert bench.acquire(task, *claims) is GRANTED
    assert bench.hash("permits")["one"] == "1/2"
    assert bench.hash("permits")["\1slow/1"] == "1"
    for _ in range(2):
        assert bench.acquire(other, permit(), permit("two"), rate("other")) is (ASIDE if _ == 0 else STALE)
    assert bench.ask("ZCARD", "waiting") == 1
    bench.instant += 100
    assert bench.acquire(task, *claims) is GRANTED
    assert bench.hash("permits")["\1slow/1"] == "1", "it started long ago"


def test_nothing_is_claimed_where_one_thing_is_missing(bench: Bench) -> None:
    first, second = taken(bench, "a", "b")
    bench.acquire(first, permit("full"))
    assert bench.acquire(second, permit("free", 2), rate(), cooldown(), permit("full")) is ASIDE
    assert bench.hash("permits") == {"full": "1/1"}
    assert list(bench.scores("windows")) == ["p/producer"]


def test_who_claims_nothing_is_granted(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    assert bench.acquire(task) is GRANTED
    end(bench, task)
    assert is_empty(bench)


def test_the_same_permit_claimed_twice_is_one(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    assert bench.acquire(task, permit(), permit()) is GRANTED
    assert bench.hash("permits") == {"one": "1/1"}
    end(bench, task)
    assert is_empty(bench)


def test_setting_aside_gives_back_what_was_handed(bench: Bench) -> None:
    first, second, third = taken(bench, *"abc")
    assert bench.acquire(first, permit("x")) is GRANTED
    assert bench.acquire(second, permit("x"), permit("y")) is ASIDE
    assert bench.acquire(third, permit("x")) is ASIDE
    end(bench, first)
    second = again(bench, "b")
    (other,) = taken(bench, "d")
    assert bench.acquire(other, permit("y")) is GRANTED
    assert bench.acquire(second, permit("x"), permit("y")) is ASIDE
    third = again(bench, "c")
    assert bench.acquire(third, permit("x")) is GRANTED
    end(bench, other)
    second = again(bench, "b")
    assert bench.acquire(second, permit("x"), permit("y")) is ASIDE
    assert bench.hash("permits") == {"x": "1/1"}, "y goes back, nobody waits for it"


def test_who_waits_a_second_time_has_the_place_of_its_first(bench: Bench) -> None:
    first, second, third, fourth = taken(bench, *"abcd")
    assert bench.acquire(first, permit("x")) is GRANTED
    assert bench.acquire(second, permit("x"), permit("y")) is ASIDE
    assert bench.acquire(third, permit("y")) is GRANTED
    assert bench.acquire(fourth, permit("y")) is ASIDE
    end(bench, first)
    assert bench.acquire(again(bench, "b"), permit("x"), permit("y")) is ASIDE
    end(bench, third)
    assert again(bench, "b").key == "b", "it came before the one that waited for y alone"


@pytest.mark.parametrize(
    "outcome", [completed(), failed(), dead("x"), retry(), release()], ids=lambda o: o.kind
)
@pytest.mark.parametrize("asks", [True, False])
def test_every_outcome_frees_a_permit(bench: Bench, outcome: object, asks: bool) -> None:
    first, second, third = taken(bench, *"abc")
    assert [bench.acquire(task, permit()) for task in (first, second, third)] == [GRANTED, ASIDE, ASIDE]
    end(bench, first)
    second = again(bench, "b")
    if asks:
        bench.acquire(second, permit())
    bench.cycle(settle=[(second, outcome)])  # type: ignore[list-item]
    assert "c" in [task.key for task in bench.take()]
    assert bench.hash("permits") == {"one": "1/1"}
    assert bench.ask("HLEN", "held") == 1


def test_a_stale_outcome_frees_nothing(bench: Bench) -> None:
    first, second, _ = tasks = taken(bench, *"abc")
    assert [bench.acquire(task, permit()) for task in tasks] == [GRANTED, ASIDE, ASIDE]
    end(bench, first)
    assert bench.cycle(settle=[(first, completed()), (second, completed())]).verdicts == [Verdict.STALE] * 2
    assert bench.find("c").stand is Stand.WAITING
    assert bench.hash("permits") == {"one": "1/1"}


def test_an_outcome_of_another_life_frees_what_it_held(bench: Bench) -> None:
    first, second = taken(bench, "a", "b")
    assert [bench.acquire(task, permit()) for task in (first, second)] == [GRANTED, ASIDE]
    bench.ask("HSET", "live", "a", "~due")
    assert bench.cycle(settle=[(first, completed())]).verdicts == [Verdict.STALE]
    assert again(bench, "b").key == "b"


def test_a_greater_capacity_goes_to_those_who_wait_before_the_newcomer(bench: Bench) -> None:
    tasks = taken(bench, *"abcde")
    assert [bench.acquire(task, permit()) for task in tasks[:4]] == [GRANTED, ASIDE, ASIDE, ASIDE]
    assert bench.acquire(tasks[4], permit(most=3)) is ASIDE
    assert bench.hash("permits") == {"one": "3/3"}
    assert [task.key for task in bench.take()] == ["b", "c"]
    assert [bench.find(key).stand for key in "de"] == [Stand.WAITING] * 2


def test_a_greater_capacity_may_leave_one_for_the_newcomer(bench: Bench) -> None:
    tasks = taken(bench, *"abc")
    assert [bench.acquire(task, permit()) for task in tasks[:2]] == [GRANTED, ASIDE]
    assert bench.acquire(tasks[2], permit(most=3)) is GRANTED
    assert bench.hash("permits") == {"one": "3/3"}


def test_a_smaller_capacity_holds_for_those_who_come(bench: Bench) -> None:
    tasks = taken(bench, *"abcde")
    assert [bench.acquire(task, permit(most=3)) for task in tasks[:4]] == [GRANTED] * 3 + [ASIDE]
    assert bench.acquire(tasks[4], permit(most=2)) is ASIDE
    assert bench.hash("permits") == {"one": "3/2"}
    end(bench, tasks[0])
    assert (bench.take(), bench.hash("permits")) == ([], {"one": "2/2"})
    assert bench.acquire(tasks[1], permit(most=1)) is GRANTED, "it holds one"
    end(bench, tasks[1])
    assert (bench.take(), bench.hash("permits")) == ([], {"one": "1/1"})
    end(bench, tasks[2])
    assert again(bench, "d").key == "d"


def test_a_limit_whose_name_begins_as_another_does_is_another(bench: Bench) -> None:
    tasks = taken(bench, *"abcdef")
    names = ["a", "a/b", "ab", "a", "a/b", "ab"]
    answers = [bench.acquire(task, permit(name)) for task, name in zip(tasks, names, strict=True)]
    assert answers == [GRANTED] * 3 + [ASIDE] * 3
    end(bench, tasks[0])
    assert again(bench, "d").key == "d"
    end(bench, tasks[2])
    assert again(bench, "f").key == "f"


def test_those_who_wait_are_in_order_whatever_the_lengths_of_their_numbers(bench: Bench) -> None:
    """(The parts of an entry's id are compared as numbers, not as text.)"""
    ids = ["9-1", "9-2", "9-10", "10-0", "100-0"]
    for number, id_ in enumerate(ids):
        bench.ask("XADD", "ready:default", id_, "k", f"k{number}", "c", "1/0/x")
        bench.ask("HSET", "live", f"k{number}", f"default/{id_}")
    tasks = bench.take()
    assert [bench.acquire(task, permit()) for task in tasks] == [GRANTED] + [ASIDE] * 4
    for number in range(1, 5):
        end(bench, tasks[0])
        tasks = bench.take()
        assert [task.key for task in tasks] == [f"k{number}"]


def test_who_finds_no_permit_of_several_waits_for_the_first_that_is_missing(bench: Bench) -> None:
    first, second, third = taken(bench, *"abc")
    assert bench.acquire(first, permit("x"), permit("y")) is GRANTED
    assert bench.acquire(second, permit("z"), permit("y"), permit("x")) is ASIDE
    assert bench.acquire(third, permit("x"), permit("y")) is ASIDE
    marks = {key: mark.rpartition("/")[2] for key, mark in bench.hash("live").items()}
    assert (marks["b"], marks["c"]) == ("y", "x")


# -- who asks


def test_who_is_not_the_holder_of_the_present_token_changes_nothing(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    bench.lease("v")
    assert bench.acquire(task, permit(), worker="v") is STALE
    bench.add("b")
    assert bench.acquire(Taken(bench.hash("live")["b"], "b", b""), permit()) is STALE, "nobody was given it"
    for token in ("", "default", "nowhere/1-1", "~due/1-1", "/1-1", "default/x"):
        assert bench.acquire(Taken(token, "a", b""), permit()) is STALE
    bench.cycle(settle=[(task, completed())])
    assert bench.acquire(task, permit()) is STALE
    assert not bench.ask("EXISTS", "permits", bench.key("held"))


def test_who_was_reaped_asks_in_vain_and_the_next_holder_does_not(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    bench.instant += LEASE_MS
    bench.reap()
    bench.lease("w")
    assert bench.acquire(task, permit()) is STALE
    assert bench.acquire(again(bench, "a", "v"), permit(), worker="v") is GRANTED


def test_who_has_no_lease_asks_in_vain(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    bench.instant += LEASE_MS
    assert bench.acquire(task, permit()) is STALE
    bench.instant -= 1
    assert bench.acquire(task, permit()) is GRANTED


def test_a_place_that_was_lost_is_found_again(bench: Bench) -> None:
    task, other = taken(bench, "a", "b")
    bench.ask("DEL", "live")
    assert bench.acquire(task, permit()) is GRANTED
    assert bench.hash("live") == {"a": task.token}
    assert bench.acquire(other, permit()) is ASIDE
    end(bench, task)
    end(bench, again(bench, "b"))
    assert is_empty(bench)


def test_who_asks_while_another_life_has_the_key_is_taken_away(bench: Bench) -> None:
    first, second = taken(bench, "a", "b")
    assert [bench.acquire(task, permit()) for task in (first, second)] == [GRANTED, ASIDE]
    bench.cancel("a")
    bench.ask("HSET", "live", "a", "~due")
    assert bench.acquire(first, permit()) is STALE
    assert bench.hash("live")["a"] == "~due"
    assert not bench.ask("EXISTS", "controls")
    assert bench.wire.one("XPENDING", bench.key("ready:default"), "g")[0] == 0
    assert bench.ask("XLEN", "ready:default") == 1
    assert again(bench, "b").key == "b", "it gave back what it held"


@pytest.mark.parametrize("placed", [True, False])
def test_what_was_deleted_by_hand_is_left_to_be_settled(bench: Bench, placed: bool) -> None:
    (task,) = taken(bench, "a")
    bench.wire.one("XTRIM", bench.key("ready:default"), "MAXLEN", 0)
    if not placed:
        bench.ask("DEL", "live")
    assert bench.acquire(task, permit()) is STALE
    assert bench.ask("HLEN", "live") == placed
    end(bench, task)
    assert is_empty(bench)


def test_a_broken_queue_hurts_no_other(bench: Bench) -> None:
    bench.enroll("broken")
    (first,) = taken(bench, "a", queue="broken")
    (second,) = taken(bench, "b")
    bench.ask("DEL", "ready:broken")
    bench.ask("SET", "ready:broken", "x")
    assert bench.acquire_many((first, [permit()], ""), (second, [permit()], "")) == [STALE, GRANTED]


def test_who_was_to_be_cancelled_and_would_wait_is_cancelled(bench: Bench) -> None:
    first, second, third = taken(bench, *"abc")
    assert bench.acquire(first, permit()) is GRANTED
    for task in (first, second, third):
        bench.cancel(task.key)
    assert bench.acquire(second, permit()) is DROPPED
    assert bench.acquire(third, rate()) is GRANTED, "its worker is told by its next cycle"
    found = bench.find("b")
    assert (found.state, found.blob, found.queue) == ("cancelled", b"1/0/call-b", "default")
    assert sorted(bench.cycle().stops) == sorted([first.token, third.token])
    assert bench.hash("live").keys() == {"a", "c"}


def test_a_full_server_still_grants_and_sets_aside(bench: Bench) -> None:
    first, second, third = taken(bench, *"abc")
    with bench.full():
        assert bench.acquire(first, permit()) is GRANTED
        assert bench.acquire(second, permit()) is ASIDE
        assert bench.acquire(third, rate(), debounce()) is ASIDE
        end(bench, first)


def test_a_caller_who_does_not_know_all_queues_learns_of_them(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    with bench.knowing("mail"):
        words = (*LIMITS.arguments(), 1, task.token, "a", "who", 1, "permit", "one", 1, 0, 0)
        assert bench.raw("acquire", bench.instant, "w", *words) == ["QUEUES"]
    assert not bench.ask("EXISTS", "permits")


# -- rates


def start(bench: Bench, task: Taken, *claims: Claim) -> int | None:
    """The instant at which it starts, or None where it was set aside."""
    return bench.instant if bench.acquire(task, *claims) is GRANTED else None


def test_no_more_start_in_a_window_than_wanted_and_the_rest_come_back_in_order(bench: Bench) -> None:
    tasks = taken(bench, *"abcde")
    began = bench.instant
    assert [bench.acquire(task, rate(most=2)) for task in tasks] == [GRANTED, GRANTED, ASIDE, ASIDE, ASIDE]
    assert bench.scores("due") == {"c": began + 100, "d": began + 100, "e": began + 200}
    assert bench.find("c").stand is Stand.SCHEDULED
    assert bench.find("c").blob == b"1/0/call-c"
    bench.instant += 99
    assert bench.take() == []
    bench.instant += 1
    tasks = bench.take()
    assert [task.key for task in tasks] == ["c", "d"]
    assert [bench.acquire(task, rate(most=2)) for task in tasks] == [GRANTED, GRANTED]
    assert bench.cycle().next_due_ms == 100


def test_a_newcomer_starts_behind_those_who_have_a_place(bench: Bench) -> None:
    tasks = taken(bench, *"abc")
    assert [bench.acquire(task, rate()) for task in tasks] == [GRANTED, ASIDE, ASIDE]
    bench.instant += 150
    newcomer, back = taken(bench, "d")
    assert [newcomer.key, back.key] == ["d", "b"]
    assert bench.acquire(newcomer, rate()) is ASIDE
    assert bench.scores("due")["d"] == bench.instant - 150 + 300


def test_who_comes_back_late_keeps_the_next_a_window_away(bench: Bench) -> None:
    tasks = taken(bench, *"abc")
    began = bench.instant
    assert [start(bench, task, rate()) for task in tasks] == [began, None, None]
    bench.instant = began + 130
    assert start(bench, again(bench, "b"), rate()) == began + 130
    bench.instant = began + 200
    assert start(bench, again(bench, "c"), rate()) is None
    assert bench.scores("due") == {"c": began + 230}
    (other,) = taken(bench, "d")
    assert start(bench, other, rate()) is None
    assert bench.scores("due") == {"c": began + 230, "d": began + 330}
    bench.instant = began + 230
    assert start(bench, again(bench, "c"), rate()) == began + 230


def test_those_who_come_back_all_late_start_a_window_apart_in_their_order(bench: Bench) -> None:
    tasks = taken(bench, *"abcde")
    assert [bench.acquire(task, rate()) for task in tasks] == [GRANTED] + [ASIDE] * 4
    bench.instant += 5000
    late = bench.instant
    tasks = bench.take()
    assert [task.key for task in tasks] == list("bcde")
    assert [bench.acquire(task, rate()) for task in tasks] == [GRANTED] + [ASIDE] * 3
    assert bench.scores("due") == {"c": late + 100, "d": late + 200, "e": late + 300}
    for key in "cde":
        bench.instant += 100
        assert bench.acquire(again(bench, key), rate()) is GRANTED


def test_one_that_started_meanwhile_keeps_a_late_one_a_window_away(bench: Bench) -> None:
    first, second = taken(bench, "a", "b")
    assert [bench.acquire(task, rate()) for task in (first, second)] == [GRANTED, ASIDE]
    bench.instant += 250
    late = again(bench, "b")
    (newcomer,) = taken(bench, "c")
    assert bench.acquire(newcomer, rate()) is GRANTED, "the place of the late one has passed"
    bench.instant += 10
    assert bench.acquire(late, rate()) is ASIDE
    assert bench.scores("due") == {"b": bench.instant - 10 + 100}


def test_what_is_to_be_dropped_is_ended_as_cancelled_beyond_the_rate(bench: Bench) -> None:
    first, second, third = taken(bench, *"abc")
    claim = rate(drop=True)
    assert [bench.acquire(task, claim) for task in (first, second)] == [GRANTED, DROPPED]
    found = bench.find("b")
    assert (found.stand, found.state, found.blob) == (Stand.ENDED, "cancelled", b"1/0/call-b")
    bench.instant += 99
    assert bench.acquire(third, claim) is DROPPED
    bench.instant += 1
    (fourth,) = taken(bench, "d")
    assert bench.acquire(fourth, claim) is GRANTED


def test_rates_of_another_name_or_amount_are_others(bench: Bench) -> None:
    tasks = taken(bench, *"abcd")
    claims = [rate("a", 1), rate("a", 2), rate("a/1", 1), rate("b", 1)]
    assert [bench.acquire(*pair) for pair in zip(tasks, claims, strict=True)] == [GRANTED] * 4


def test_who_comes_back_and_finds_no_permit_keeps_its_place_in_the_rate(bench: Bench) -> None:
    first, second, third = taken(bench, *"abc")
    assert bench.acquire(first, rate(), permit()) is GRANTED
    assert bench.acquire(second, rate()) is ASIDE
    bench.acquire(third, rate(), permit("other"))
    bench.instant += 100
    second = again(bench, "b")
    assert bench.acquire(second, rate(), permit()) is ASIDE
    assert bench.find("b").stand is Stand.WAITING
    bench.instant += 50
    end(bench, first)
    assert bench.acquire(again(bench, "b"), rate(), permit()) is GRANTED
    bench.instant += 50
    assert bench.acquire(again(bench, "c"), rate(), permit("other")) is ASIDE, "that one was late"
    bench.instant += 50
    assert bench.acquire(again(bench, "c"), rate(), permit("other")) is GRANTED


def test_a_late_one_stays_before_those_who_have_later_places(bench: Bench) -> None:
    tasks = taken(bench, *"abcd")
    began = bench.instant
    assert [start(bench, task, rate()) for task in tasks] == [began, None, None, None]
    bench.instant = began + 200
    second, third = bench.take()
    assert [start(bench, task, rate()) for task in (second, third)] == [began + 200, None]
    assert bench.scores("due") == {"c": began + 300, "d": began + 300}


def test_who_is_late_by_more_than_a_window_goes_behind_all_others(bench: Bench) -> None:
    tasks = taken(bench, *"abcd")
    began = bench.instant
    assert [start(bench, task, rate()) for task in tasks] == [began, None, None, None]
    bench.instant = began + 201
    second, third = bench.take()
    assert [start(bench, task, rate()) for task in (second, third)] == [began + 201, None]
    assert bench.scores("due") == {"c": began + 400, "d": began + 300}


def test_who_waits_on_for_something_else_keeps_its_place_where_that_is_free(bench: Bench) -> None:
    tasks = taken(bench, *"abc")
    began = bench.instant
    for task in tasks:
        bench.acquire(task, rate(), rate("s", 1, 10))
    bench.instant = began + 150
    assert start(bench, again(bench, "b"), rate(), rate("s", 1, 10)) == began + 150
    bench.instant = began + 250
    third = again(bench, "c")
    assert bench.acquire(third, rate(), rate("s", 1, 10), debounce()) is ASIDE
    assert bench.hash("held")["~c"] == f"\0r/slow/1\x010/{began + 200}\0r/s/1\x010/{began + 20}\0d/last"


def test_who_moves_in_one_rate_keeps_its_place_in_another(bench: Bench) -> None:
    first, second, third = taken(bench, *"abc")
    began = bench.instant
    claims = [rate("s", 1, 300), rate("t", 1, 100)]
    assert [bench.acquire(task, *claims) for task in (first, second)] == [GRANTED, ASIDE]
    assert bench.scores("due") == {"b": began + 300}, "the greater of both"
    bench.instant = began + 390
    assert bench.acquire(third, rate("t", 1, 100)) is GRANTED
    bench.instant = began + 400
    assert bench.acquire(again(bench, "b"), *claims) is ASIDE
    places = bench.hash("held")["~b"].split("\0")
    assert places[1:] == [f"r/s/1\x010/{began + 300}", f"r/t/1\x010/{began + 490}"]
    bench.instant = began + 490
    assert bench.acquire(again(bench, "b"), *claims) is GRANTED


def test_a_retry_is_another_start(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    assert bench.acquire(task, rate()) is GRANTED
    bench.cycle(settle=[(task, retry())])
    assert bench.acquire(again(bench, "a"), rate()) is ASIDE


def test_a_place_that_was_given_up_does_no_harm(bench: Bench) -> None:
    first, second, third = taken(bench, *"abc")
    assert [bench.acquire(task, rate()) for task in (first, second, third)] == [GRANTED, ASIDE, ASIDE]
    bench.cancel("b")
    bench.add("b")
    bench.instant += 200
    tasks = {task.key: task for task in bench.take()}
    assert bench.acquire(tasks["c"], rate()) is GRANTED
    assert bench.acquire(tasks["b"], rate()) is ASIDE, "it has no place of its own"


@pytest.mark.parametrize("key", ["a/b", "a", "é"])
def test_places_in_several_rates_are_kept_apart(bench: Bench, key: str) -> None:
    first, second = taken(bench, "x", key)
    claims = [rate("s/1", 1, 100), rate("s", 1, 300), rate("t", 2, 100)]
    assert [bench.acquire(task, *claims) for task in (first, second)] == [GRANTED, ASIDE]
    assert bench.scores("due") == {key: bench.instant + 300}
    bench.instant += 300
    assert bench.acquire(again(bench, key), *claims) is GRANTED
    assert "~" + key not in bench.hash("held")


# -- cooldowns


def test_the_first_starts_and_later_ones_are_dropped_for_a_window(bench: Bench) -> None:
    first, second, third = taken(bench, *"abc")
    assert [bench.acquire(task, cooldown()) for task in (first, second)] == [GRANTED, DROPPED]
    assert bench.find("b").state == "cancelled"
    end(bench, first)
    bench.instant += 99
    assert bench.acquire(third, cooldown()) is DROPPED
    bench.instant += 1
    (fourth,) = taken(bench, "d")
    assert bench.acquire(fourth, cooldown()) is GRANTED
    assert bench.scores("windows")["c/cool"] == bench.instant + 100


def test_who_started_under_a_cooldown_may_be_tried_again_in_it(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    assert bench.acquire(task, cooldown(), who="x") is GRANTED
    bench.cycle(settle=[(task, retry())])
    bench.instant += 50
    task = again(bench, "a")
    assert bench.acquire(task, cooldown(), who="x") is GRANTED
    assert bench.scores("windows")["c/cool"] == bench.instant + 50, "the window is that of the first start"
    bench.cycle(settle=[(task, retry())])
    assert bench.acquire(again(bench, "a"), cooldown(), who="another") is DROPPED


def test_who_is_dropped_gives_back_what_it_was_handed(bench: Bench) -> None:
    first, second, third, fourth = taken(bench, *"abcd")
    assert bench.acquire(first, permit()) is GRANTED
    assert bench.acquire(second, permit(), cooldown()) is ASIDE
    assert bench.acquire(third, permit()) is ASIDE
    assert bench.acquire(fourth, cooldown()) is GRANTED
    end(bench, first)
    assert bench.acquire(again(bench, "b"), permit(), cooldown()) is DROPPED
    assert again(bench, "c").key == "c"


@pytest.mark.parametrize("stopped", [True, False])
def test_the_key_of_what_was_dropped_stays_taken_for_its_time(bench: Bench, stopped: bool) -> None:
    (first,) = taken(bench, "a")
    bench.schedule(Item("b", "default", 0, b"x", unique_ms=50))
    (second,) = bench.take()
    bench.acquire(first, cooldown())
    if stopped:
        bench.cancel("b")
    assert bench.acquire(second, cooldown()) is DROPPED
    (answer,) = bench.schedule(Item("b", "default", 0, b"x"))
    assert answer.value == ("A" if stopped else "E"), "what was cancelled is free at once"


def test_who_was_granted_a_cooldown_is_granted_it_again_whoever_came_since(bench: Bench) -> None:
    first, second = taken(bench, "a", "b")
    assert bench.acquire(first, cooldown()) is GRANTED
    bench.instant += 100
    assert bench.acquire(second, cooldown()) is GRANTED
    assert bench.acquire(first, cooldown()) is GRANTED


# -- debounces


def test_a_run_starts_when_nothing_newer_has_come_for_a_window(bench: Bench) -> None:
    (first,) = taken(bench, "a")
    assert bench.acquire(first, debounce()) is ASIDE
    bench.instant += 60
    (second,) = taken(bench, "b")
    assert bench.acquire(second, debounce()) is ASIDE
    assert (bench.find("a").state, bench.find("a").blob) == ("cancelled", b"1/0/call-a")
    assert bench.scores("due") == {"b": bench.instant + 100}
    assert bench.hash("parked") == {"b": "default/1/0/call-b"}
    bench.instant += 99
    assert bench.take() == []
    bench.instant += 1
    second = again(bench, "b")
    for _ in range(2):
        assert bench.acquire(second, debounce()) is GRANTED
    end(bench, second)
    assert is_empty(bench)
    assert list(bench.scores("windows")) == ["p/producer"]


def test_after_a_start_the_next_waits_for_quiet_again(bench: Bench) -> None:
    (first,) = taken(bench, "a")
    bench.acquire(first, debounce())
    bench.instant += 100
    assert bench.acquire(again(bench, "a"), debounce()) is GRANTED
    (second,) = taken(bench, "b")
    assert bench.acquire(second, debounce()) is ASIDE


def test_who_was_superseded_on_its_way_is_dropped_when_it_asks(bench: Bench) -> None:
    (first,) = taken(bench, "a")
    bench.acquire(first, debounce())
    bench.instant += 100
    first = again(bench, "a")
    (second,) = taken(bench, "b")
    assert bench.acquire(second, debounce()) is ASIDE
    assert bench.find("a").stand is Stand.RUNNING
    bench.instant += 100
    second = again(bench, "b")
    assert bench.acquire(second, debounce()) is GRANTED
    assert bench.acquire(first, debounce()) is DROPPED, "also where the newer one has started already"
    end(bench, second)
    assert is_empty(bench)


def test_who_waits_for_a_permit_is_superseded_too(bench: Bench) -> None:
    first, second = taken(bench, "a", "b")
    bench.acquire(first, permit())
    bench.acquire(second, debounce(), permit())
    bench.instant += 100
    assert bench.acquire(again(bench, "b"), debounce(), permit()) is ASIDE
    assert bench.find("b").stand is Stand.WAITING
    (third,) = taken(bench, "c")
    assert bench.acquire(third, debounce(), permit()) is ASIDE
    assert bench.find("b").state == "cancelled"
    assert not bench.ask("EXISTS", "waiting")


def test_who_took_another_place_under_the_same_key_supersedes_itself(bench: Bench) -> None:
    (first,) = taken(bench, "a")
    bench.acquire(first, debounce(), who="old")
    bench.schedule(Item("a", "default", 0, b"x", Mode.REPLACE))
    assert bench.acquire(again(bench, "a"), debounce(), who="new") is ASIDE
    assert bench.hash("live") == {"a": "~due"}
    bench.instant += 100
    assert bench.acquire(again(bench, "a"), debounce(), who="new") is GRANTED


def test_who_was_cancelled_or_has_ended_is_not_superseded(bench: Bench) -> None:
    (first,) = taken(bench, "a")
    bench.acquire(first, debounce())
    bench.cancel("a")
    (again_,) = taken(bench, "a")
    bench.acquire(again_, rate())
    bench.cycle(settle=[(again_, retry())])
    again_ = again(bench, "a")
    assert bench.acquire(again_, rate()) is ASIDE
    (second,) = taken(bench, "b")
    assert bench.acquire(second, debounce()) is ASIDE
    assert bench.hash("live") == {"a": "~due", "b": "~due"}, (
        "another has the key, which has passed another window"
    )


@pytest.mark.parametrize("lost", ["live", "parked"])
def test_what_was_lost_of_who_is_superseded_is_no_error(bench: Bench, lost: str) -> None:
    first, second = taken(bench, "a", "b")
    assert bench.acquire(first, debounce()) is ASIDE
    bench.ask("HDEL", lost, "a")
    assert bench.acquire(second, debounce()) is ASIDE
    assert bench.hash("live") == {"b": "~due"}
    if lost == "parked":
        found = bench.find("a")
        assert (found.state, found.queue, found.blob) == ("cancelled", "", b"")


def test_who_passed_a_debounce_that_was_forgotten_starts(bench: Bench) -> None:
    first, second = taken(bench, "a", "b")
    bench.acquire(first, debounce())
    bench.ask("HDEL", "permits", "\3last")
    bench.instant += 100
    assert bench.acquire(again(bench, "a"), debounce()) is GRANTED
    assert bench.acquire(second, debounce()) is ASIDE


@pytest.mark.parametrize("more", [rate(), permit()], ids=["rate", "permit"])
def test_who_waits_on_for_something_else_can_be_superseded_however_late_it_is(
    bench: Bench, more: Claim
) -> None:
    (first,) = taken(bench, "a")
    assert bench.acquire(first, debounce(), more) is ASIDE
    bench.instant += 10**8
    bench.tidy()
    first = again(bench, "a")
    (other,) = taken(bench, "b")
    assert bench.acquire(other, more) is GRANTED
    assert bench.acquire(first, debounce(), more) is ASIDE
    bench.instant += 50
    bench.tidy()
    (newer,) = taken(bench, "c")
    assert bench.acquire(newer, debounce(), more) is ASIDE
    assert bench.find("a").state == "cancelled"
    bench.cancel("c")
    bench.instant += 2 * 10**8
    bench.tidy()
    assert "\3last" not in bench.hash("permits")


def test_who_has_had_its_quiet_needs_no_more_of_it_when_it_waits_on(bench: Bench) -> None:
    first, second = taken(bench, "a", "b")
    bench.acquire(first, debounce(window=200), rate())
    bench.instant += 200
    assert bench.acquire(second, rate()) is GRANTED
    window = bench.scores("windows")["d/last"]
    assert bench.acquire(again(bench, "a"), debounce(window=200), rate()) is ASIDE
    assert bench.hash("held")["~a"].split("\0").count("d/last") == 1
    assert bench.scores("windows")["d/last"] == window
    bench.instant += 100
    assert bench.acquire(again(bench, "a"), debounce(window=200), rate()) is GRANTED


def test_the_key_of_what_was_superseded_stays_taken_for_its_time(bench: Bench) -> None:
    bench.schedule(Item("a", "default", 0, b"x", unique_ms=50))
    bench.add("b")
    tasks = bench.take()
    assert [bench.acquire(task, debounce()) for task in tasks] == [ASIDE, ASIDE]
    assert [answer.value for answer in bench.schedule(Item("a", "default", 0, b"x"))] == ["E"]


def test_a_window_of_one_debounce_does_not_move_that_of_another(bench: Bench) -> None:
    first, second = taken(bench, "a", "b")
    assert bench.acquire(first, debounce("x", 50), debounce("y", 100)) is ASIDE
    assert bench.acquire(second, debounce("y", 30)) is ASIDE
    assert bench.find("a").state == "cancelled"
    assert bench.scores("due") == {"b": bench.instant + 30}


def test_of_several_debounces_the_longest_counts(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    assert bench.acquire(task, debounce("x", 100), debounce("y", 50)) is ASIDE
    assert bench.scores("due") == {"a": bench.instant + 100}


# -- what is kept, and what is told


def test_records_that_are_old_or_too_many_are_swept(bench: Bench) -> None:
    tasks = taken(bench, *"abcd")
    claims = [cooldown()]
    bench.acquire_many(*[(task, claims, "") for task in tasks], limits=Limits(100, 2, 0))
    assert sorted(bench.hash("ended")) == ["c", "d"]


def test_whoever_listens_is_told_in_one_message(bench: Bench) -> None:
    tasks = taken(bench, *"abcde")
    claims = [permit(), permit(), rate(), cooldown(), cooldown()]
    with bench.listening() as heard:
        bench.acquire_many(*[(task, [claim], "") for task, claim in zip(tasks, claims, strict=True)])
        assert heard() == ["w\nwaiting b\ncancelled e"]
        (other,) = taken(bench, "f")
        assert heard() == ["producer\nqueued f", "w\nrunning f"]
        bench.acquire(other, rate())
        assert heard() == ["w\nscheduled f"]
        end(bench, tasks[0])
        assert heard() == ["w\ncompleted a\nqueued b"]
