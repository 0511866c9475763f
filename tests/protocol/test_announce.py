"""`announce.lua`: a worker says what it is."""

from tests.protocol.bench import Bench


def test_the_last_words_of_a_worker_are_kept_while_it_has_a_lease(bench: Bench) -> None:
    bench.lease("w")
    assert bench.raw("announce", "", "w", "first") == ["OK"]
    assert bench.raw("announce", "", "w", "last") == ["OK"]
    assert bench.ask("HGETALL", "workers") == ["w", "last"]


def test_nothing_is_written_of_one_who_has_gone(bench: Bench) -> None:
    bench.lease("v")
    assert bench.raw("announce", "", "w", "words") == ["OK"]
    assert not bench.ask("EXISTS", "workers")


def test_a_full_server_lets_a_worker_speak(bench: Bench) -> None:
    bench.lease("w")
    with bench.full():
        bench.raw("announce", "", "w", "words")
    assert bench.ask("HGETALL", "workers") == ["w", "words"]


def test_upkeep_says_by_the_way_what_a_living_worker_is(bench: Bench) -> None:
    bench.lease("v")
    for worker in ("v", "gone"):
        bench.raw("tidy", bench.instant, worker, "", "words")
    assert bench.ask("HGETALL", "workers") == ["v", "words"]
    bench.raw("tidy", bench.instant, "v", "", "")
    assert bench.ask("HGETALL", "workers") == ["v", "words"]
