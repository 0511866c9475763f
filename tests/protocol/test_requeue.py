"""`requeue.lua`: a dead letter is a task again."""

import pytest

from shadows.protocol.execution import Stand
from shadows.protocol.letters import Requeued, requeue
from shadows.protocol.outcomes import failed, retry
from tests.protocol.bench import Bench, now


def again(bench: Bench, id_: str, body: bytes = b"") -> Requeued:
    return now(requeue(bench.store, bench.link, id_, body, stamp=bench.stamp))


def die(bench: Bench, key: str = "a", queue: str = "default") -> str:
    """Have a task fail for good in its second attempt; its letter's id."""
    bench.add(key, queue=queue)
    (task,) = bench.take(queue=queue)
    bench.cycle(settle=[(task, retry())])
    (task,) = bench.take(queue=queue)
    bench.cycle(settle=[(task, failed(b"in/fo"))])
    return task.token


def test_it_runs_again_under_its_own_key_as_a_first_attempt(bench: Bench) -> None:
    bench.enroll("mail")
    id_ = die(bench, "k/1", "mail")
    assert again(bench, id_) is Requeued.REQUEUED
    assert bench.find("k/1").stand is Stand.QUEUED
    assert not bench.ask("EXISTS", "dead", bench.key("dead:at"))
    (task,) = bench.take(queue="mail")
    assert (task.key, task.blob) == ("k/1", b"1/0/call-k/1")
    assert bench.ask("HGET", "live", "k/1") == task.token


def test_its_call_may_be_renewed(bench: Bench) -> None:
    assert again(bench, die(bench), b"u5/ne/w") is Requeued.REQUEUED
    assert bench.take()[0].blob == b"1/0/u5/ne/w"


def test_sent_again_it_changes_nothing(bench: Bench) -> None:
    id_ = die(bench)
    assert again(bench, id_) is Requeued.REQUEUED
    assert again(bench, id_) is Requeued.NONE
    assert bench.ask("XLEN", "ready:default") == 1


def test_one_that_nobody_has_is_none(bench: Bench) -> None:
    assert again(bench, "default/1-1") is Requeued.NONE
    assert not bench.ask("EXISTS", "live")


def test_while_its_key_is_taken_it_stays(bench: Bench) -> None:
    id_ = die(bench)
    bench.add("a", at=bench.instant + 10)
    assert again(bench, id_) is Requeued.TAKEN
    assert list(bench.dead()) == [id_] == bench.ask("ZRANGE", "dead:at", 0, -1)
    assert bench.ask("HGET", "live", "a") == "~due"


@pytest.mark.parametrize(
    "letter",
    ["lost/default/1/0/a", "undecodable/default/1/0/anonsense", "undecodable/default/0/0/1/0/call", "nonsense", "failed/default/1/0/a1/0/"],
    ids=["lost", "undecodable", "without a key", "nonsense", "empty"],
)  # fmt: skip
def test_without_a_call_or_a_key_there_is_nothing_to_run(bench: Bench, letter: str) -> None:
    bench.ask("HSET", "dead", "id", letter)
    bench.ask("ZADD", "dead:at", 5, "id")
    assert again(bench, "id") is Requeued.LOST
    assert again(bench, "id", b"new") is Requeued.LOST
    assert bench.dead() == {"id": letter}
    assert not bench.ask("EXISTS", "live")


def test_where_its_queue_is_broken_it_stays(bench: Bench) -> None:
    id_ = die(bench)
    bench.ask("DEL", "ready:default")
    bench.ask("SET", "ready:default", "x")
    assert again(bench, id_) is Requeued.BAD
    assert list(bench.dead()) == [id_]
    bench.ask("HSET", "dead", id_, "failed/nowhere/1/0/a1/0/call")
    assert again(bench, id_) is Requeued.BAD


def test_a_full_server_does_not_refuse_it(bench: Bench) -> None:
    id_ = die(bench)
    with bench.full():
        assert again(bench, id_) is Requeued.REQUEUED


def test_whoever_listens_is_told(bench: Bench) -> None:
    id_ = die(bench)
    bench.ask("HSET", "meta", "listening", bench.instant + 1000)
    channel = f"{{{bench.store.keys.name}}}:events"
    bench.wire.one("CONFIG", "RESETSTAT")
    again(bench, id_)
    assert "cmdstat_publish:calls=1" in bench.wire.one("INFO", "commandstats", text=True), channel
