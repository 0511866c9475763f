"""`purge.lua`: as if the shadow never was."""

from shadows.protocol.keys import FIXED
from shadows.protocol.operator import purge
from tests.protocol.bench import Bench, now


def test_no_key_is_left_whatever_it_holds(bench: Bench) -> None:
    bench.enroll("mail", "sms")
    bench.add("a", queue="mail")
    for role in FIXED:
        if role != "queues":
            bench.ask("DEL", role)
            bench.ask("SET", role, "x")
    now(purge(bench.store, bench.link))
    assert bench.wire.one("KEYS", f"{{{bench.store.keys.name}}}:*") == []
    now(purge(bench.store, bench.link))
    assert bench.wire.one("KEYS", f"{{{bench.store.keys.name}}}:*") == []


def test_a_queue_that_the_caller_does_not_know_goes_too(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("a", queue="mail")
    with bench.knowing("default"):
        now(purge(bench.store, bench.link))
    assert bench.wire.one("KEYS", f"{{{bench.store.keys.name}}}:*") == []


def test_others_keep_theirs(bench: Bench) -> None:
    bench.wire.one("SET", "another", "x")
    now(purge(bench.store, bench.link))
    assert bench.wire.one("DEL", "another") == 1
