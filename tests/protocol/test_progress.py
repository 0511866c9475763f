"""`progress.lua`: how far running tasks have come."""

from tests.protocol.bench import LEASE_MS, Bench


def test_words_are_noted_for_who_holds_the_present_token(bench: Bench) -> None:
    bench.add("a", "b", "c")
    first, second, _ = bench.take(most=2) + bench.take()
    bench.progress((first.token, "a", "1/2"), (second.token, "b", "2/3"))
    assert bench.hash("progress") == {"a": "1/2", "b": "2/3"}
    bench.progress((first.token, "a", "2/2"), (second.token, "a", "9/9"), ("default/1-1", "b", "9/9"))
    assert bench.hash("progress") == {"a": "2/2", "b": "2/3"}


def test_what_has_ended_is_forgotten_and_what_runs_is_not(bench: Bench) -> None:
    bench.add("a", "b")
    first, second = bench.take()
    bench.progress((first.token, "a", "1/2"), (second.token, "b", "1/2"))
    bench.cancel("a")
    bench.progress((first.token, "a", ""), ("default/1-1", "b", ""))
    assert bench.hash("progress") == {"a": "1/2"}, "it runs still"
    bench.instant += LEASE_MS
    bench.reap()
    assert not bench.ask("EXISTS", "progress")


def test_whoever_listens_is_told_that_there_is_progress(bench: Bench) -> None:
    bench.add("a", "b")
    first, second = bench.take()
    with bench.listening() as heard:
        bench.progress((first.token, "a", "1/2"), ("default/1-1", "b", "1/2"), (second.token, "b", ""))
        assert heard() == ["w\nprogress a"]
        bench.progress(("default/1-1", "b", "1/2"))
        assert heard() == []


def test_a_full_server_still_notes(bench: Bench) -> None:
    bench.add("a")
    (task,) = bench.take()
    with bench.full():
        bench.progress((task.token, "a", "1/2"))
    assert bench.hash("progress") == {"a": "1/2"}
