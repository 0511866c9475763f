"""`look.lua`: how much there is of everything, and pages of what is unfinished."""

import pytest

from shadows.protocol.look import Ask, Depth, Kind, Page, Standing, Totals, look
from shadows.protocol.schedule import Item
from tests.protocol.bench import Bench, now
from tests.protocol.held import set_aside

MIB = 1024 * 1024


def totals(bench: Bench) -> Totals:
    return now(look(bench.store, bench.link, stamp=bench.stamp))[0]


def pages(bench: Bench, *asks: Ask, cut: int = 0) -> list[Page]:
    return now(look(bench.store, bench.link, asks, cut=cut, stamp=bench.stamp))[1]


def page(bench: Bench, kind: Kind, queue: str = "", start: bytes | str = "-", most: int = 200) -> Page:
    return pages(bench, Ask(kind, queue, start, most))[0]


def keys(page: Page) -> list[str]:
    return [item.key for item in page.items]


def walk(bench: Bench, kind: Kind, queue: str = "", most: int = 200) -> list[list[str]]:
    """The keys of all pages."""
    found: list[list[str]] = []
    start: bytes | str = "-"
    while start:
        got = page(bench, kind, queue, start, most)
        found.append(keys(got))
        start = got.end
    return found


# -- totals


def test_nothing_is_counted_as_nothing(bench: Bench) -> None:
    found = totals(bench)
    assert (found.now_ms, found.unfinished, found.scheduled, found.waiting, found.dead) == (
        bench.instant, 0, 0, 0, 0,
    )  # fmt: skip
    assert found.queues == {"default": Depth(0, 0)}
    assert found.paused == frozenset()


def test_everything_is_counted_once_where_it_stands(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("s1", "s2", "s3", at=bench.instant + 10)
    set_aside(bench, "holder", "waits")
    bench.add("r1", "r2", "r3")
    bench.take("w", most=1)
    bench.add("m1", "m2", queue="mail")
    bench.ask("HSET", "dead", "x", "lost//0/0/")
    bench.ask("ZADD", "dead:at", 1, "x")
    found = totals(bench)
    assert (found.unfinished, found.scheduled, found.waiting, found.dead) == (10, 3, 1, 1)
    assert (found.queues["default"].ready, found.queues["default"].running) == (2, 2)
    assert (found.queues["mail"].ready, found.queues["mail"].running) == (2, 0)
    assert (found.ready, found.running) == (4, 2)


def test_what_is_paused_is_told(bench: Bench) -> None:
    bench.ask("HSET", "meta", "paused", "mail * ")
    assert totals(bench).paused == {"mail", "*"}


def test_the_oldest_ready_one_is_the_first_that_nobody_was_given_and_the_newest_the_last(
    bench: Bench,
) -> None:
    for number in (5, 7, 9):
        bench.wire.one("XADD", bench.key("ready:default"), f"{number}-3", "k", f"k{number}", "c", "1/0/x")
    assert totals(bench).queues["default"].oldest_ms == 5
    bench.take(most=1)
    assert totals(bench).queues["default"] == Depth(2, 1, 7, 9)
    bench.take(most=2)
    assert totals(bench).queues["default"] == Depth(0, 3, None, None)


def test_the_servers_own_time_is_told_beside_the_instant(bench: Bench) -> None:
    seconds = int(bench.wire.one("TIME")[0])
    assert 0 <= totals(bench).server_ms // 1000 - seconds <= 5


def test_a_queue_that_is_broken_or_lost_its_group_or_stream_is_no_error(bench: Bench) -> None:
    bench.enroll("broken", "groupless", "gone")
    for queue in ("broken", "groupless", "gone"):
        bench.add(queue, queue=queue)
    bench.ask("DEL", "ready:broken")
    bench.ask("SET", "ready:broken", "x")
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:groupless"), "g")
    bench.ask("DEL", "ready:gone")
    found = totals(bench)
    assert (found.queues["broken"], found.queues["gone"]) == (Depth(0, 0), Depth(0, 0))
    assert found.queues["groupless"].ready == 1
    assert found.queues["groupless"].oldest_ms is not None
    asks = [
        Ask(kind, queue) for kind in (Kind.READY, Kind.RUNNING) for queue in ("broken", "gone", "groupless")
    ]
    assert [keys(page) for page in pages(bench, *asks)] == [[], [], ["groupless"], [], [], []]
    assert all(page.end == b"" for page in pages(bench, *asks))


def test_where_more_is_pending_than_there_is_nothing_is_ready(bench: Bench) -> None:
    bench.add("a", "b")
    bench.take()
    bench.wire.one("XTRIM", bench.key("ready:default"), "MAXLEN", 0)
    assert totals(bench).queues["default"] == Depth(0, 2)


def test_a_look_changes_nothing(bench: Bench) -> None:
    bench.add("a")
    bench.wire.one("CONFIG", "RESETSTAT")
    totals(bench)
    asks = [Ask(Kind.DUE), Ask(Kind.WAITING), Ask(Kind.READY, "default"), Ask(Kind.RUNNING, "default")]
    pages(bench, *asks)
    said = bench.wire.one("INFO", "commandstats", text=True)
    written = {line.partition(":")[0] for line in said.splitlines() if line.startswith("cmdstat_")}
    assert written <= {
        "cmdstat_" + name
        for name in (
            *(
                "evalsha",
                "hmget",
                "hget",
                "hlen",
                "zcard",
                "smembers",
                "type",
                "time",
                "xlen",
                "xinfo|groups",
                "xinfo",
            ),
            *(
                "xrange",
                "xrevrange",
                "xpending",
                "zrange",
                "zrangebylex",
                "config|resetstat",
                "config",
                "info",
            ),
        )
    }


# -- what is scheduled


def test_what_is_scheduled_comes_soonest_first_with_what_it_is(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("late", at=bench.instant + 20)
    bench.add("soon", queue="mail", at=bench.instant + 10)
    assert page(bench, Kind.DUE) == Page(
        [
            Standing(Kind.DUE, "soon", "mail", b"1/0/call-soon", bench.instant + 10),
            Standing(Kind.DUE, "late", "default", b"1/0/call-late", bench.instant + 20),
        ],
        b"",
    )


def test_pages_of_what_is_scheduled_go_on_behind_the_last(bench: Bench) -> None:
    for number in range(5):
        bench.add(f"a/{number}", at=bench.instant + 10 + number // 2)
    assert walk(bench, Kind.DUE, most=2) == [["a/0", "a/1"], ["a/2", "a/3"], ["a/4"]]
    first = page(bench, Kind.DUE, most=3)
    assert first.end == f"{bench.instant + 11}/a/2".encode()
    bench.cancel("a/0")
    assert keys(page(bench, Kind.DUE, start=first.end)) == ["a/3", "a/4"]
    bench.cancel("a/2")
    assert keys(page(bench, Kind.DUE, start=first.end)) == ["a/3", "a/4"]


def test_where_the_last_one_has_gone_or_was_moved_none_that_stayed_is_passed_over(bench: Bench) -> None:
    bench.add("a", "b", "c", at=bench.instant + 10)
    bench.add("d", at=bench.instant + 11)
    last = page(bench, Kind.DUE, most=2).end
    bench.cancel("b")
    assert keys(page(bench, Kind.DUE, start=last)) == ["a", "c", "d"]
    bench.add("b", at=bench.instant + 50)
    assert keys(page(bench, Kind.DUE, start=last)) == ["a", "c", "d", "b"]


def test_what_is_scheduled_can_be_read_from_any_rank(bench: Bench) -> None:
    bench.add(*"abcdef", at=bench.instant + 10)
    assert keys(page(bench, Kind.DUE, start="@4", most=1)) == ["e"]
    assert keys(page(bench, Kind.DUE, start="@4")) == ["e", "f"]


def test_a_call_that_was_lost_is_an_empty_one(bench: Bench) -> None:
    bench.add("a", at=bench.instant + 10)
    bench.ask("HDEL", "parked", "a")
    assert page(bench, Kind.DUE).items == [Standing(Kind.DUE, "a", "", b"", bench.instant + 10)]


# -- what waits


def test_what_waits_comes_in_order_with_what_it_is(bench: Bench) -> None:
    set_aside(bench, "holder", "w1", "w2", "w3")
    found = page(bench, Kind.WAITING)
    assert keys(found) == ["w1", "w2", "w3"]
    assert (found.items[0].queue, found.items[0].blob) == ("default", b"1/0/call-w1")
    assert found.items[0].instant_ms == int(bench.ask("HGET", "live", "w1").split("/")[1].partition("-")[0])
    assert found.items[0].instant_ms > 0
    assert walk(bench, Kind.WAITING, most=2) == [["w1", "w2"], ["w3"]]


def test_what_is_not_ours_among_the_waiting_is_told_as_such(bench: Bench) -> None:
    bench.ask("ZADD", "waiting", 0, "nonsense")
    assert page(bench, Kind.WAITING).items == [Standing(Kind.WAITING, "", "", b"")]
    bench.ask("ZREM", "waiting", "nonsense")
    bench.ask("ZADD", "waiting", 0, "name\0order\0k")
    assert page(bench, Kind.WAITING).items == [Standing(Kind.WAITING, "k", "", b"")]


# -- what is ready


def test_what_is_ready_comes_oldest_first_without_what_runs(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add(*"abcde")
    bench.add("m", queue="mail")
    bench.take(most=2)
    found = page(bench, Kind.READY, "default")
    assert keys(found) == ["c", "d", "e"]
    token = bench.ask("HGET", "live", "c")
    since = int(token.partition("/")[2].partition("-")[0])
    assert found.items[0] == Standing(Kind.READY, "c", "default", b"1/0/call-c", since)
    assert walk(bench, Kind.READY, "default", most=2) == [["c", "d"], ["e"]]
    assert keys(page(bench, Kind.READY, "mail")) == ["m"]


def test_a_page_of_what_is_ready_goes_on_where_workers_have_come_to_meanwhile(bench: Bench) -> None:
    bench.add(*"abcdef")
    first = page(bench, Kind.READY, "default", most=2)
    assert keys(first) == ["a", "b"]
    bench.take(most=4)
    assert keys(page(bench, Kind.READY, "default", start=first.end)) == ["e", "f"]
    assert keys(page(bench, Kind.READY, "default", start=b"99999999999999-5")) == []


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (b"5-1", "cde"),
        (b"5-2", "cde"),
        (b"5-3", "de"),
        (b"6-0", "de"),
        (b"6-9", "e"),
        (b"10-0", ""),
        (b"4-9", "cde"),
    ],
)
def test_ids_are_compared_as_numbers(bench: Bench, start: bytes, found: str) -> None:
    for key, number in zip("abcde", ("4-1", "5-2", "5-3", "6-1", "10-0"), strict=True):
        bench.wire.one("XADD", bench.key("ready:default"), number, "k", key, "c", "1/0/x")
    bench.take(most=2)
    assert "".join(keys(page(bench, Kind.READY, "default", start=start))) == found


def test_what_is_not_ours_to_read_has_no_key(bench: Bench) -> None:
    for fields in (
        ("some", "thing"),
        ("k", "a", "d", "x"),
        ("j", "a", "c", "x"),
        ("k", "a", "c", "x", "e", "f"),
    ):
        bench.wire.one("XADD", bench.key("ready:default"), "*", *fields)
    found = page(bench, Kind.READY, "default")
    assert [(item.key, item.blob) for item in found.items] == [("", b"")] * 4
    bench.take()
    found = page(bench, Kind.RUNNING, "default")
    assert [(item.key, item.blob, item.worker) for item in found.items] == [("", b"", "w")] * 4


# -- what runs


def test_what_runs_comes_with_who_runs_it_and_since_when(bench: Bench) -> None:
    bench.add(*"abc")
    bench.take("w1", most=1)
    bench.take("w2", most=1)
    found = page(bench, Kind.RUNNING, "default")
    assert [(item.key, item.worker, item.blob) for item in found.items] == [
        ("a", "w1", b"1/0/call-a"), ("b", "w2", b"1/0/call-b"),
    ]  # fmt: skip
    assert all(bench.instant - 5000 < item.instant_ms <= bench.instant for item in found.items)
    bench.wire.one(
        "XCLAIM", bench.key("ready:default"), "g", "w1", 0, bench.ask("HGET", "live", "a")[8:], "IDLE", 60_000
    )
    assert (
        bench.instant - 65_000
        < page(bench, Kind.RUNNING, "default").items[0].instant_ms
        <= bench.instant - 60_000
    )
    assert walk(bench, Kind.RUNNING, "default", most=1) == [["a"], ["b"], []]


def test_what_runs_and_was_deleted_by_hand_has_no_key(bench: Bench) -> None:
    bench.add("a")
    bench.take()
    bench.wire.one("XTRIM", bench.key("ready:default"), "MAXLEN", 0)
    (item,) = page(bench, Kind.RUNNING, "default").items
    assert (item.key, item.blob, item.worker) == ("", b"", "w")


# -- bounds


def test_all_pages_together_have_two_hundred_items(bench: Bench) -> None:
    for number in range(0, 150, 50):
        bench.add(*[f"s{number + n}" for n in range(50)], at=bench.instant + 10)
        bench.add(*[f"r{number + n}" for n in range(50)])
    due, ready, running = pages(
        bench, Ask(Kind.DUE, most=1000), Ask(Kind.READY, "default"), Ask(Kind.RUNNING, "default")
    )
    assert (len(due.items), len(ready.items), len(running.items)) == (150, 50, 0)
    assert due.end == b""
    assert ready.end
    assert running.end == b"-"  # it has not begun
    (rest,) = pages(bench, Ask(Kind.READY, "default", ready.end, 1000))
    assert len(rest.items) == 100
    assert rest.end == b""


def test_a_page_of_nothing_goes_on_where_it_was_to_begin(bench: Bench) -> None:
    bench.add("a", at=bench.instant + 10)
    assert page(bench, Kind.DUE, start="@0", most=0) == Page([], b"@0")


@pytest.mark.parametrize("kind", list(Kind))
def test_pages_end_early_where_their_calls_take_a_mib(bench: Bench, kind: Kind) -> None:
    at = bench.instant + 10 if kind is Kind.DUE else 0
    parked = kind in (Kind.DUE, Kind.WAITING)
    big = b"x" * (MIB // 2 - len("default/1/0/" if parked else "1/0/"))
    for number in range(5):
        bench.schedule(Item(f"k{number}", "default", at, big))
    if kind is Kind.WAITING:
        set_aside(bench, "k0", "k1", "k2", "k3", "k4", added=True)
    if kind is Kind.RUNNING:
        bench.take()
    queue = "default" if kind in (Kind.READY, Kind.RUNNING) else ""
    sizes = [len(found) for found in walk(bench, kind, queue)]
    assert sizes == ([2, 2, 0] if kind is Kind.WAITING else [2, 2, 1])
    first, second = pages(bench, Ask(kind, queue), Ask(Kind.DUE, start="@0"))
    assert first.end
    assert second == Page([], b"@0")


@pytest.mark.parametrize("kind", list(Kind))
def test_only_the_head_of_a_call_is_answered_where_no_more_is_wanted(bench: Bench, kind: Kind) -> None:
    bench.add("a", at=bench.instant + 10 if kind is Kind.DUE else 0)
    if kind is Kind.WAITING:
        bench.cancel("a")
        set_aside(bench, "holder", "a")
    if kind is Kind.RUNNING:
        bench.take()
    queue = "default" if kind in (Kind.READY, Kind.RUNNING) else ""
    (found,) = pages(bench, Ask(kind, queue), cut=15)
    whole = b"1/0/call-a"
    parked = kind in (Kind.DUE, Kind.WAITING)
    assert found.items[0].blob == (whole[: 15 - len("default/")] if parked else whole)
    (found,) = pages(bench, Ask(kind, queue), cut=9)
    assert found.items[0].blob == (b"1" if parked else b"1/0/call-")
