"""`letter.lua`: what was turned away is kept, once."""

import pytest
from redis.exceptions import ResponseError

from shadows.protocol.cycle import Limits
from shadows.protocol.schedule import Item, Mode
from shadows.protocol.strikes import turn_away
from tests.protocol.bench import LIMITS, Bench, now


def turn_away_(bench: Bench, *items: Item, limits: Limits = LIMITS) -> None:
    now(turn_away(bench.store, bench.link, "stricken", items, limits, stamp=bench.stamp))


def test_a_letter_holds_the_call_and_the_reason(bench: Bench) -> None:
    turn_away_(bench, Item("a", "mail", 0, b"call"), Item("bc", "default", 5, b"other", unique_ms=7))
    assert bench.dead() == {
        "~stricken/a": "stricken/mail/1/0/a1/0/call",
        "~stricken/bc": "stricken/default/2/0/bc1/0/u7/other",
    }
    assert bench.ask("ZRANGE", "dead:at", 0, -1, "WITHSCORES") == [
        *("~stricken/a", str(bench.instant), "~stricken/bc", str(bench.instant)),
    ]


def test_nothing_is_scheduled_and_the_key_is_free(bench: Bench) -> None:
    turn_away_(bench, Item("a", "default", 0, b"call"))
    assert not bench.ask("EXISTS", "live", bench.key("due"), bench.key("parked"))
    assert bench.ask("XLEN", "ready:default") == 0
    bench.add("a")


def test_of_one_key_the_first_that_is_added_stands(bench: Bench) -> None:
    turn_away_(bench, Item("a", "default", 0, b"first"))
    bench.instant += 1
    turn_away_(bench, Item("a", "default", 0, b"second"))
    assert bench.dead() == {"~stricken/a": "stricken/default/1/0/a1/0/first"}
    assert bench.ask("ZSCORE", "dead:at", "~stricken/a") == str(bench.instant - 1)


def test_of_one_key_the_last_that_replaces_stands(bench: Bench) -> None:
    for call in (b"first", b"second"):
        turn_away_(bench, Item("a", "default", 0, call, Mode.REPLACE))
    assert bench.dead() == {"~stricken/a": "stricken/default/1/0/a1/0/second"}


def test_the_oldest_go_where_there_are_too_many(bench: Bench) -> None:
    for key in "abc":
        turn_away_(bench, Item(key, "default", 0, b"call"), limits=Limits(1, 1, 2))
        bench.instant += 1
    assert sorted(bench.dead()) == ["~stricken/b", "~stricken/c"]
    assert bench.ask("ZRANGE", "dead:at", 0, -1) == ["~stricken/b", "~stricken/c"]


def test_a_full_server_takes_none(bench: Bench) -> None:
    with bench.full(), pytest.raises(ResponseError, match="OOM"):
        turn_away_(bench, Item("a", "default", 0, b"call"))
    assert not bench.ask("EXISTS", "dead", bench.key("dead:at"))
