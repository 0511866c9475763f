"""`types.lua`: what the server calls the types of all keys."""

from shadows.protocol.keys import FIXED
from tests.protocol.bench import Bench


def test_the_type_of_every_key_is_told_whatever_it_is(bench: Bench) -> None:
    bench.ask("SADD", "live", "x")
    bench.ask("DEL", "ready:default")
    bench.ask("SET", "ready:default", "x")
    told = dict(zip([*FIXED, "ready:default"], bench.raw("types"), strict=True))
    assert {role: kind for role, kind in told.items() if kind != "none"} == {
        "meta": "hash", "queues": "set", "wake": "stream", "live": "set", "ready:default": "string",
    }  # fmt: skip
