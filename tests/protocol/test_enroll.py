"""`enroll.lua`: a shadow's queues are made ready for use."""

import pytest
from redis.exceptions import ResponseError

from shadows.errors import ServerUnsupported
from tests.protocol.bench import Bench


def groups(bench: Bench, role: str) -> list[tuple[str, str]]:
    """The groups of a stream, and how far each has read."""
    reply = bench.wire.one("XINFO", "GROUPS", bench.key(role), text=True)
    found = [dict(zip(group[::2], group[1::2], strict=True)) for group in reply]
    return [(group["name"], group["last-delivered-id"]) for group in found]


def test_a_queue_has_its_group_before_its_first_call(bench: Bench) -> None:
    bench.enroll("mail")
    assert bench.store.queues == ("default", "mail")
    for role in ("ready:default", "ready:mail", "wake"):
        assert groups(bench, role) == [("g", "0-0")]


def test_what_is_there_is_left_as_it_is(bench: Bench) -> None:
    bench.add("a", "b")
    bench.take(most=1)
    bench.wire.one("XGROUP", "CREATE", bench.key("ready:default"), "theirs", "$")
    bench.enroll("default")
    assert groups(bench, "ready:default")[0][1] != "0-0"
    assert bench.ask("XLEN", "ready:default") == 2


def test_a_lost_group_begins_at_the_very_beginning(bench: Bench) -> None:
    bench.add("a")
    for role in ("ready:default", "wake"):
        bench.wire.one("XGROUP", "DESTROY", bench.key(role), "g")
    bench.wire.one("XGROUP", "CREATE", bench.key("ready:default"), "another", "$")
    bench.enroll()
    assert ("g", "0-0") in groups(bench, "ready:default")
    assert groups(bench, "wake") == [("g", "0-0")]
    assert [taken.key for taken in bench.take()] == ["a"]


def test_the_queues_of_others_become_known(bench: Bench) -> None:
    bench.ask("SADD", "queues", "theirs")
    bench.wire.one("XGROUP", "CREATE", bench.key("ready:theirs"), "g", "0", "MKSTREAM")
    bench.enroll()
    assert bench.store.queues == ("default", "theirs")


def test_a_key_that_is_no_stream_does_not_keep_the_other_queues_from_use(bench: Bench) -> None:
    bench.ask("SET", "ready:broken", "x")
    bench.enroll("broken", "mail")
    assert bench.store.queues == ("broken", "default", "mail")
    assert groups(bench, "ready:mail") == [("g", "0-0")]
    assert bench.ask("GET", "ready:broken") == "x"


def test_the_wire_version_is_noted(bench: Bench) -> None:
    assert bench.ask("HGETALL", "meta") == ["wire", "1", "least", "1"]


def test_an_older_wire_version_is_raised_to_ours(bench: Bench) -> None:
    bench.ask("HSET", "meta", "wire", 0, "least", 0)
    bench.enroll()
    assert bench.ask("HMGET", "meta", "wire", "least") == ["1", "1"]


def test_a_newer_wire_version_that_we_can_read_is_kept(bench: Bench) -> None:
    bench.ask("HSET", "meta", "wire", 7, "least", 1)
    bench.enroll("mail")
    assert bench.ask("HMGET", "meta", "wire", "least") == ["7", "1"]


def test_a_wire_version_that_we_cannot_read_is_refused_with_nothing_written(bench: Bench) -> None:
    bench.ask("HSET", "meta", "wire", 7, "least", 2)
    with pytest.raises(ServerUnsupported, match=r"wire version 2 is needed to read it.*upgrade shadow-task"):
        bench.enroll("mail")
    assert bench.ask("SMEMBERS", "queues") == ["default"]
    assert not bench.ask("EXISTS", "ready:mail")


def test_on_a_full_server_known_queues_can_be_enrolled_and_new_ones_cannot(bench: Bench) -> None:
    with bench.full():
        bench.enroll()
        with pytest.raises(ResponseError, match="maxmemory"):
            bench.enroll("mail")
    assert bench.ask("SMEMBERS", "queues") == ["default"]
