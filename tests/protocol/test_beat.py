"""`beat.lua`: a worker's lease is renewed."""

from tests.protocol.bench import Bench


def test_a_lease_is_taken_and_renewed(bench: Bench) -> None:
    assert bench.raw("beat", 1000, "w", 500, 1) == ["OK", 1000]
    assert bench.ask("ZSCORE", "leases", "w") == "1500"
    assert bench.raw("beat", 1400, "w", 500, 0) == ["OK", 1400]
    assert bench.ask("ZSCORE", "leases", "w") == "1900"


def test_a_lease_that_has_run_out_and_was_not_taken_away_is_still_renewed(bench: Bench) -> None:
    bench.raw("beat", 1000, "w", 500, 1)
    assert bench.raw("beat", 9000, "w", 500, 0) == ["OK", 9000]


def test_a_lease_that_was_taken_away_or_is_being_is_lost(bench: Bench) -> None:
    assert bench.raw("beat", 1000, "w", 500, 0) == ["LOST", 1000]
    assert not bench.ask("EXISTS", "leases")
    bench.ask("ZADD", "leases", 0, "w")
    assert bench.raw("beat", 1000, "w", 500, 0) == ["LOST", 1000]
    assert bench.ask("ZSCORE", "leases", "w") == "0"


def test_those_whose_leases_have_run_out_are_named_eight_at_most(bench: Bench) -> None:
    for number in range(10):
        bench.ask("ZADD", "leases", number, f"old-{number}")
    bench.ask("ZADD", "leases", 1001, "young")
    assert bench.raw("beat", 1000, "w", 500, 1) == ["OK", 1000, *[f"old-{number}" for number in range(8)]]


def test_the_servers_own_time_counts_where_none_is_given(bench: Bench) -> None:
    seconds, micros = bench.wire.one("TIME")
    _, instant = bench.raw("beat", "", "w", 500, 1)
    assert 0 <= instant - (int(seconds) * 1000 + int(micros) // 1000) < 5000
    assert float(bench.ask("ZSCORE", "leases", "w")) == instant + 500


def test_a_full_server_still_renews(bench: Bench) -> None:
    with bench.full():
        assert bench.raw("beat", 1000, "w", 500, 1) == ["OK", 1000]
