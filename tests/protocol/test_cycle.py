"""`cycle.lua`: settle what finished, promote what is due, take what is ready."""

import pytest
from redis.exceptions import ResponseError

from shadows.protocol.acquire import Claim, Need
from shadows.protocol.cycle import Limits, Settlement, Taken, Verdict
from shadows.protocol.execution import Stand
from shadows.protocol.outcomes import (
    Outcome,
    cancelled,
    completed,
    dead,
    expired,
    failed,
    release,
    retry,
    started,
    succeeded_by,
)
from shadows.protocol.schedule import Answer, Item, Mode
from tests.protocol.bench import LEASE_MS, LIMITS, Bench

RECORDED, STALE, BAD = Verdict.RECORDED, Verdict.STALE, Verdict.BAD
AGAIN = [retry(), release(), succeeded_by(b"next")]


def taken(bench: Bench, *keys: str) -> list[Taken]:
    """Tasks that run."""
    bench.add(*keys)
    return bench.take()


def settle(bench: Bench, task: Taken, outcome: Outcome, limits: Limits = LIMITS) -> Verdict:
    (verdict,) = bench.cycle(settle=[(task, outcome)], limits=limits).verdicts
    return verdict


def is_empty(bench: Bench) -> bool:
    """Nothing is unfinished, and nothing is left of what was."""
    roles = ("live", "parked", "due", "controls")
    return bench.ask("XLEN", "ready:default") == 0 and not any(bench.ask("EXISTS", role) for role in roles)


# -- settling


@pytest.mark.parametrize(
    ("outcome", "state", "info", "blob", "letter"),
    [
        (completed(b"i/nfo"), "completed", b"i/nfo", b"", None),
        (failed(b"i/nfo"), "failed", b"i/nfo", b"1/0/call-a", "failed/default/1/5/ai/nfo1/0/call-a"),
        (cancelled(b"i/nfo"), "cancelled", b"i/nfo", b"1/0/call-a", None),
        (
            dead("unknown", b"i/nfo"),
            "failed",
            b"i/nfo",
            b"1/0/call-a",
            "unknown/default/1/5/ai/nfo1/0/call-a",
        ),
    ],
    ids=["completed", "failed", "cancelled", "dead"],
)
def test_a_task_that_ended_is_on_record_and_its_key_free(
    bench: Bench, outcome: Outcome, state: str, info: bytes, blob: bytes, letter: str | None
) -> None:
    (task,) = taken(bench, "a")
    assert settle(bench, task, outcome) is RECORDED
    found = bench.find("a")
    assert (found.stand, found.state, found.info, found.blob) == (Stand.ENDED, state, info, blob)
    assert (found.queue, found.instant_ms) == ("default", bench.instant)
    assert bench.dead() == ({task.token: letter} if letter else {})
    assert is_empty(bench)


def test_no_record_is_kept_where_none_is_wanted_but_dead_letters_are(bench: Bench) -> None:
    for task, outcome in zip(taken(bench, "a", "b"), [completed(), failed()], strict=True):
        settle(bench, task, outcome, Limits(0, 100, 100))
    assert not bench.ask("EXISTS", "ended", bench.key("ended:at"))
    assert len(bench.dead()) == 1


def test_a_retry_is_the_next_attempt_at_once_or_later(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    assert settle(bench, task, retry()) is RECORDED
    (task,) = bench.take()
    assert (task.key, task.blob) == ("a", b"2/0/call-a")
    assert settle(bench, task, retry(bench.instant + 5)) is RECORDED
    assert bench.take() == []
    assert bench.ask("HGETALL", "parked") == ["a", "default/3/0/call-a"]
    assert bench.ask("ZSCORE", "due", "a") == str(bench.instant + 5)
    assert bench.ask("XLEN", "ready:default") == 0


def test_what_is_handed_back_is_as_it_was_or_with_its_changed_call(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    settle(bench, task, release())
    (task,) = bench.take()
    assert task.blob == b"1/0/call-a"
    settle(bench, task, release(bench.instant + 5, b"changed/call"))
    assert bench.ask("HGETALL", "parked") == ["a", "default/1/0/changed/call"]


def test_the_next_run_follows_under_the_same_key_with_a_call_of_its_own(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    settle(bench, task, retry())
    (task,) = bench.take()
    settle(bench, task, succeeded_by(b"next"))
    (task,) = bench.take()
    assert (task.key, task.blob) == ("a", b"1/0/next")
    settle(bench, task, succeeded_by(b"later", bench.instant + 5))
    assert bench.ask("HGETALL", "parked") == ["a", "default/1/0/later"]
    assert not bench.ask("EXISTS", "ended")


@pytest.mark.parametrize("outcome", AGAIN, ids=lambda outcome: outcome.kind)
def test_who_was_to_be_cancelled_is_not_run_again(bench: Bench, outcome: Outcome) -> None:
    task, _ = taken(bench, "a", "b")
    bench.cancel("a")
    bench.cancel("b")
    assert settle(bench, task, outcome) is RECORDED
    found = bench.find("a")
    assert (found.state, found.blob, found.info) == ("cancelled", b"1/0/call-a", b"")
    assert bench.ask("ZCARD", "controls") == 1
    assert bench.take() == []


@pytest.mark.parametrize("outcome", [completed(), failed()], ids=lambda outcome: outcome.kind)
def test_who_was_to_be_cancelled_and_ended_before_ends_as_he_did(bench: Bench, outcome: Outcome) -> None:
    (task,) = taken(bench, "a")
    bench.cancel("a")
    assert bench.cycle(settle=[(task, outcome)]).stops == []
    assert bench.find("a").state == outcome.kind
    assert is_empty(bench)


@pytest.mark.parametrize(
    "outcome", [completed(), failed(), cancelled(), dead("x"), *AGAIN], ids=lambda outcome: outcome.kind
)
def test_an_outcome_counts_once(bench: Bench, outcome: Outcome) -> None:
    (task,) = taken(bench, "a")
    assert bench.cycle(settle=[(task, outcome), (task, completed(b"again"))]).verdicts == [RECORDED, STALE]
    record, length = bench.ask("HGETALL", "ended"), bench.ask("XLEN", "ready:default")
    assert settle(bench, task, failed(b"and again")) is STALE
    assert (bench.ask("HGETALL", "ended"), bench.ask("XLEN", "ready:default")) == (record, length)


def test_who_was_to_be_cancelled_and_was_deleted_by_hand_is_cancelled(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    bench.cancel("a")
    bench.wire.one("XTRIM", bench.key("ready:default"), "MAXLEN", 0)
    assert settle(bench, task, retry()) is RECORDED
    assert (bench.find("a").state, bench.dead()) == ("cancelled", {})


@pytest.mark.parametrize("outcome", [completed(), retry()], ids=lambda outcome: outcome.kind)
def test_who_has_no_present_token_changes_nothing(bench: Bench, outcome: Outcome) -> None:
    (task,) = taken(bench, "a")
    bench.instant += LEASE_MS
    bench.reap()
    assert settle(bench, task, outcome) is STALE
    assert settle(bench, Taken("default/0-1", "a", b""), outcome) is STALE
    assert [found.blob for found in bench.take("v")] == [b"1/1/call-a"]


@pytest.mark.parametrize("outcome", [completed(), retry(), failed()], ids=lambda outcome: outcome.kind)
def test_another_life_of_the_key_is_left_alone(bench: Bench, outcome: Outcome) -> None:
    (task,) = taken(bench, "a")
    bench.ask("HDEL", "live", "a")
    bench.add("a", at=bench.instant + 5)
    assert settle(bench, task, outcome) is STALE
    assert bench.ask("HGET", "live", "a") == "~due"
    assert bench.ask("XLEN", "ready:default") == 0
    assert not bench.ask("EXISTS", "ended", bench.key("dead"))


@pytest.mark.parametrize("outcome", [completed(), *AGAIN], ids=lambda outcome: outcome.kind)
def test_a_lost_place_does_not_lose_the_outcome(bench: Bench, outcome: Outcome) -> None:
    (task,) = taken(bench, "a")
    bench.ask("HDEL", "live", "a")
    assert settle(bench, task, outcome) is RECORDED
    assert len(bench.take()) == (outcome.kind != "completed")


@pytest.mark.parametrize("outcome", [retry(), release()], ids=lambda outcome: outcome.kind)
def test_what_was_deleted_by_hand_and_is_to_run_again_becomes_a_dead_letter(
    bench: Bench, outcome: Outcome
) -> None:
    (task,) = taken(bench, "a")
    bench.wire.one("XTRIM", bench.key("ready:default"), "MAXLEN", 0)
    assert settle(bench, task, outcome) is RECORDED
    assert bench.dead() == {task.token: "lost/default/1/0/a"}
    assert (bench.find("a").state, bench.find("a").blob) == ("failed", b"")
    assert is_empty(bench)


@pytest.mark.parametrize("outcome", [completed(), failed(), cancelled()], ids=lambda outcome: outcome.kind)
def test_what_was_deleted_by_hand_ends_as_it_did(bench: Bench, outcome: Outcome) -> None:
    (task,) = taken(bench, "a")
    bench.wire.one("XTRIM", bench.key("ready:default"), "MAXLEN", 0)
    assert settle(bench, task, outcome) is RECORDED
    assert bench.find("a").state == outcome.kind
    assert is_empty(bench)


def test_what_somebody_else_wrote_can_be_settled_as_dead(bench: Bench) -> None:
    foreign = bench.ask("XADD", "ready:default", "*", "some", "thing")
    odd = bench.ask("XADD", "ready:default", "*", "k", "a", "c", "odd")
    raw = bench.ask("XADD", "ready:default", "*", "k", b"\xff", "c", "1/0/x")
    tasks = bench.take()
    assert tasks == [
        Taken(f"default/{foreign}", "", b"some thing", readable=False),
        Taken(f"default/{odd}", "a", b"odd"),
        Taken(f"default/{raw}", "", b"k \xff c 1/0/x", readable=False),
    ]
    bench.cycle(
        settle=[(task, dead("undecodable", b"why")) for task in tasks[:2]] + [(tasks[2], completed())]
    )
    assert bench.dead() == {
        tasks[0].token: "undecodable/default/0/3/whysome thing",
        tasks[1].token: "undecodable/default/1/3/awhyodd",
    }
    assert bench.ask("HKEYS", "ended") == ["a"]
    assert is_empty(bench)


def test_what_somebody_else_wrote_cannot_be_run_again_and_is_kept_as_a_dead_letter(bench: Bench) -> None:
    bench.ask("XADD", "ready:default", "*", "some", "thing")
    (task,) = bench.take()
    assert settle(bench, task, retry()) is RECORDED
    assert bench.dead() == {task.token: "lost/default/0/0/some thing"}
    assert is_empty(bench)


def test_a_dead_letter_without_a_reason_is_no_error(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    said = bench.raw(
        "cycle", bench.instant, "w", *LIMITS.arguments(), 0, 0, "", 1, task.token, "a", "dead", 0, "Why"
    )  # fmt: skip
    assert said[1] == "O"
    assert bench.dead() == {task.token: "/default/1/3/aWhy1/0/call-a"}


@pytest.mark.parametrize(
    "token", ["", "default", "default/", "default/x", "/1-1", "~due/1-1", "nowhere/1-1", "a/b/1-1"]
)
def test_a_token_that_is_none_is_bad_and_hurts_no_other(bench: Bench, token: str) -> None:
    (task,) = taken(bench, "a")
    wrong = Taken(token, "a", b"")
    assert bench.cycle(settle=[(wrong, completed()), (task, completed())]).verdicts == [BAD, RECORDED]


def test_an_instant_that_is_no_number_is_bad_and_changes_nothing(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    said = bench.raw(
        "cycle", bench.instant, "w", *LIMITS.arguments(), 0, 0, "", 1, task.token, "a", "retry", "soon", ""
    )  # fmt: skip
    assert said[1] == "B"
    assert settle(bench, task, completed()) is RECORDED


def test_a_broken_queue_hurts_no_other(bench: Bench) -> None:
    bench.enroll("broken", "mail")
    bench.add("a", queue="broken")
    bench.add("b")
    (first,), (second,) = bench.take(queue="broken"), bench.take()
    bench.add("c", at=bench.instant + 1, queue="broken")
    bench.add("d", at=bench.instant + 2)
    bench.wire.one("RENAME", bench.key("ready:broken"), bench.key("strikes"))
    bench.ask("SET", "ready:broken", "x")
    bench.instant += 10
    cycled = bench.cycle(
        settle=[(first, completed()), (second, completed())], take=5, queues=["broken", "default"]
    )
    assert cycled.verdicts == [BAD, RECORDED]
    assert [task.key for task in cycled.taken] == ["d"]
    assert cycled.next_due_ms == 1000
    bench.wire.one("RENAME", bench.key("strikes"), bench.key("ready:broken"))
    bench.instant += 1000
    bench.lease("w")
    cycled = bench.cycle(settle=[(first, completed())], take=5, queues=["broken"])
    assert cycled.verdicts == [RECORDED]
    assert [task.key for task in cycled.taken] == ["c"]


# -- what follows


def following(outcome: Outcome, *followers: Item) -> Outcome:
    return Outcome(outcome.kind, outcome.instant_ms, outcome.data, followers)


def test_what_follows_is_scheduled_with_the_outcome(bench: Bench) -> None:
    bench.enroll("mail")
    first, second = taken(bench, "a", "b")
    followers = [
        Item("c", "mail", 0, b"call-c"),
        Item("d", "default", bench.instant + 5, b"call-d", unique_ms=9),
    ]
    cycled = bench.cycle(
        settle=[(first, following(completed(b"info"), *followers)), (second, completed())],
        take=5,
        queues=["default", "mail"],
    )
    assert cycled.verdicts == [RECORDED, RECORDED]
    assert [(task.token.split("/")[0], task.key, task.blob) for task in cycled.taken] == [
        ("mail", "c", b"1/0/call-c")
    ]
    assert cycled.next_due_ms == 5
    assert bench.hash("parked") == {"d": "default/1/0/u9/call-d"}
    assert bench.find("a").info == b"info"


@pytest.mark.parametrize(
    "wrong", [Item("d", "nowhere", 0, b"x"), Item("d", "broken", 0, b"x")], ids=lambda item: item.queue
)
@pytest.mark.parametrize("first", [True, False])
def test_where_one_cannot_follow_nothing_is_done_at_all(bench: Bench, wrong: Item, first: bool) -> None:
    bench.enroll("broken")
    bench.ask("DEL", "ready:broken")
    bench.ask("SET", "ready:broken", "x")
    task, other = taken(bench, "a", "b")
    right = Item("c", "default", 0, b"x")
    followers = [wrong, right] if first else [right, wrong]
    cycled = bench.cycle(
        settle=[(task, following(completed(), *followers)), (other, following(completed(), right))]
    )
    assert cycled.verdicts == [BAD, RECORDED]
    assert sorted(bench.hash("live")) == ["a", "c"]
    assert settle(bench, task, completed()) is RECORDED


def test_a_follower_whose_instant_is_no_number_makes_the_outcome_bad(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    said = bench.raw(
        "cycle", bench.instant, "w", *LIMITS.arguments(), 0, 0, "", 2, task.token, "a", "completed", 0, "",
        "", "b", "default", "soon", "x", "default",
    )  # fmt: skip
    assert said[1] == "B"
    assert list(bench.hash("live")) == ["a"]


def test_a_follower_whose_key_is_taken_is_left_out(bench: Bench) -> None:
    task, _ = taken(bench, "a", "b")
    bench.add("c", at=bench.instant + 5)
    before = bench.hash("live")
    followers = [Item("b", "default", 0, b"x"), Item("c", "default", 0, b"x"), Item("d", "default", 0, b"x")]
    assert settle(bench, task, following(completed(), *followers)) is RECORDED
    assert [found.key for found in bench.take("v")] == ["d"]
    assert {key: mark for key, mark in bench.hash("live").items() if key in before} == {
        key: mark for key, mark in before.items() if key != "a"
    }


@pytest.mark.parametrize(
    "outcome", [completed(), failed(), Outcome(completed().kind, 5000)], ids=["completed", "failed", "unique"]
)
def test_its_own_next_run_follows_whatever_the_key_is_kept_for(bench: Bench, outcome: Outcome) -> None:
    (task,) = taken(bench, "a")
    assert settle(bench, task, following(outcome, Item("a", "default", 0, b"again"))) is RECORDED
    assert bench.find("a").stand is Stand.QUEUED
    assert bench.hash("ended")["a"].startswith(outcome.kind)
    assert [(found.key, found.blob) for found in bench.take()] == [("a", b"1/0/again")]


@pytest.mark.parametrize("outcome", [completed(), failed(), cancelled()], ids=lambda outcome: outcome.kind)
def test_who_was_to_be_cancelled_has_no_next_run_but_what_follows(bench: Bench, outcome: Outcome) -> None:
    (task,) = taken(bench, "a")
    bench.cancel("a")
    followers = [Item("a", "default", 0, b"again"), Item("b", "default", 0, b"x")]
    assert settle(bench, task, following(outcome, *followers)) is RECORDED
    assert [found.key for found in bench.take()] == ["b"]
    assert bench.find("a").state == outcome.kind


def test_a_stale_outcome_brings_nothing_after_it(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    settle(bench, task, completed())
    assert settle(bench, task, following(completed(), Item("b", "default", 0, b"x"))) is STALE
    (task,) = taken(bench, "a")
    bench.ask("HSET", "live", "a", "~due")
    assert settle(bench, task, following(completed(), Item("b", "default", 0, b"x"))) is STALE
    assert list(bench.hash("live")) == ["a"]


def test_a_hundred_follow_one_run(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    followers = [Item(f"f{number}", "default", 0, b"x") for number in range(100)]
    settle(bench, task, following(completed(), *followers))
    assert [found.key for found in bench.take(most=200)] == [item.key for item in followers]


def test_a_row_without_a_token_that_follows_nothing_is_bad(bench: Bench) -> None:
    said = bench.raw(
        "cycle", bench.instant, "w", *LIMITS.arguments(), 0, 0, "", 1, "", "b", "default", 0, "x", "default"
    )  # fmt: skip
    assert said[1] == "B"
    assert not bench.ask("EXISTS", "live")


# -- keys that stay taken


ENDINGS = [completed(), failed(), cancelled(), expired(), dead("unknown")]


@pytest.mark.parametrize("outcome", ENDINGS, ids=lambda outcome: outcome.kind)
def test_a_key_stays_taken_for_its_time_after_any_end(bench: Bench, outcome: Outcome) -> None:
    (task,) = taken(bench, "a")
    settle(bench, task, Outcome(outcome.kind, 50, outcome.data))
    assert bench.find("a").stand is Stand.ENDED
    bench.instant += 49
    assert bench.schedule(Item("a", "default", 0, b"x")) == [Answer.EXISTS]
    bench.instant += 1
    assert bench.schedule(Item("a", "default", 0, b"x")) == [Answer.ACCEPTED]


@pytest.mark.parametrize("outcome", ENDINGS, ids=lambda outcome: outcome.kind)
def test_a_key_is_free_at_its_end_where_nothing_else_was_wanted(bench: Bench, outcome: Outcome) -> None:
    (task,) = taken(bench, "a")
    settle(bench, task, outcome)
    assert bench.ask("ZSCORE", "windows", "u/a") is None
    assert bench.ask("HGET", "meta", "unique") is None
    bench.add("a")


@pytest.mark.parametrize("outcome", AGAIN, ids=lambda outcome: outcome.kind)
def test_what_runs_again_has_not_ended_and_keeps_no_time(bench: Bench, outcome: Outcome) -> None:
    (task,) = taken(bench, "a")
    settle(bench, task, Outcome(outcome.kind, bench.instant + 50, outcome.data))
    assert bench.ask("ZSCORE", "windows", "u/a") is None


@pytest.mark.parametrize("outcome", AGAIN, ids=lambda outcome: outcome.kind)
def test_a_key_is_free_at_once_where_its_task_was_cancelled_before_running_again(
    bench: Bench, outcome: Outcome
) -> None:
    (task,) = taken(bench, "a")
    bench.cancel("a")
    settle(bench, task, Outcome(outcome.kind, bench.instant + 50, outcome.data))
    bench.add("a")


def test_a_follower_whose_key_is_not_free_again_yet_is_left_out(bench: Bench) -> None:
    first, second, third = taken(bench, "a", "b", "c")
    followers = [Item("a", "default", 0, b"x"), Item("d", "default", 0, b"x")]
    bench.cycle(settle=[(first, Outcome(completed().kind, 50)), (second, following(completed(), *followers))])
    assert [found.key for found in bench.take()] == ["d"], (
        "also where the first such key is of the same cycle"
    )
    bench.instant += 50
    settle(bench, third, following(completed(), *followers))
    assert [found.key for found in bench.take()] == ["a"]


def test_what_was_not_started_in_time_is_on_record_as_expired_with_its_call(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    assert settle(bench, task, expired(b"info")) is RECORDED
    found = bench.find("a")
    assert (found.state, found.info, found.blob) == ("expired", b"info", b"1/0/call-a")
    assert bench.dead() == {}
    assert is_empty(bench)


# -- paused queues


def pause(bench: Bench, *queues: str) -> str:
    field = "".join(f"{queue} " for queue in queues)
    bench.ask("HSET", "meta", "paused", field)
    return field


def test_nothing_is_taken_from_a_paused_queue_and_nothing_is_lost(bench: Bench) -> None:
    bench.enroll("mail", "mails", "ail")
    bench.add("a")
    for queue in ("mail", "mails", "ail"):
        bench.add(queue, queue=queue)
    bench.lease("w")
    for paused, keys in (
        (("x", "mail", "default"), ["mails", "ail"]),
        (("mail", "default"), []),
        (("default",), ["mail"]),
    ):
        field = pause(bench, *paused)
        cycled = bench.cycle(take=9, queues=["mail", "mails", "ail", "default"])
        assert (cycled.paused, [task.key for task in cycled.taken]) == (field, keys)
    bench.ask("HDEL", "meta", "paused")
    cycled = bench.cycle(take=9, queues=["mail", "mails", "ail", "default"])
    assert (cycled.paused, [task.key for task in cycled.taken]) == ("", ["a"])


def test_a_star_pauses_all_queues_and_settling_and_promotion_go_on(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    bench.add("b", at=bench.instant + 1)
    bench.instant += 1
    pause(bench, "mail", "*")
    cycled = bench.cycle(settle=[(task, completed())], take=5)
    assert (cycled.verdicts, cycled.taken, cycled.next_due_ms) == ([RECORDED], [], None)
    assert bench.find("b").stand is Stand.QUEUED
    pause(bench, "star*")
    assert [found.key for found in bench.take()] == ["b"]


def test_a_cycle_tells_the_version_of_the_strikes(bench: Bench) -> None:
    assert bench.cycle().strikes == 0
    bench.ask("HSET", "meta", "strikes", 7)
    assert bench.cycle().strikes == 7


# -- news


def test_whoever_listens_is_told_what_changed_in_one_message_a_cycle(bench: Bench) -> None:
    ends = taken(bench, *"abcde")
    bench.add("f", at=bench.instant + 1)
    bench.instant += 1
    with bench.listening() as heard:
        outcomes = [completed(), failed(), cancelled(), expired(), dead("unknown")]
        bench.lease("w")
        bench.cycle(settle=zip(ends, outcomes, strict=True), take=1)
        assert heard() == ["w\ncompleted a\nfailed b\ncancelled c\nexpired d\nfailed e\nqueued f\nrunning f"]
        bench.cycle()
        assert heard() == []


@pytest.mark.parametrize("later", [-1, 0, 1])
@pytest.mark.parametrize("outcome", AGAIN, ids=lambda outcome: outcome.kind)
def test_what_runs_again_is_told_as_scheduled_or_queued(bench: Bench, outcome: Outcome, later: int) -> None:
    (task,) = taken(bench, "a")
    with bench.listening() as heard:
        settle(bench, task, Outcome(outcome.kind, bench.instant + later, outcome.data))
        assert heard() == [f"w\n{'scheduled' if later > 0 else 'queued'} a"]


def test_what_follows_is_told_behind_the_outcome(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    with bench.listening() as heard:
        instants = {"b": 0, "c": bench.instant + 5, "d": bench.instant}
        followers = [Item(key, "default", instant, b"x") for key, instant in instants.items()]
        settle(bench, task, following(completed(), *followers))
        assert heard() == ["w\ncompleted a\nqueued b\nscheduled c\nqueued d"]


def test_what_was_lost_is_told_as_failed(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    bench.add("b", at=bench.instant + 1)
    bench.ask("HDEL", "parked", "b")
    bench.wire.one("XTRIM", bench.key("ready:default"), "MAXLEN", 0)
    bench.instant += 1
    with bench.listening() as heard:
        settle(bench, task, retry())
        assert heard() == ["w\nfailed a\nfailed b"]


def test_nothing_is_told_where_nobody_listens_any_more(bench: Bench) -> None:
    first, second = taken(bench, "a", "b")
    with bench.listening(10) as heard:
        bench.instant += 9
        settle(bench, first, completed())
        assert heard() == ["w\ncompleted a"]
        bench.instant += 1
        settle(bench, second, completed())
        assert heard() == []


def test_a_stale_or_bad_outcome_is_no_news(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    settle(bench, task, completed())
    with bench.listening() as heard:
        bench.cycle(settle=[(task, failed()), (Taken("nowhere/1-1", "a", b""), failed())])
        assert heard() == []


# -- a lost group


def test_a_lost_group_is_made_anew_from_the_very_beginning(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("a", "b")
    bench.take(most=1)
    bench.cancel("a")
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:default"), "g")
    cycled = bench.cycle(take=5)
    assert [task.key for task in cycled.taken] == ["a", "b"]
    assert bench.cycle(settle=[(task, completed()) for task in cycled.taken]).verdicts == [RECORDED] * 2
    assert is_empty(bench)


@pytest.mark.parametrize("outcome", [completed(), retry()], ids=lambda outcome: outcome.kind)
def test_an_outcome_for_a_lost_group_is_stale_and_takes_its_note_along(
    bench: Bench, outcome: Outcome
) -> None:
    (task,) = taken(bench, "a")
    bench.cancel("a")
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:default"), "g")
    bench.take("v")
    settled = bench.cycle("v", settle=[(task, outcome)])
    assert settled.verdicts == [RECORDED]
    assert bench.ask("ZCARD", "controls") == 1
    assert settle(bench, task, outcome) is STALE
    assert not bench.ask("EXISTS", "controls")


def test_a_stale_outcome_takes_no_others_note_along(bench: Bench) -> None:
    taken(bench, "a")
    bench.cancel("a")
    settle(bench, Taken("default/0-1", "a", b""), completed())
    assert bench.ask("ZCARD", "controls") == 1


# -- promoting


def test_what_has_come_due_is_ready_in_the_order_of_its_instants(bench: Bench) -> None:
    for key, later in (("c", 3), ("a", 2), ("b", 2), ("d", 4)):
        bench.add(key, at=bench.instant + later)
    bench.instant += 3
    cycled = bench.cycle()
    assert cycled.next_due_ms == 1
    assert cycled.unfinished == 4
    assert [task.key for task in bench.take()] == ["a", "b", "c"]
    assert bench.ask("HKEYS", "parked") == bench.ask("ZRANGE", "due", 0, -1) == ["d"]


def test_no_more_is_promoted_than_was_asked_for(bench: Bench) -> None:
    bench.add(*"abc", at=bench.instant + 1)
    assert bench.cycle().next_due_ms == 1
    bench.instant += 5
    assert bench.cycle(promote=0).next_due_ms == 0
    assert bench.cycle(promote=2).next_due_ms == 0
    assert bench.ask("XLEN", "ready:default") == 2
    assert bench.cycle(promote=2).next_due_ms is None


def test_what_comes_due_is_taken_in_the_same_round_trip(bench: Bench) -> None:
    bench.add("a", at=bench.instant + 1)
    bench.instant += 1
    bench.lease("w")
    assert [task.key for task in bench.cycle(take=1).taken] == ["a"]


def test_a_parked_call_that_was_lost_becomes_a_dead_letter(bench: Bench) -> None:
    bench.add("a", "b", "c", at=bench.instant + 1)
    bench.ask("HDEL", "parked", "a")
    bench.ask("HSET", "parked", "b", "nonsense")
    bench.instant += 1
    assert bench.cycle().unfinished == 1
    assert bench.dead() == {
        f"lost/{bench.instant}/a": "lost//1/0/a",
        f"lost/{bench.instant}/b": "lost//1/0/bnonsense",
    }
    assert bench.find("b").blob == b"nonsense"
    assert (bench.find("a").stand, bench.find("a").state) == (Stand.ENDED, "failed")
    assert [task.key for task in bench.take()] == ["c"]
    assert not bench.ask("EXISTS", "due", bench.key("parked"))


def test_a_place_that_was_lost_is_found_again_when_it_is_due(bench: Bench) -> None:
    bench.add("a", at=bench.instant + 1)
    bench.ask("HDEL", "live", "a")
    bench.instant += 1
    (task,) = bench.take()
    assert bench.ask("HGET", "live", "a") == task.token


def test_what_is_due_gives_way_to_another_life_of_its_key(bench: Bench) -> None:
    bench.add("a", "b", at=bench.instant + 1)
    bench.ask("HDEL", "live", "a", "b")
    bench.add("a")
    bench.ask("HSET", "live", "b", "~wait/0001/limit")
    bench.instant += 1
    assert [(task.key, task.blob) for task in bench.take()] == [("a", b"1/0/call-a")]
    assert not bench.ask("EXISTS", "due")
    assert bench.ask("HKEYS", "parked") == ["b"], "it is the one that waits for a permit"


# -- taking


def test_the_oldest_is_taken_first_queue_by_queue_no_more_than_asked_for(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("a", "b", "c")
    bench.add("d", "e", queue="mail")
    bench.lease("w")
    cycled = bench.cycle(take=4, queues=["mail", "default"])
    assert [(task.key, task.blob) for task in cycled.taken] == [
        ("d", b"1/0/call-d"), ("e", b"1/0/call-e"), ("a", b"1/0/call-a"), ("b", b"1/0/call-b"),
    ]  # fmt: skip
    assert [task.key for task in bench.cycle(take=1, queues=["default"]).taken] == ["c"]
    assert bench.cycle(take=1, queues=["nowhere", "mail", "default"]).taken == []
    assert bench.ask("HGET", "live", "d") == cycled.taken[0].token


def test_nothing_is_taken_without_a_lease(bench: Bench) -> None:
    bench.add("a")
    assert (bench.cycle(take=1).taken, bench.cycle(take=1).leased) == ([], False)
    bench.lease("w")
    bench.instant += LEASE_MS
    assert (bench.cycle(take=1).taken, bench.cycle(take=1).leased) == ([], False)
    bench.instant -= 1
    assert bench.cycle(take=0).leased is True
    assert [task.key for task in bench.cycle(take=1).taken] == ["a"]


def test_outcomes_count_without_a_lease_until_somebody_took_the_task_back(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    bench.instant += 2 * LEASE_MS
    assert settle(bench, task, completed()) is RECORDED


def test_each_is_told_what_to_cancel_and_nobody_else(bench: Bench) -> None:
    (first,) = taken(bench, "a")
    bench.add("b")
    (second,) = bench.take("w1")
    bench.cancel("a")
    bench.cancel("b")
    assert bench.cycle("w").stops == [first.token]
    assert bench.cycle("w1").stops == [second.token]


def test_a_wake_that_was_read_is_acknowledged(bench: Bench) -> None:
    bench.ask("XADD", "wake", "*", "k", "")
    reply = bench.wire.one("XREADGROUP", "GROUP", "g", "w", "STREAMS", bench.key("wake"), ">")
    bench.cycle()
    assert bench.wire.one("XPENDING", bench.key("wake"), "g")[0] == 1
    bench.cycle(woken=reply[0][1][0][0])
    assert bench.wire.one("XPENDING", bench.key("wake"), "g")[0] == 0


# -- what is kept


def test_records_are_kept_for_their_time_and_swept_in_bounded_steps(bench: Bench) -> None:
    bench.add(*[f"k{number:02}" for number in range(40)])
    tasks = bench.take(most=40)
    bench.cycle(settle=[(task, completed()) for task in tasks], limits=Limits(100, 40, 0))
    bench.instant += 99
    bench.cycle()
    assert bench.ask("HLEN", "ended") == 40
    bench.instant += 1
    for left in (30, 20, 10, 0, 0):
        bench.cycle()
        assert bench.ask("HLEN", "ended") == bench.ask("ZCARD", "ended:at") == left


def test_no_more_records_are_kept_than_wanted_and_the_oldest_go_first(bench: Bench) -> None:
    bench.add(*[f"k{number:02}" for number in range(40)])
    for task in bench.take(most=40):
        bench.instant += 1
        settle(bench, task, completed(), Limits(1000, 50, 0))
    bench.cycle(limits=Limits(1000, 32, 0))
    assert sorted(bench.ask("HKEYS", "ended")) == [f"k{number:02}" for number in range(8, 40)]
    bench.cycle(limits=Limits(1000, 5, 0))
    assert bench.ask("HLEN", "ended") == 22
    for _ in range(2):
        bench.cycle(limits=Limits(1000, 5, 0))
    assert sorted(bench.ask("HKEYS", "ended")) == [f"k{number:02}" for number in range(35, 40)]


def test_no_more_dead_letters_are_kept_than_wanted_and_the_oldest_go_first(bench: Bench) -> None:
    tasks = taken(bench, *"abcdef")
    for task in tasks[:4]:
        bench.instant += 1
        settle(bench, task, failed(), Limits(1000, 50, 4))
    settle(bench, tasks[4], failed(), Limits(1000, 50, 2))
    assert sorted(bench.dead()) == sorted(task.token for task in tasks[2:5])
    settle(bench, tasks[5], failed(), Limits(1000, 50, 2))
    assert bench.ask("ZRANGE", "dead:at", 0, -1) == [task.token for task in tasks[4:6]]
    assert sorted(bench.dead()) == sorted(task.token for task in tasks[4:6])


def test_failures_outlive_successes(bench: Bench) -> None:
    limits = Limits(1000, 4, 100)
    outcomes = {
        "a": failed(),
        "b": completed(),
        "c": failed(),
        "d": cancelled(),
        "e": expired(),
        "f": completed(),
    }
    for task in taken(bench, *outcomes):
        bench.instant += 1
        settle(bench, task, outcomes[task.key], limits)
    assert sorted(bench.hash("ended")) == ["a", "c", "e", "f"]
    for left in (["a", "c", "f"], ["a", "c"], ["c"], []):
        bench.cycle(limits=Limits(1000, len(left), 100))
        assert sorted(bench.hash("ended")) == sorted(bench.scores("ended:at")) == left
    assert len(bench.dead()) == 2


def test_what_is_old_goes_first_and_no_more_than_what_is_too_much(bench: Bench) -> None:
    outcomes = {"a": failed(), "b": completed(), "c": completed(), "d": completed()}
    for task in taken(bench, *outcomes):
        settle(bench, task, outcomes[task.key], Limits(100, 9, 100))
        bench.instant += 10
    bench.instant += 65
    bench.cycle(limits=Limits(100, 2, 100))
    assert sorted(bench.hash("ended")) == ["c", "d"]


def test_nothing_that_it_has_passed_is_left_of_a_task_that_ends(bench: Bench) -> None:
    claim = Claim(Need.RATE, "slow", 1, 100)
    keys = "abcdefg"
    for task in taken(bench, *keys):
        bench.acquire(task, claim)
    bench.instant += 1000
    bench.ask("HDEL", "parked", "g")
    *tasks, last = bench.take()
    assert sorted(bench.hash("held"))[1:] == [f"~{key}" for key in keys[1:-1]], (
        "the lost one is a dead letter"
    )
    outcomes = [completed(), failed(), cancelled(), expired()]
    bench.cycle(settle=zip(tasks, outcomes, strict=True))
    assert sorted(bench.hash("held"))[1:] == ["~f"]
    settle(bench, last, release())
    assert "~f" in bench.hash("held"), "it has not ended"
    (last,) = bench.take()
    bench.wire.one("XTRIM", bench.key("ready:default"), "MAXLEN", 0)
    settle(bench, last, retry())
    assert "~f" not in bench.hash("held")


# -- the whole


def test_a_full_server_drains(bench: Bench) -> None:
    bench.add(*"abcd")
    tasks = bench.take(most=3)
    bench.add("e", at=bench.instant + 1)
    bench.instant += 1
    with bench.full():
        outcomes = [retry(), failed(), succeeded_by(b"x", bench.instant + 9)]
        cycled = bench.cycle(settle=zip(tasks, outcomes, strict=True), take=9)
    assert cycled.verdicts == [RECORDED] * 3
    assert sorted(task.key for task in cycled.taken) == ["a", "d", "e"]


def test_a_full_server_heals_what_is_broken(bench: Bench) -> None:
    bench.enroll("broken")
    bench.add("a")
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:default"), "g")
    bench.lease("w")
    with bench.full():
        assert [task.key for task in bench.cycle(take=1).taken] == ["a"]
    bench.add("b", queue="broken", at=bench.instant + 1)
    bench.ask("DEL", "ready:broken")
    bench.ask("SET", "ready:broken", "x")
    bench.instant += 1
    with bench.full():
        assert bench.cycle().next_due_ms == 1000


def test_two_hundred_of_everything_go_in_one_call(bench: Bench) -> None:
    keys = [f"k{number}" for number in range(200)]
    bench.add(*keys)
    tasks = bench.take(most=200)
    bench.schedule(*[Item(f"l{key}", "default", bench.instant + 1, b"x") for key in keys])
    bench.instant += 1
    cycled = bench.cycle(settle=[(task, failed()) for task in tasks], take=200)
    assert cycled.verdicts == [RECORDED] * 200
    assert len(cycled.taken) == 200
    assert cycled.unfinished == 200


def test_a_settlement_is_a_token_a_key_and_an_outcome() -> None:
    assert Settlement("default/1-1", "a", retry(5)).outcome == Outcome(retry().kind, 5)


def test_what_a_blocking_read_has_brought_is_told_as_running_and_stays_its_holders(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    with bench.listening() as heard:
        assert bench.cycle(settle=[(task, started())]).verdicts == [Verdict.RECORDED]
        assert heard() == ["w\nrunning a"]
        assert bench.cycle(settle=[(task, completed())]).verdicts == [Verdict.RECORDED]
        assert heard() == ["w\ncompleted a"]


def test_an_error_that_is_not_of_a_missing_group_is_told(bench: Bench) -> None:
    bench.add("a")
    (task,) = bench.take()
    bench.add("b")
    bench.wire.one("ACL", "SETUSER", "default", "-xreadgroup")
    try:
        with pytest.raises(ResponseError, match=r"NOPERM|permission|can't run"):
            bench.cycle(take=1, settle=[(task, completed())])
    finally:
        bench.wire.one("ACL", "SETUSER", "default", "+xreadgroup")
    assert bench.find("a").state == "completed", "what it settled before is settled"
    assert [found.key for found in bench.take()] == ["b"]


def test_of_what_was_replaced_since_it_was_heard_of_no_start_is_told(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    bench.schedule(Item("a", "default", 0, b"other", Mode.REPLACE))
    with bench.listening() as heard:
        bench.cycle(settle=[(task, started())])
        assert heard() == []


def test_who_may_not_publish_news_settles_as_anybody(bench: Bench) -> None:
    (task,) = taken(bench, "a")
    with bench.listening():
        bench.wire.one("ACL", "SETUSER", "default", "resetchannels")
        try:
            assert bench.cycle(settle=[(task, completed())]).verdicts == [Verdict.RECORDED]
        finally:
            bench.wire.one("ACL", "SETUSER", "default", "allchannels")
    assert bench.find("a").state == "completed"


@pytest.mark.parametrize("queue", ["~~~", "a b", "{a}", "*", "-a", ""])
def test_a_due_task_of_a_queue_that_none_can_be_called_is_a_dead_letter(bench: Bench, queue: str) -> None:
    bench.add("k", "good", at=bench.instant + 1)
    bench.ask("HSET", "parked", "k", f"{queue}/1/0/call")
    bench.instant += 1
    assert [taken.key for taken in bench.take()] == ["good"]
    assert bench.dead() == {f"lost/{bench.instant}/k": f"lost//1/0/k{queue}/1/0/call"}
    assert bench.scores("due") == {}
    assert bench.hash("parked") == {}
    assert list(bench.hash("live")) == ["good"]
