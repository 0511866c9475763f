"""`discard.lua`: a dead letter is thrown away."""

from shadows.protocol.letters import discard
from tests.protocol.bench import Bench, now


def test_a_letter_goes_with_its_place_in_the_order(bench: Bench) -> None:
    for id_ in ("a", "b"):
        bench.ask("HSET", "dead", id_, "lost//0/0/")
        bench.ask("ZADD", "dead:at", 1, id_)
    assert now(discard(bench.store, bench.link, "a")) is True
    assert list(bench.dead()) == ["b"] == bench.ask("ZRANGE", "dead:at", 0, -1)
    assert now(discard(bench.store, bench.link, "a")) is False
    assert list(bench.dead()) == ["b"]
    assert bench.raw("discard", "", "a") == ["NONE"]


def test_a_full_server_does_not_refuse_it(bench: Bench) -> None:
    bench.ask("HSET", "dead", "a", "lost//0/0/")
    with bench.full():
        assert now(discard(bench.store, bench.link, "a")) is True
