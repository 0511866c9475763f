"""What the checker says of runs that are made up, a line of effects at a time."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from chaos.checker import PENDING, Verdict, check, percentile, runs_of
from chaos.effects import Effect, Word
from chaos.evidence import LAPSE, Event, Evidence, Exit, Record
from chaos.plan import Fault, Job, Kind

DONE = Record("completed", "w0", 1, 100.0)
DEAD = Record("failed", None, 1, 100.0, "deliveries")


def job(key: str = "k", kind: Kind = Kind.SLEEPING) -> Job:
    return Job(key, kind, 0.0)


def effect(word: Word, at: float, *, key: str = "k", step: int = 1, pid: int = 1) -> Effect:
    return Effect(word, key, step, pid, at)


def ran(begin: float, end: float | None, *, key: str = "k", step: int = 1, pid: int = 1) -> list[Effect]:
    """A run that returned, or of which nothing more was heard."""
    lines = [effect("start", begin, key=key, step=step, pid=pid)]
    return lines if end is None else [*lines, effect("end", end, key=key, step=step, pid=pid)]


def killed(at: float, *pids: int, fault: str = Fault.KILL9) -> Event:
    return Event(fault, at, at, frozenset(pids))


def judged(
    *effects: Sequence[Effect],
    jobs: Sequence[Job] = (job(),),
    accepted: dict[str, float] | None = None,
    events: Sequence[Event] = (),
    records: dict[str, Record] | None = None,
    early: dict[str, tuple[float, Record]] | None = None,
    exits: Sequence[Exit] = (),
    refused: int = 0,
    lease: float = 2.0,
    refusals: Sequence[tuple[float, str]] = (),
    foreign: dict[str, str | None] | None = None,
    newcomer: tuple[int, str] | None = None,
) -> Verdict:
    """The verdict; unless told, all jobs were accepted at 0 and are recorded as completed."""
    return check(
        Evidence(
            {each.key: each for each in jobs},
            {each.key: 0.0 for each in jobs} if accepted is None else accepted,
            sorted((line for lines in effects for line in lines), key=lambda line: line.at),
            events,
            {key: DONE for each in jobs for key in each.keys} | (records or {}),
            early or {},
            exits,
            refused,
            lease,
            refusals,
            foreign or {},
            newcomer,
        )
    )


def test_what_ran_once_and_is_recorded_is_completed() -> None:
    verdict = judged(ran(1, 2))
    assert (verdict.accepted, verdict.completed, verdict.duplicated, verdict.failed) == (1, 1, 0, False)


class TestLost:
    def test_what_was_accepted_and_never_ran_is_lost(self) -> None:
        verdict = judged(records={"k": Record("unknown")})
        assert verdict.lost == ["k (missing [1], recorded ['unknown'])"]
        assert verdict.failed

    def test_a_record_of_a_run_that_never_was_does_not_save_it(self) -> None:
        assert judged().lost == ["k (missing [1], recorded ['completed'])"]

    @pytest.mark.parametrize("state", PENDING)
    def test_what_is_still_to_be_done_is_unfinished(self, state: str) -> None:
        verdict = judged(ran(1, 2), records={"k": Record(state)})
        assert (verdict.lost, verdict.unfinished) == ([], [f"k (ran, recorded ['{state}'])"])
        assert verdict.failed

    def test_what_only_started_is_lost(self) -> None:
        assert judged(ran(1, None)).lost == ["k (missing [1], recorded ['completed'])"]

    def test_what_was_never_accepted_is_not(self) -> None:
        assert not judged(accepted={}).failed

    @pytest.mark.parametrize(
        ("kind", "key", "step"),
        [(Kind.RETRIED, "k", 3), (Kind.PERPETUAL, "k", 5), (Kind.LEADING, "k.then", 1)],
    )
    def test_every_step_has_to_happen(self, kind: Kind, key: str, step: int) -> None:
        asked = job(kind=kind)
        lines = [ran(at, at + 0.5, key=name, step=n) for at, (name, n) in enumerate(asked.steps, 1)]
        assert not judged(*lines, jobs=[asked]).failed
        assert (key, step) == asked.steps[-1]
        assert judged(*lines[:-1], jobs=[asked]).lost

    def test_a_failure_on_purpose_counts_as_a_run(self) -> None:
        asked = job(kind=Kind.RETRIED)
        lines = [
            *(
                effect("start", 1),
                effect("raised", 2),
                effect("start", 3, step=2),
                effect("raised", 4, step=2),
            ),
            *ran(5, 6, step=3),
        ]
        assert judged(lines, jobs=[asked]).completed == 1

    def test_a_cancelled_run_does_not(self) -> None:
        assert judged([effect("start", 1), effect("cancelled", 2)]).lost


class TestForgotten:
    FLUSH = Event(Fault.FLUSHALL, 10, 11)

    def test_what_was_accepted_before_the_server_forgot_may_be_gone(self) -> None:
        verdict = judged(events=[self.FLUSH], records={"k": Record("unknown")})
        assert (verdict.forgotten, verdict.lost, verdict.failed) == (["k"], [], False)

    def test_what_had_ended_before_has_no_record_any_more(self) -> None:
        verdict = judged(ran(1, 2), events=[self.FLUSH], records={"k": Record("unknown")})
        assert verdict.forgotten == ["k"]

    def test_what_was_accepted_afterwards_is_lost(self) -> None:
        verdict = judged(accepted={"k": 12.0}, events=[self.FLUSH], records={"k": Record("unknown")})
        assert verdict.lost

    def test_an_end_that_was_recorded_otherwise_is_no_excuse(self) -> None:
        verdict = judged(ran(1, 2), events=[self.FLUSH], records={"k": Record("failed")})
        assert verdict.false_failures == ["k (failed)"]

    def test_an_add_that_was_sent_again_afterwards_may_run_twice(self) -> None:
        verdict = judged(ran(1, 2), ran(12, 13), accepted={"k": 12.0}, events=[self.FLUSH])
        assert verdict.explained == {Fault.FLUSHALL: 1}

    def test_a_pill_may_be_gone_too(self) -> None:
        verdict = judged(jobs=[job(kind=Kind.POISON)], events=[self.FLUSH], records={"k": Record("unknown")})
        assert verdict.forgotten == ["k"]


class TestUnexpected:
    def test_a_run_that_nobody_asked_for(self) -> None:
        verdict = judged(ran(1, 2), ran(3, 4, key="stranger"))
        assert verdict.unexpected == ["stranger step 1"]
        assert verdict.failed

    def test_a_step_beyond_the_last(self) -> None:
        assert judged(ran(1, 2), ran(3, 4, step=2)).unexpected == ["k step 2"]


class TestDuplicates:
    def test_a_second_run_without_a_fault_is_a_defect(self) -> None:
        verdict = judged(ran(1, 2), ran(3, 4, pid=2))
        assert (verdict.duplicated, verdict.unexplained, verdict.failed) == (1, ["k step 1"], True)

    def test_what_was_in_flight_on_the_victim_is_explained(self) -> None:
        verdict = judged(ran(1, None), ran(4, 5, pid=2), events=[killed(2, 1)])
        assert (verdict.duplicated, verdict.explained, verdict.unexplained) == (1, {Fault.KILL9: 1}, [])
        assert not verdict.failed

    def test_what_was_in_flight_elsewhere_is_not(self) -> None:
        assert judged(ran(1, None), ran(4, 5, pid=2), events=[killed(2, 3)]).unexplained

    def test_a_fault_does_not_explain_what_happened_before_it(self) -> None:
        assert judged(ran(1, None), ran(4, 5, pid=2), events=[killed(6, 1)]).unexplained

    def test_what_ended_just_before_the_fault_may_not_be_recorded(self) -> None:
        assert judged(ran(1, 1.8), ran(4, 5, pid=2), events=[killed(2, 1)]).explained

    def test_what_ended_long_before_it_must_be(self) -> None:
        assert judged(ran(1, 1.2), ran(4, 5, pid=2), events=[killed(2, 1)]).unexplained

    def test_a_long_lease_gives_longer_to_record(self) -> None:
        assert judged(ran(1, 1.2), ran(4, 5, pid=2), events=[killed(2, 1)], lease=4.0).explained

    def test_what_ended_while_the_server_was_away_may_not_be_recorded(self) -> None:
        away = Event(Fault.REDIS_KILL9, 1.3, 9.8)
        assert judged(ran(1, 1.2), ran(12, 13, pid=2), events=[away, killed(10, 1)]).explained

    def test_nor_what_ended_while_its_connections_were_cut_again_and_again(self) -> None:
        cuts = [Event(Fault.CUT, at, at) for at in (1.3, 2.2, 3.1)]
        assert judged(ran(1, 1.2), ran(12, 13, pid=2), events=[*cuts, killed(4, 1)]).explained
        assert judged(ran(1, 1.2), ran(12, 13, pid=2), events=[*cuts, killed(5, 1)]).unexplained

    def test_nor_what_ended_while_its_worker_computed(self) -> None:
        busy = job("c", Kind.COMPUTING)
        lines = [ran(1, 1.2), ran(1.1, None, key="c"), ran(12, 13, pid=2), ran(12, 14, key="c", pid=2)]
        assert not judged(*lines, jobs=[job(), busy], events=[killed(10, 1)]).failed

    def test_a_zombie_that_begins_a_task_when_it_wakes_is_a_defect(self) -> None:
        stopped = Event(Fault.SIGSTOP, 1, 5, frozenset({1}))
        assert judged(ran(3, 4, pid=2), ran(5.1, 5.2, pid=1), events=[stopped]).unexplained

    def test_one_that_ends_a_task_when_it_wakes_is_none(self) -> None:
        stopped = Event(Fault.SIGSTOP, 1, 5, frozenset({1}))
        verdict = judged(ran(0.9, 5.1), ran(3, 4, pid=2), events=[stopped], refused=1)
        assert (verdict.explained, verdict.late_ends, verdict.refused) == ({Fault.SIGSTOP: 1}, 1, 1)

    @pytest.mark.parametrize(("ended", "explained"), [(1.6, True), (1.2, False)])
    def test_what_ended_before_a_replica_heard_of_it_last_is_recorded(
        self, ended: float, explained: bool
    ) -> None:
        fall = Event(Fault.PRIMARY_KILL9, 2.3, 4, lag=0.3)
        verdict = judged(ran(1, ended), ran(5, 6, pid=2), events=[fall])
        assert (verdict.explained == {Fault.PRIMARY_KILL9: 1}) is explained
        assert verdict.failed is not explained

    def test_a_worker_without_a_turn_explains_what_it_began_until_it_knew(self) -> None:
        lapse = Event(LAPSE, 1, 5, frozenset({1}))
        verdict = judged(ran(2, 6), ran(4, 5, pid=2), events=[lapse])
        assert (verdict.explained, verdict.lapses) == ({LAPSE: 1}, 1)

    @pytest.mark.parametrize(
        "fault",
        [
            Fault.SIGTERM,
            Fault.CUT,
            Fault.DROP_REPLY,
            Fault.CUT_BEFORE,
            Fault.HANG_REPLY,
            Fault.OOM,
            Fault.SCRIPT_FLUSH,
        ],
    )
    def test_some_faults_explain_nothing(self, fault: Fault) -> None:
        assert judged(ran(1, None), ran(4, 5, pid=2), events=[Event(fault, 2, 3)]).unexplained


class TestFalseFailures:
    @pytest.mark.parametrize("state", ["failed", "cancelled", "expired"])
    def test_a_task_that_returned_and_is_recorded_otherwise(self, state: str) -> None:
        verdict = judged(ran(1, 2), records={"k": Record(state)})
        assert verdict.false_failures == [f"k ({state})"]
        assert verdict.failed

    def test_a_dead_letter_that_nothing_was_wrong_with(self) -> None:
        assert judged(records={"k": DEAD}).false_failures == ["k (deliveries)"]


class TestChangedEnds:
    def test_an_end_that_became_another(self) -> None:
        verdict = judged(ran(1, 2), early={"k": (3.0, replace(DONE, worker="w9"))})
        assert len(verdict.changed) == 1
        assert verdict.failed

    def test_an_end_that_stayed(self) -> None:
        assert not judged(ran(1, 2), early={"k": (3.0, DONE)}).failed

    def test_a_dead_letter_whose_reason_was_not_asked_for_yet(self) -> None:
        pill = job(kind=Kind.POISON)
        early = {"k": (3.0, replace(DEAD, reason=None))}
        assert not judged([effect("start", 1)], jobs=[pill], records={"k": DEAD}, early=early).changed

    def test_one_whose_record_is_gone(self) -> None:
        assert judged(ran(1, 2), early={"k": (3.0, DONE)}, records={"k": Record("unknown")}).changed

    def test_one_that_the_server_forgot_later(self) -> None:
        flush = Event(Fault.FLUSHALL, 10, 11)
        verdict = judged(
            ran(1, 2), events=[flush], early={"k": (3.0, DONE)}, records={"k": Record("unknown")}
        )
        assert not verdict.changed

    @pytest.mark.parametrize(("ended", "undone"), [(9.9, True), (9.0, False), (11.5, False)])
    def test_one_that_a_replica_had_not_heard_of(self, ended: float, undone: bool) -> None:
        fall = Event(Fault.PRIMARY_KILL9, 10, 11, lag=0.2)
        early = {"k": (max(ended, 10.0), replace(DONE, completed_at=ended))}
        verdict = judged(ran(1, 2), events=[fall], early=early)
        assert bool(verdict.changed) is not undone


class TestPills:
    PILL = job(kind=Kind.POISON)

    def starts(self, count: int) -> list[Effect]:
        return [effect("start", at, pid=at) for at in range(1, count + 1)]

    def test_one_that_was_given_up_in_time(self) -> None:
        verdict = judged(self.starts(5), jobs=[self.PILL], records={"k": DEAD})
        assert (verdict.completed, verdict.duplicated, verdict.failed) == (1, 0, False)

    def test_one_that_was_started_too_often(self) -> None:
        assert judged(self.starts(11), jobs=[self.PILL], records={"k": DEAD}).poison

    def test_one_that_was_not_given_up(self) -> None:
        assert judged(self.starts(5), jobs=[self.PILL], records={"k": Record("queued")}).failed


class TestLimit:
    JOBS = tuple(job(key, Kind.LIMITED) for key in "abc")

    def test_as_many_as_allowed(self) -> None:
        lines = [ran(1, 3, key="a"), ran(1, 2, key="b"), ran(2, 4, key="c", pid=2)]
        assert not judged(*lines, jobs=self.JOBS).failed

    def test_one_too_many(self) -> None:
        lines = [ran(1, 3, key="a"), ran(1, 3, key="b"), ran(2, 4, key="c", pid=2)]
        verdict = judged(*lines, jobs=self.JOBS)
        assert verdict.limit_exceeded == ["c"]
        assert verdict.failed

    def test_the_slot_of_a_dead_worker_is_free(self) -> None:
        lines = [
            ran(1, None, key="a"),
            ran(1, 5, key="b", pid=2),
            ran(3, 4, key="c", pid=2),
            ran(4.5, 5, key="a", pid=2),
        ]
        assert not judged(*lines, jobs=self.JOBS, events=[killed(2, 1)]).failed


class TestExits:
    def exit(self, code: int, *, asked: bool = True, killed: bool = False, took: float = 1.0) -> Exit:
        return Exit("w0", 1, code, 10.0, 10.0 + took, asked=asked, killed=killed)

    @pytest.mark.parametrize(
        ("code", "asked", "was_killed", "took", "complaint"),
        [
            (0, True, False, 1.0, None),
            (-9, False, True, 1.0, None),
            (1, True, False, 1.0, "w0 ended with 1 when asked to leave"),
            (1, False, False, 1.0, "w0 ended by itself with 1"),
            (0, True, False, 26.0, "w0 took 26.0 s to leave"),
        ],
    )
    def test_how_a_worker_may_end(
        self, code: int, asked: bool, was_killed: bool, took: float, complaint: str | None
    ) -> None:
        verdict = judged(ran(1, 2), exits=[self.exit(code, asked=asked, killed=was_killed, took=took)])
        assert verdict.bad_exits == ([] if complaint is None else [complaint])
        assert verdict.failed is (complaint is not None)

    def test_one_that_could_not_reach_the_server_at_its_start_may_end_with_an_error(self) -> None:
        stillborn = replace(self.exit(1, asked=False), up=False)
        cut = Event(Fault.CUT, 10.5, 10.5)
        assert not judged(ran(1, 2), exits=[stillborn], events=[cut]).failed
        assert judged(ran(1, 2), exits=[stillborn]).failed
        assert judged(ran(1, 2), exits=[replace(stillborn, up=True)], events=[cut]).failed

    def test_one_that_took_a_pill_may_end_anyhow(self) -> None:
        pill = job(kind=Kind.POISON)
        verdict = judged(
            [effect("start", 1)], jobs=[pill], records={"k": DEAD}, exits=[self.exit(9, asked=False)]
        )
        assert not verdict.failed


class TestTimes:
    def test_recovery_is_from_the_fault_to_the_next_run(self) -> None:
        assert judged(ran(1, None), ran(4, 5, pid=2), events=[killed(2, 1)]).recovery == [2.0]

    def test_nothing_recovers_that_was_not_in_flight(self) -> None:
        assert judged(ran(1, 1.1), events=[killed(2, 1)]).recovery == []

    def test_resumption_is_from_the_servers_return_to_the_next_start(self) -> None:
        away = Event(Fault.REDIS_KILL9, 2, 3)
        assert judged(ran(3.5, 4), events=[away]).resumption == [0.5]

    @pytest.mark.parametrize("fault", [Fault.REDIS_KILL9, Fault.PRIMARY_KILL9])
    def test_an_outage_is_from_its_death_to_its_return(self, fault: Fault) -> None:
        verdict = judged(ran(3.5, 4), events=[Event(fault, 2, 3.2, lag=0.5)])
        assert verdict.outages == [pytest.approx(1.2)]
        assert verdict.resumption == [pytest.approx(0.3)]
        assert verdict.recovery == []

    def test_after_it_forgot_only_what_was_accepted_since_counts(self) -> None:
        flush = Event(Fault.FLUSHALL, 2, 3)
        lines = [ran(3.1, 3.2), ran(4, 5, key="late")]
        verdict = judged(*lines, jobs=[job(), job("late")], accepted={"k": 1.0, "late": 3.5}, events=[flush])
        assert verdict.resumption == [1.0]

    def test_a_server_after_which_nothing_started_has_none(self) -> None:
        assert judged(ran(1, 2), events=[Event(Fault.REDIS_KILL9, 3, 4)]).resumption == []

    @pytest.mark.parametrize(
        ("values", "part", "expected"),
        [([], 0.5, None), ([3.0], 0.99, 3.0), ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0), ([1.0, 2.0], 0.99, 2.0)],
    )
    def test_percentiles(self, values: list[float], part: float, expected: float | None) -> None:
        assert percentile(values, part) == expected


class TestRuns:
    def test_an_end_belongs_to_the_last_open_start_of_its_process(self) -> None:
        first, second = runs_of([*ran(1, None, pid=1), *ran(2, 3, pid=2)])
        assert (first.end, second.end) == (None, 3)

    def test_an_end_without_a_start_is_none(self) -> None:
        assert runs_of([effect("end", 1)]) == []


class TestAFullServer:
    JOBS = tuple(job(f"k{n}") for n in range(30))
    FULL = Event(Fault.OOM, 10, 12)

    def ran_at(self, begin: float) -> list[Effect]:
        return [
            line
            for n, each in enumerate(self.JOBS)
            for line in ran(begin + n / 100, begin + n / 10, key=each.key)
        ]

    def test_refuses_adds_by_an_error_that_says_so(self) -> None:
        verdict = judged(
            ran(1, 2), events=[self.FULL], refusals=[(11, "Overloaded"), (13, "ConnectionError")]
        )
        assert (verdict.refusals, verdict.unclear, verdict.failed) == (1, [], False)

    def test_that_refuses_by_another_error_is_a_defect(self) -> None:
        verdict = judged(ran(1, 2), events=[self.FULL], refusals=[(11, "ResponseError")])
        assert verdict.unclear == ["ResponseError"]
        assert verdict.failed

    def test_may_be_cut_off_too(self) -> None:
        cut = Event(Fault.CUT, 11, 11)
        assert not judged(ran(1, 2), events=[self.FULL, cut], refusals=[(11, "ConnectionError")]).failed

    def test_lets_the_backlog_drain(self) -> None:
        verdict = judged(self.ran_at(11.9), jobs=self.JOBS, events=[self.FULL])
        assert (verdict.waiting, verdict.drained, verdict.stuck) == (30, 11, [])

    def test_that_lets_nothing_of_it_begin_is_a_defect(self) -> None:
        verdict = judged(self.ran_at(12.1), jobs=self.JOBS, events=[self.FULL])
        assert verdict.stuck == ["2.0 s, 30 waiting"]
        assert verdict.failed


class TestAnotherVersion:
    def test_is_refused_with_a_reason(self) -> None:
        verdict = judged(
            ran(1, 2),
            foreign={"f": "undecodable"},
            newcomer=(1, "the shadow 's' is written by a newer shadows (wire version 2 is needed to read it"),
        )
        assert (verdict.foreign, verdict.unrefused, verdict.failed) == (1, [], False)

    @pytest.mark.parametrize("reason", ["deliveries", None])
    def test_whose_calls_go_elsewhere_is_a_defect(self, reason: str | None) -> None:
        assert judged(ran(1, 2), foreign={"f": reason}).unrefused == [f"f (dead for {reason})"]

    def test_whose_calls_are_run_is_a_defect(self) -> None:
        assert judged(ran(1, 2), ran(1, 2, key="f"), foreign={"f": "undecodable"}).unexpected

    @pytest.mark.parametrize("newcomer", [(0, ""), (1, "no server")])
    def test_that_lets_one_start_is_a_defect(self, newcomer: tuple[int, str]) -> None:
        assert judged(ran(1, 2), newcomer=newcomer).failed
