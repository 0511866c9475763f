"""Marks with nothing behind them: somebody removed a task by hand, and its key is free again all the same."""

from collections.abc import Callable

import pytest

from shadows.protocol.acquire import Claim, Need
from shadows.protocol.execution import Cancelled, Found, Stand
from shadows.protocol.operator import clear
from shadows.protocol.outcomes import completed
from shadows.protocol.schedule import Answer, Item, Mode
from tests.protocol.bench import LIMITS, Bench, now

PERMIT = Claim(Need.PERMIT, "one", 1)


def entry_deleted(bench: Bench) -> None:
    bench.add("a")
    bench.ask("XDEL", "ready:default", bench.ask("HGET", "live", "a").partition("/")[2])


def stream_deleted(bench: Bench) -> None:
    bench.add("a")
    bench.take()
    bench.ask("DEL", "ready:default")
    bench.enroll()


def due_deleted(bench: Bench) -> None:
    bench.add("a", at=bench.instant + 50)
    bench.ask("DEL", "due")


def due_and_call_deleted(bench: Bench) -> None:
    bench.add("a", at=bench.instant + 50)
    bench.ask("DEL", "due", bench.key("parked"))


def line_deleted(bench: Bench) -> None:
    bench.add("holder", "a")
    holder, task = bench.take()
    bench.acquire(holder, PERMIT)
    bench.acquire(task, PERMIT)
    bench.ask("DEL", "waiting")
    bench.cycle(settle=[(holder, completed())])


def marked(mark: str) -> Callable[[Bench], None]:
    def lose(bench: Bench) -> None:
        bench.ask("HSET", "live", "a", mark)

    return lose


MARKS = (
    "", "~", "nonsense", "default", "default/", "default/x", "default/1", "default/1-1", "nowhere/1-1", "/1-1", "~due/",
    "default/99999999999999999999-1", "default/1-99999999999999999999", "~wait", "~wait/", "~wait//", "~wait/1/one", "\xff",
    "~wait/\0/\0", "a/b/1-1",
)  # fmt: skip
WAYS = {
    "entry": entry_deleted, "stream": stream_deleted, "due": due_deleted, "due, call": due_and_call_deleted,
    "line": line_deleted,
} | {f"mark {mark!r}": marked(mark) for mark in MARKS}  # fmt: skip


each_way = pytest.mark.parametrize("way", list(WAYS))


def without(bench: Bench, way: str) -> Bench:
    """With a key whose task was removed by hand, and another's that must not be touched."""
    bench.add("other")
    (bystander,) = bench.take()
    bench.acquire(bystander, Claim(Need.PERMIT, "two", 1))
    bench.cycle(settle=[(bystander, completed())])
    WAYS[way](bench)
    bench.add("other")
    return bench


def wish(mode: Mode, at: int = 0) -> Item:
    return Item("a", "default", at, b"anew", mode)


def runs(bench: Bench) -> list[tuple[str, bytes]]:
    return sorted((task.key, task.blob) for task in bench.take())


OTHER = ("other", b"1/0/call-other")
ANEW = ("a", b"1/0/anew")


def free(bench: Bench) -> bool:
    """Nothing is left of the key."""
    roles = ("live", "parked", "due", "waiting")
    return [bench.hash("live").keys(), *[bench.ask("EXISTS", role) for role in roles[1:]]] == [
        {"other"},
        0,
        0,
        0,
    ]


@each_way
def test_a_cancelled_key_is_free(bench: Bench, way: str) -> None:
    lost = without(bench, way)
    assert lost.cancel("a") is Cancelled.ENDED
    assert free(lost)
    assert (lost.find("a").stand, lost.find("a").state) == (Stand.ENDED, "cancelled")
    assert lost.cancel("a") is Cancelled.NONE
    assert runs(lost) == [OTHER]


@pytest.mark.parametrize("mode", [Mode.REPLACE, Mode.RECLAIM])
@pytest.mark.parametrize("later", [0, 20])
@each_way
def test_another_call_takes_its_place(bench: Bench, way: str, mode: Mode, later: int) -> None:
    lost = without(bench, way)
    assert lost.schedule(wish(mode, later and lost.instant + later)) == [Answer.ACCEPTED]
    assert lost.schedule(wish(Mode.RECLAIM)) == [Answer.EXISTS]
    lost.instant += later
    lost.cycle()
    assert runs(lost) == [ANEW, OTHER]
    assert not lost.ask("EXISTS", "parked", lost.key("due"))


@each_way
def test_who_adds_is_told_that_nothing_stands_there(bench: Bench, way: str) -> None:
    lost = without(bench, way)
    assert lost.find("a").lost
    assert lost.schedule(wish(Mode.ADD)) == [Answer.EXISTS]


@each_way
def test_clearing_frees_it_also_while_others_work(bench: Bench, way: str) -> None:
    lost = without(bench, way)
    lost.lease("w")
    removed, more = now(clear(lost.store, lost.link, LIMITS, stamp=lost.stamp))
    assert (removed, more) == (2, False)
    assert not lost.ask("EXISTS", "live", lost.key("parked"), lost.key("due"), lost.key("waiting"))


@each_way
def test_a_worker_finds_its_place_again_or_makes_it_a_dead_letter(bench: Bench, way: str) -> None:
    lost = without(bench, way)
    called = lost.hash("parked").get("a")
    lost.cycle(settle=[])
    lost.ask("XTRIM", "ready:default", "MAXLEN", 0)  # what stands elsewhere does not hide it
    lost.cancel("other")
    lost.tidy()
    lost.cycle()
    if called:
        assert runs(lost) == [("a", called.partition("/")[2].encode())]
    else:
        assert [letter.partition("/")[0] for letter in lost.dead().values()] == ["lost"]
        assert not lost.ask("EXISTS", "live")


def test_what_was_granted_to_a_lost_task_is_given_back(bench: Bench) -> None:
    bench.add("a", "b")
    for task in bench.take():
        bench.acquire(task, PERMIT)
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:default"), "g")
    bench.ask("XTRIM", "ready:default", "MAXLEN", 0)
    bench.enroll()
    assert bench.find("b").stand is Stand.WAITING
    bench.cancel("a")
    assert [task.key for task in bench.take()] == ["b"]
    assert bench.hash("permits") == {"one": "1/1"}


def test_a_permit_of_an_entry_that_is_gone_is_handed_out(bench: Bench) -> None:
    bench.add("a", "b")
    for task in bench.take():
        bench.acquire(task, PERMIT)
    bench.ask("DEL", "ready:default", bench.key("live"))
    bench.enroll()
    bench.tidy()
    assert [task.key for task in bench.take()] == ["b"]
    assert bench.hash("permits") == {"one": "1/1"}


def test_a_permit_whose_holder_lost_its_group_stays_with_it(bench: Bench) -> None:
    bench.add("a", "b")
    for task in bench.take():
        bench.acquire(task, PERMIT)
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:default"), "g")
    bench.tidy()
    assert bench.find("b").stand is Stand.WAITING


@pytest.mark.parametrize("operate", ["cancel", "replace", "reclaim", "clear", "tidy"])
def test_a_mark_that_says_where_another_stands_does_it_no_harm(bench: Bench, operate: str) -> None:
    bench.add("b")
    (task,) = bench.take()
    bench.acquire(task, PERMIT)
    bench.ask("HSET", "live", "a", task.token)
    assert bench.find("a").lost
    if operate == "cancel":
        assert bench.cancel("a") is Cancelled.ENDED
    elif operate == "clear":
        now(clear(bench.store, bench.link, LIMITS, stamp=bench.stamp))
    elif operate == "tidy":
        bench.tidy()
        bench.cycle()
        assert [letter.partition("/")[0] for letter in bench.dead().values()] == ["lost"]
    else:
        assert bench.schedule(wish(Mode(operate))) == [Answer.ACCEPTED]
    assert bench.hash("live")["b"] == task.token
    assert bench.hash("permits") == {"one": "1/1"}
    assert not bench.ask("EXISTS", "controls")
    (verdict,) = bench.cycle(settle=[(task, completed())]).verdicts
    assert verdict.name == "RECORDED"


def test_what_stands_in_a_broken_queue_is_not_lost(bench: Bench) -> None:
    bench.add("a")
    bench.wire.one("RENAME", bench.key("ready:default"), bench.key("strikes"))
    bench.ask("SET", "ready:default", "x")
    assert not bench.find("a").lost
    assert bench.schedule(wish(Mode.RECLAIM)) == [Answer.EXISTS]
    assert bench.cancel("a") is Cancelled.BAD
    bench.tidy()
    now(clear(bench.store, bench.link, LIMITS, stamp=bench.stamp))
    bench.ask("DEL", "ready:default")
    bench.wire.one("RENAME", bench.key("strikes"), bench.key("ready:default"))
    assert [task.key for task in bench.take()] == ["a"]


def test_many_marks_are_looked_through_a_page_at_a_time(bench: Bench) -> None:
    for first in range(0, 5000, 1000):
        bench.ask("HSET", "live", *[word for n in range(first, first + 1000) for word in (f"k{n}", "odd")])
    pages = 0
    while bench.ask("HEXISTS", "meta", "mended") or not pages:
        bench.tidy()
        pages += 1
        assert pages < 200
    assert bench.ask("ZCARD", "due") == 5000
    assert pages > 10
    bench.ask("HSET", "meta", "mended", "odd")
    bench.ask("HSET", "live", "another", "odd")
    bench.tidy()
    assert bench.ask("HGET", "meta", "mended") != "odd"


def test_many_marks_are_cleared_a_page_at_a_time(bench: Bench) -> None:
    for first in range(0, 5000, 1000):
        bench.ask("HSET", "live", *[word for n in range(first, first + 1000) for word in (f"k{n}", "odd")])
    total, more = 0, True
    while more:
        removed, more = now(clear(bench.store, bench.link, LIMITS, stamp=bench.stamp))
        assert removed <= 200
        total += removed
    assert total == 5000
    assert not bench.ask("EXISTS", "live", bench.key("ended"))


def test_what_waits_for_its_instant_goes_with_an_odd_mark_too(bench: Bench) -> None:
    bench.add("a", "b", at=bench.instant + 5)
    bench.ask("HSET", "live", "a", "odd", "b", "odd")
    assert bench.cancel("a") is Cancelled.ENDED
    assert bench.scores("due").keys() == bench.hash("parked").keys() == {"b"}
    bench.ask("HSET", "live", "c", "odd")  # (a mark more than there are places)
    bench.tidy()
    assert bench.hash("live") == {"b": "~due", "c": "~due"}
    assert bench.scores("due") == {"b": bench.instant + 5, "c": bench.instant}


def test_a_worker_gives_back_what_a_lost_task_was_granted(bench: Bench) -> None:
    bench.add("a")
    (task,) = bench.take()
    bench.acquire(task, PERMIT)
    bench.ask("DEL", "ready:default")
    bench.enroll()
    bench.tidy()
    assert not bench.ask("EXISTS", "held", bench.key("permits"))


def test_who_was_given_an_entry_has_it_though_somebody_deleted_that(bench: Bench) -> None:
    bench.add("a", "b")
    holder, other = bench.take()
    bench.acquire(holder, PERMIT)
    bench.acquire(other, PERMIT)
    bench.ask("XDEL", "ready:default", holder.token.partition("/")[2])
    bench.ask("HSET", "live", "c", "odd")
    bench.tidy()
    assert bench.find("b").stand is Stand.WAITING
    assert bench.find("a").stand is Stand.RUNNING
    assert bench.cancel("a") is Cancelled.TOLD
    assert bench.cycle().stops == [holder.token]


def test_what_is_lost_is_found_with_what_was_noted_of_it(bench: Bench) -> None:
    bench.add("a", "b", at=bench.instant + 5)
    bench.ask("DEL", "due")
    bench.ask("HSET", "live", "b", "~wait/1/one")
    assert bench.find("a") == Found(Stand.SCHEDULED, "default", 0, b"1/0/call-a", lost=True)
    assert bench.find("b") == Found(Stand.WAITING, "default", blob=b"1/0/call-b", lost=True)
