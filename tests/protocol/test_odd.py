"""Fields, members and scores that none of ours would write: the scripts read them as nothing, and mend what would stick."""

import math
from typing import Any

import pytest

from shadows.protocol.acquire import Admission, Claim, Need
from shadows.protocol.cycle import Taken
from shadows.protocol.execution import Cancelled, Found, Stand
from shadows.protocol.instants import FARTHEST_MS, milliseconds
from shadows.protocol.lease import Announcement, announcements, name_of, strangers
from shadows.protocol.letters import discard, letters
from shadows.protocol.look import Ask, Kind, crew, look
from shadows.protocol.operator import clear
from shadows.protocol.outcomes import completed, failed
from shadows.protocol.schedule import Answer, Item, Mode
from shadows.protocol.strikes import look as look_at_strikes
from shadows.protocol.strikes import restore, strike
from tests.protocol.bench import LIMITS, Bench, now

ODD = ["", "x", "nan", "inf", "-inf", "1e999", "1.5", "-1", "0x10", "9" * 30, "9" * 400, "\0"]
FAR = 10**15


each_odd = pytest.mark.parametrize("odd", ODD)


def taken_in_turn(bench: Bench, *keys: str) -> list[Taken]:
    bench.add(*keys)
    return bench.take()


# -- meta


@each_odd
def test_odd_words_in_meta_hinder_no_script(bench: Bench, odd: str) -> None:
    for field in ("listening", "strikes", "unique", "mended"):
        bench.ask("HSET", "meta", field, odd)
    assert bench.schedule(Item("a", "default", 0, b"call")) == [Answer.ACCEPTED]
    assert bench.schedule(Item("b", "default", bench.instant + 5, b"call", Mode.REPLACE)) == [Answer.ACCEPTED]
    (task,) = bench.take()
    assert bench.acquire(task, Claim(Need.PERMIT, "one", 1)) is Admission.GRANTED
    bench.progress((task.token, "a", "1/2/"))
    bench.tidy()
    cycled = bench.cycle(settle=[(task, failed())])
    assert [verdict.name for verdict in cycled.verdicts] == ["RECORDED"]
    assert cycled.strikes == now(look_at_strikes(bench.store, bench.link, -1)).version
    assert bench.raw("requeue", bench.instant, task.token, "") == ["REQUEUED"]
    assert bench.cancel("b") is Cancelled.ENDED
    assert now(clear(bench.store, bench.link, LIMITS, stamp=bench.stamp)) == (1, False)


@each_odd
def test_striking_begins_a_version_anew_where_there_is_none(bench: Bench, odd: str) -> None:
    bench.ask("HSET", "meta", "strikes", odd)
    before = now(look_at_strikes(bench.store, bench.link, -1)).version
    struck = now(strike(bench.store, bench.link, [b"s"], before, stamp=bench.stamp, most=10))
    assert (struck.version, struck.strikes) == (-0 if odd == "-1" else bench.instant, [b"s"])
    restored = now(restore(bench.store, bench.link, [b"s"], struck.version, stamp=bench.stamp))
    assert (restored.version, restored.strikes) == (struck.version + 1, [])


@each_odd
def test_an_odd_version_of_the_wire_is_none(bench: Bench, odd: str) -> None:
    bench.ask("HSET", "meta", "least", odd, "wire", odd)
    if odd not in ("1.5", "0x10"):  # these are newer ones
        bench.enroll("mail")
        assert "mail" in bench.store.queues


@pytest.mark.parametrize("called", ["", "x/y", "~", " ", "a b", "{a}", "\xff", "x" * 129, "x\n"])
def test_what_no_queue_can_be_called_is_none(bench: Bench, called: str) -> None:
    bench.ask("SADD", "queues", called.encode("latin-1"), "x" * 128)
    bench.add("a")
    assert bench.store.queues == ("default", "x" * 128)
    assert sorted(bench.ask("SMEMBERS", "queues")) == ["default", "x" * 128]


def test_odd_names_of_paused_queues_are_shown(bench: Bench) -> None:
    bench.ask("HSET", "meta", "paused", b"\xff mail ")
    totals, _ = now(look(bench.store, bench.link, stamp=bench.stamp))
    assert totals.paused == {"�", "mail"}


# -- instants


@pytest.mark.parametrize("score", ["inf", 1e300, FAR])
def test_what_is_due_in_30_000_years_is_due_now(bench: Bench, score: Any) -> None:
    bench.add("a", "b", at=bench.instant + 10)
    bench.ask("ZADD", "due", score, "a")
    bench.ask("ZADD", "due", FAR - 1, "b")
    assert 0 < (bench.cycle().next_due_ms or 0) <= 1e12
    bench.tidy()
    assert bench.scores("due") == {"a": bench.instant, "b": FAR - 1}
    assert [task.key for task in bench.take()] == ["a"]


def test_a_window_or_a_lease_of_30_000_years_ends(bench: Bench) -> None:
    bench.ask("ZADD", "windows", "inf", "u/a", FAR, "r/x/1/0", FAR - 1, "u/b")
    bench.ask("ZADD", "leases", "inf", "dead", FAR - 1, "alive")
    bench.ask("ZADD", "dead:at", "inf", "letter")
    bench.tidy()
    assert bench.scores("windows") == {"u/b": FAR - 1}
    assert bench.scores("leases") == {"dead": bench.instant + 60_000, "alive": FAR - 1}
    assert bench.scores("dead:at") == {"letter": bench.instant}


@pytest.mark.parametrize("taken", ["nan", "inf", "-1", "1e300", "0.5", "x"])
def test_odd_turns_of_a_rate_are_counted_anew(bench: Bench, taken: str) -> None:
    bench.ask("HSET", "permits", "\1r/3", taken)
    for task in taken_in_turn(bench, *"abc"):
        assert bench.acquire(task, Claim(Need.RATE, "r", 3, 100)) is Admission.GRANTED
    assert bench.hash("permits") == {"\1r/3": "3"}
    assert sorted(bench.scores("windows")) == ["p/producer", "r/r/3/0", "r/r/3/1", "r/r/3/2"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"12", 12), (b"12.5", 12), (b"-3", 0), (b"x", 0), (b"", 0), (b"nan", 0), (b"inf", FARTHEST_MS),
        (b"-inf", 0), (b"9" * 400, FARTHEST_MS), (b"\xff", 0),
    ],
)  # fmt: skip
def test_a_written_instant_is_read_or_taken_for_the_nearest_that_there_is(written: bytes, read: int) -> None:
    assert milliseconds(written) == read
    assert not math.isinf(read)


# -- queues that nobody has


def test_a_task_of_a_queue_that_nobody_registers_is_a_dead_letter_in_the_end(bench: Bench) -> None:
    bench.add("a", "b", at=bench.instant + 1)
    bench.ask("HSET", "parked", "a", "nowhere/1/0/call", "b", "mail/1/0/call")
    began = bench.instant
    while not bench.dead():
        bench.instant += 1002
        bench.cycle()
        if bench.instant < began + 100_000:
            assert len(bench.hash("parked")) == 2
        elif "mail" not in bench.store.queues:
            bench.enroll("mail")
    assert 590_000 < bench.instant - began < 610_000
    assert list(bench.dead().values()) == ["lost/nowhere/1/0/a1/0/call"]
    assert bench.hash("live").keys() == {"b"}
    assert [task.key for task in bench.take(queue="mail")] == ["b"]
    (letter,) = bench.dead()
    bench.enroll("nowhere")
    assert bench.raw("requeue", bench.instant, letter, "") == ["REQUEUED"]


def test_what_was_due_before_all_time_and_has_no_queue_is_a_dead_letter(bench: Bench) -> None:
    bench.ask("ZADD", "due", "-inf", "a")
    bench.ask("HSET", "parked", "a", "nowhere/1/0/call")
    bench.cycle()
    assert len(bench.dead()) == 1


# -- limits


def test_who_stands_at_another_score_is_in_line_again(bench: Bench) -> None:
    holder, *others = taken_in_turn(bench, *"abcd")
    for task in (holder, *others):
        bench.acquire(task, Claim(Need.PERMIT, "one", 1))
    for member, score in zip(bench.scores("waiting"), ("-5", "inf", "3"), strict=True):
        bench.ask("ZADD", "waiting", score, member)
    bench.tidy()
    assert set(bench.scores("waiting").values()) == {0.0}
    bench.cycle(settle=[(holder, completed())])
    assert [task.key for task in bench.take()] == ["b"]


@pytest.mark.parametrize("member", ["", "\0", "\0\0", "\0a\0b", "a", "a\0b", "~"])
def test_who_is_nobody_does_not_hold_up_the_line(bench: Bench, member: str) -> None:
    holder, other = taken_in_turn(bench, "a", "b")
    for task in (holder, other):
        bench.acquire(task, Claim(Need.PERMIT, "one", 1))
    bench.ask("ZADD", "waiting", 0, member)
    bench.ask("HDEL", "held", holder.token)
    assert bench.tidy() == b""
    assert bench.find("b").stand is Stand.QUEUED
    assert not bench.ask("EXISTS", "waiting")


def test_a_limit_of_nothing_lets_one_run(bench: Bench) -> None:
    holder, other = taken_in_turn(bench, "a", "b")
    for task in (holder, other):
        bench.acquire(task, Claim(Need.PERMIT, "one", 1))
    bench.ask("HSET", "permits", "one", "1/0")
    bench.cycle(settle=[(holder, completed())])
    assert [task.key for task in bench.take()] == ["b"]


def test_who_seems_to_hold_and_is_not_there_holds_nothing(bench: Bench) -> None:
    bench.enroll("broken")
    holder, other = taken_in_turn(bench, "a", "b")
    for task in (holder, other):
        bench.acquire(task, Claim(Need.PERMIT, "one", 2))
    late, *_ = taken_in_turn(bench, "c")
    bench.acquire(late, Claim(Need.PERMIT, "one", 2))
    for token in ("odd", "nowhere/1-1", "default/1-1", "default/" + "9" * 30 + "-1"):
        bench.ask("HSET", "held", token, "\0p/one")
    bench.tidy()
    assert bench.find("c").stand is Stand.WAITING
    assert bench.hash("held").keys() == {holder.token, other.token}
    assert bench.hash("permits") == {"one": "2/2"}
    bench.ask("HSET", "held", "broken/1-1", "\0p/one")
    bench.ask("DEL", "ready:broken")
    bench.ask("SET", "ready:broken", "x")
    bench.tidy()
    assert "broken/1-1" in bench.hash("held"), "nobody can tell"


def test_many_who_seem_to_hold_are_looked_at_a_few_limits_at_a_time(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        holder, other = taken_in_turn(bench, f"{name}1", f"{name}2")
        for task in (holder, other):
            bench.acquire(task, Claim(Need.PERMIT, name, 1))
        for number in range(399):
            bench.ask("HSET", "held", f"default/1-{number}{name}", f"\0p/{name}")
    assert bench.tidy() == b"a"
    assert bench.tidy(b"a") == b"b"
    assert bench.tidy(b"b") == b"c"
    assert len(bench.hash("held")) == 3


def test_a_note_at_another_score_does_not_hide_whom_to_tell(bench: Bench) -> None:
    (task,) = taken_in_turn(bench, "a")
    bench.ask("ZADD", "controls", -1, "zzz", 5, "a")
    assert bench.cancel("a") is Cancelled.TOLD
    assert bench.cycle().stops == [task.token]
    bench.ask("ZADD", "controls", 0, b"w\0\xff")
    assert bench.cycle().stops == [task.token, "�"]


# -- what is read


@pytest.mark.parametrize(
    "record",
    [
        "", "x", "completed", "completed/1/default/0", "completed/x/default/0/", "completed/1/default/-5/a",
        "odd/1/default/0/", "completed/1/default/x/", f"completed/{'9' * 400}/default/0/", "completed/1.5/default/0/",
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_read_is_none(bench: Bench, record: str) -> None:
    bench.ask("HSET", "ended", "a", record)
    assert bench.find("a") == Found(Stand.NONE)


def test_odd_places_are_told_as_far_as_they_can_be_read(bench: Bench) -> None:
    bench.add("a", at=bench.instant + 5)
    bench.ask("HSET", "parked", "a", b"\xff/1/0/call")
    bench.ask("ZADD", "due", "inf", "a")
    assert bench.find("a") == Found(Stand.SCHEDULED, "�", FARTHEST_MS, b"1/0/call")
    bench.ask("ZADD", "waiting", 0, "one\x001x\0b")
    bench.ask("ZADD", "waiting", 0, "one\0" + "9" * 400 + "\0c")
    _, (due, waiting) = now(look(bench.store, bench.link, [Ask(Kind.DUE), Ask(Kind.WAITING)]))
    assert [item.instant_ms for item in (*due.items, *waiting.items)] == [FARTHEST_MS, 0, FARTHEST_MS]


def test_a_worker_that_says_odd_things_has_said_nothing(bench: Bench) -> None:
    for worker, words in ((b"\xff", b"x"), (b"w", b"[]"), (b"v", b'{"name":"\xff"}')):
        bench.ask("ZADD", "leases", bench.instant + 9, worker)
        bench.ask("HSET", "workers", worker, words)
    _, found = now(crew(bench.store, bench.link, stamp=bench.stamp))
    assert {man.incarnation: man.said for man in found} == {"�": None, "w": None, "v": None}
    good = Announcement("w", 1, 1, (), ())
    bench.ask("HSET", "workers", b"\xff", good.encoded())
    assert now(announcements(bench.store, bench.link, bench.instant)) == {name_of(b"\xff"): good}


def test_a_dead_worker_of_an_odd_name_is_reaped(bench: Bench) -> None:
    bench.add("a")
    bench.wire.one("XREADGROUP", "GROUP", "g", b"\xff", "STREAMS", bench.key("ready:default"), ">")
    bench.ask("ZADD", "leases", 1, b"\xfe")
    assert now(strangers(bench.store, bench.link, ["default"])) == {name_of(b"\xff")}
    assert bench.reap(name_of(b"\xff")).moved == 1
    assert bench.reap(name_of(b"\xfe")).moved == 0
    assert not bench.ask("EXISTS", "leases")
    assert [task.key for task in bench.take()] == ["a"]


def test_odd_letters_are_listed_and_can_be_thrown_away(bench: Bench) -> None:
    for number, id_ in enumerate((b"\xff", b"", b"x", b"\xfe")):
        bench.ask("ZADD", "dead:at", ("inf", "-inf", "1e300", 5)[number], id_)
    page = now(letters(bench.store, bench.link, most=2))
    assert page is not None
    found, more = page
    assert (len(found), more) == (2, True)
    rest = now(letters(bench.store, bench.link, found[-1].id))
    assert rest is not None
    assert len(rest[0]) == 2
    for letter in (*found, *rest[0]):
        assert now(discard(bench.store, bench.link, letter.id))
        assert not now(discard(bench.store, bench.link, letter.id))
    assert not bench.ask("EXISTS", "dead:at")
