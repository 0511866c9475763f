"""`resign.lua`: a worker lets its lease run out."""

from tests.protocol.bench import Bench


def test_who_resigns_may_be_reaped_at_once_and_his_next_beat_is_lost(bench: Bench) -> None:
    bench.add("a")
    bench.take()
    assert bench.raw("resign", "", "w") == ["OK"]
    assert bench.raw("beat", bench.instant, "w", 500, 0) == ["LOST", bench.instant]
    assert bench.cycle(take=1).leased is False
    assert bench.reap().moved == 1


def test_who_has_no_lease_gets_none(bench: Bench) -> None:
    assert bench.raw("resign", "", "w") == ["OK"]
    assert not bench.ask("EXISTS", "leases")


def test_a_full_server_lets_a_worker_go(bench: Bench) -> None:
    bench.lease("w")
    with bench.full():
        assert bench.raw("resign", "", "w") == ["OK"]
    assert bench.ask("ZSCORE", "leases", "w") == "0"
