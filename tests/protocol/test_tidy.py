"""`tidy.lua`: windows that are over are forgotten, permits that are free are handed out."""

from tests.protocol.bench import Bench


def test_a_producer_is_forgotten_when_it_has_been_silent_for_its_time(bench: Bench) -> None:
    bench.raw("schedule", bench.instant, "old", 1, 100, 0)
    bench.raw("schedule", bench.instant, "kept", 1, 101, 0)
    bench.raw("schedule", bench.instant, "renewed", 1, 100, 0)
    bench.instant += 50
    bench.raw("schedule", bench.instant, "renewed", 2, 100, 0)
    bench.instant += 50
    assert bench.tidy() == b""
    assert sorted(bench.hash("producers")) == ["kept", "renewed"]
    assert sorted(bench.scores("windows")) == ["p/kept", "p/renewed"]


def test_windows_are_forgotten_two_hundred_at_a_time(bench: Bench) -> None:
    for number in range(210):
        bench.ask("ZADD", "windows", bench.instant - number, f"u/k{number}")
    bench.tidy()
    assert sorted(bench.scores("windows")) == [f"u/k{number}" for number in range(10)]
    bench.tidy()
    assert not bench.ask("EXISTS", "windows")
