"""`pause.lua`: which queues nothing is taken from."""

from shadows.protocol.operator import ALL, pause, resume
from tests.protocol.bench import Bench, now


def paused(bench: Bench) -> str | None:
    found: str | None = bench.ask("HGET", "meta", "paused")
    return found


def test_each_queue_stands_there_once_until_it_is_resumed(bench: Bench) -> None:
    for queue in ("mail", "xmail", "sms", "mail", "sms"):
        now(pause(bench.store, bench.link, queue))
    assert paused(bench) == "mail xmail sms "
    now(resume(bench.store, bench.link, "mail"))
    assert paused(bench) == "xmail sms "
    now(resume(bench.store, bench.link, "mail"))
    assert paused(bench) == "xmail sms "
    now(pause(bench.store, bench.link, "mail"))
    now(resume(bench.store, bench.link, "sms"))
    assert paused(bench) == "xmail mail "
    now(resume(bench.store, bench.link, "mail"))
    now(resume(bench.store, bench.link, "xmail"))
    assert paused(bench) == ""


def test_all_is_a_name_of_its_own_and_to_resume_all_leaves_none(bench: Bench) -> None:
    now(pause(bench.store, bench.link, "mail"))
    now(pause(bench.store, bench.link, ALL))
    now(pause(bench.store, bench.link, ALL))
    assert paused(bench) == "mail * "
    now(resume(bench.store, bench.link, "mail"))
    assert paused(bench) == "* "
    now(pause(bench.store, bench.link, "mail"))
    now(resume(bench.store, bench.link, ALL))
    assert paused(bench) is None
    now(resume(bench.store, bench.link, ALL))
    now(resume(bench.store, bench.link, "mail"))
    assert paused(bench) is None


def test_nothing_is_taken_from_a_paused_queue(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("a")
    bench.add("b", queue="mail")
    now(pause(bench.store, bench.link, "mail"))
    assert [task.key for task in bench.take()] == ["a"]
    assert bench.take(queue="mail") == []
    now(resume(bench.store, bench.link, "mail"))
    assert [task.key for task in bench.take(queue="mail")] == ["b"]


def test_a_full_server_does_not_refuse_it(bench: Bench) -> None:
    with bench.full():
        now(pause(bench.store, bench.link, "mail"))
        assert paused(bench) == "mail "
        now(resume(bench.store, bench.link, "mail"))
    assert paused(bench) == ""
