"""`crew.lua`: who is alive, and how much each of them runs."""

from shadows.protocol.lease import Announcement, announce
from shadows.protocol.look import Crewman, crew
from tests.protocol.bench import LEASE_MS, Bench, now


def alive(bench: Bench) -> list[Crewman]:
    instant, found = now(crew(bench.store, bench.link, stamp=bench.stamp))
    assert instant == bench.instant
    return found


def test_nobody_is_alive_where_nobody_works(bench: Bench) -> None:
    assert alive(bench) == []


def test_who_has_a_lease_is_alive_until_it_runs_out(bench: Bench) -> None:
    said = Announcement("w", 5, 10, ("default",), ("a", "b"))
    bench.lease("w#1")
    assert alive(bench) == [Crewman("w#1", None, 0)]
    now(announce(bench.store, bench.link, "w#1", said))
    assert alive(bench) == [Crewman("w#1", said, 0)]
    bench.instant += LEASE_MS - 1
    assert alive(bench) == [Crewman("w#1", said, 0)]
    bench.instant += 1
    assert alive(bench) == []


def test_what_each_runs_is_counted_over_all_queues(bench: Bench) -> None:
    bench.enroll("mail", "broken", "groupless", "gone")
    bench.add("a", "b", "c")
    bench.add("d", queue="mail")
    bench.take("w1", most=2)
    bench.take("w2", most=1)
    bench.take("w1", queue="mail")
    bench.lease("w3")
    bench.ask("DEL", "ready:broken")
    bench.ask("SET", "ready:broken", "x")
    bench.wire.one("XGROUP", "DESTROY", bench.key("ready:groupless"), "g")
    bench.ask("DEL", "ready:gone")
    assert {man.incarnation: man.running for man in alive(bench)} == {"w1": 3, "w2": 1, "w3": 0}


def test_a_large_crew_comes_in_pages(bench: Bench) -> None:
    for number in range(200):
        bench.lease(f"w{number}")
    assert len(alive(bench)) == 200
    bench.lease("last")
    assert len({man.incarnation for man in alive(bench)}) == 201
    assert len(bench.raw("crew", bench.instant, 0, 200)) == 2 + 3 * 200
