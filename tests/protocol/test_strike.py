"""`strike.lua`: what is stricken is noted under a version that grows with every change."""

import pytest

from shadows.protocol.strikes import Listed, TooMany, look, restore, strike
from tests.protocol.bench import Bench, now


def strike_(bench: Bench, *strikes: bytes, known: int = 0, most: int = 10) -> Listed:
    return now(strike(bench.store, bench.link, strikes, known, stamp=bench.stamp, most=most))


def restore_(bench: Bench, *strikes: bytes, known: int = 0) -> Listed:
    return now(restore(bench.store, bench.link, strikes, known, stamp=bench.stamp))


def look_(bench: Bench, known: int = 0) -> Listed:
    return now(look(bench.store, bench.link, known))


def test_where_nothing_was_ever_stricken_the_version_is_zero(bench: Bench) -> None:
    assert look_(bench) == Listed(0, None)
    assert look_(bench, known=3) == Listed(0, [])
    assert not bench.ask("EXISTS", "strikes")


def test_what_is_stricken_is_told_with_a_version_of_its_own(bench: Bench) -> None:
    assert strike_(bench, b"a") == Listed(1, [b"a"])
    listed = strike_(bench, b"b\xff", b"c", known=1)
    assert (listed.version, sorted(listed.strikes or ())) == (2, [b"a", b"b\xff", b"c"])
    assert look_(bench, known=2) == Listed(2, None)
    assert bench.ask("HGET", "strikes", "a") == str(bench.instant)


def test_what_is_restored_is_gone_under_another_version(bench: Bench) -> None:
    strike_(bench, b"a", b"b", b"c")
    assert restore_(bench, b"a", b"c", b"never", known=1) == Listed(2, [b"b"])
    assert restore_(bench, b"b", known=2) == Listed(3, [])
    assert not bench.ask("EXISTS", "strikes")


def test_the_same_again_changes_nothing(bench: Bench) -> None:
    strike_(bench, b"a")
    bench.instant += 5
    assert strike_(bench, b"a", known=1) == Listed(1, None)
    assert bench.ask("HGET", "strikes", "a") == str(bench.instant - 5)
    restore_(bench, b"a")
    assert restore_(bench, b"a", known=2) == Listed(2, None)


def test_a_reply_that_was_lost_is_told_again(bench: Bench) -> None:
    strike_(bench, b"a")
    assert strike_(bench, b"a", known=0) == Listed(1, [b"a"])


def test_there_may_be_only_so_many(bench: Bench) -> None:
    strike_(bench, b"a", most=2)
    with pytest.raises(TooMany):
        strike_(bench, b"b", b"c", most=2)
    assert look_(bench) == Listed(1, [b"a"])
    assert strike_(bench, b"a", b"b", most=2).version == 2
    assert strike_(bench, b"a", most=2).version == 2
    restore_(bench, b"a")
    assert strike_(bench, b"c", most=2).version == 4


def test_a_full_server_still_strikes_and_restores(bench: Bench) -> None:
    with bench.full():
        assert strike_(bench, b"a").version == 1
        assert restore_(bench, b"a").version == 2


def test_what_the_caller_knows_is_not_sent_again(bench: Bench) -> None:
    strike_(bench, b"a")
    assert bench.raw("strike", bench.instant, "look", 1, 10) == ["OK", 1, []]
    assert bench.raw("strike", bench.instant, "look", 0, 10) == ["OK", 1, ["a"]]
