"""The checker: reads what a run left behind, and says what was lost, doubled, or wrongly recorded.

A duplicate is a start of a step beyond its first. It is *explained* where an earlier run of that step was in flight on the
victim of a fault after which at-least-once runs things again: it had begun before the fault, and had not ended early enough
before it to be recorded. All other duplicates are defects.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from chaos.effects import Effect
from chaos.evidence import LAPSE, Event, Evidence, Exit, Record
from chaos.plan import AT_ONCE, Fault, Job, Kind

RECORDING = 0.5
"""Seconds that recording an outcome may take a worker to which nothing is done, or a quarter of its lease, if that is longer.

Long leases are for machines that give nobody a turn for long, and within each quarter a worker was heard of.
"""
SIGNAL = 0.02
"""Seconds that a signal may take to arrive."""
MAX_STARTS = 10
"""Of a pill: its worker's other suspects may be charged with the first deaths, in its place."""
GRACE = 25.0
"""Seconds that workers get to leave: their default."""

FULL = "Overloaded"
"""The error that says that the server is full."""
UNREADABLE = "undecodable"
"""The reason of a dead letter that nobody could read."""
UPGRADE = "written by a newer shadows"
"""What a worker says that refuses to start for that."""
BACKLOG, LONG = 20, 1.0
"""So many tasks that wait are a backlog, of which something must be begun within so many seconds."""
PENDING = ("scheduled", "queued", "waiting", "running")
"""States of what is still to be done."""

BREAKING = (
    *("lost", "unfinished", "unexpected", "unexplained", "false_failures", "changed", "poison"),
    *("limit_exceeded", "bad_exits", "unclear", "stuck", "unrefused"),
)
"""The lists of a verdict that have to be empty."""

type Step = tuple[str, int]


@dataclass(slots=True)
class Run:
    """One run of a step: its start, and how and when it ended (None: it did not)."""

    step: Step
    pid: int
    start: float
    word: str | None = None
    end: float | None = None


@dataclass(slots=True)
class Verdict:
    """What came of a run, in the field's words. Lists hold the keys (with the number of the step where there are several)."""

    accepted: int = 0
    completed: int = 0
    lost: list[str] = field(default_factory=list[str])
    unfinished: list[str] = field(default_factory=list[str])
    """Still to be done when patience ended, by the shadow's own word: the machine was too slow, or something waits for ever."""
    forgotten: list[str] = field(default_factory=list[str])
    """Lost because the server was told to forget everything."""
    unexpected: list[str] = field(default_factory=list[str])
    """Runs that nobody asked for."""
    duplicated: int = 0
    explained: Counter[str] = field(default_factory=Counter[str])
    """Duplicates by the fault that explains them."""
    unexplained: list[str] = field(default_factory=list[str])
    false_failures: list[str] = field(default_factory=list[str])
    """Recorded as failed, cancelled or dead, though no run of theirs failed for good."""
    changed: list[str] = field(default_factory=list[str])
    """Had ended, and later had another end."""
    poison: list[str] = field(default_factory=list[str])
    """Pills that were not given up as they should."""
    limit_exceeded: list[str] = field(default_factory=list[str])
    bad_exits: list[str] = field(default_factory=list[str])
    unclear: list[str] = field(default_factory=list[str])
    """Errors by which adds were refused while the server was full, and that do not say so."""
    stuck: list[str] = field(default_factory=list[str])
    """Times for which the server was full, and nothing of what was waiting was begun."""
    foreign: int = 0
    """Calls in words that nobody could read, and that are dead letters with their reason."""
    unrefused: list[str] = field(default_factory=list[str])
    """Others of them, and a worker that did not refuse to start where such are."""
    refusals: int = 0
    """Adds that were refused while the server was full, by the error that says so."""
    waiting: int = 0
    """What waited when the server became full, for all such times."""
    drained: int = 0
    """How much of it was begun while it was full."""
    refused: int = 0
    """Late outcomes that were fenced off."""
    late_ends: int = 0
    """Runs that came to their end though another run of that step did, too."""
    lapses: int = 0
    recovery: list[float] = field(default_factory=list[float])
    """Seconds from a fault to the next run of each step that the victim had in flight."""
    outages: list[float] = field(default_factory=list[float])
    """Seconds from a server's death to its return, or to its replica's promotion."""
    resumption: list[float] = field(default_factory=list[float])
    """Seconds from then to the next start of a task."""

    @property
    def failed(self) -> bool:
        """Whether a promise was broken."""
        return any(getattr(self, name) for name in BREAKING)


def percentile(values: Sequence[float], part: float) -> float | None:
    """The smallest value that at least this part of all do not exceed; None of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else None


def runs_of(effects: Iterable[Effect]) -> list[Run]:
    """The runs, by their starts: an end belongs to the last start of its step in its process that has none."""
    runs: list[Run] = []
    opened: dict[tuple[str, int, int], list[Run]] = defaultdict(list)
    for effect in effects:
        mine = opened[effect.key, effect.step, effect.pid]
        if effect.word == "start":
            run = Run((effect.key, effect.step), effect.pid, effect.at)
            runs.append(run)
            mine.append(run)
        elif mine:
            run = mine.pop()
            run.word, run.end = effect.word, effect.at
    return runs


def check(evidence: Evidence) -> Verdict:
    """The verdict on a run."""
    return _Case(evidence).judge()


class _Case:
    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.runs = runs_of(evidence.effects)
        self.by_step: dict[Step, list[Run]] = defaultdict(list)
        for run in self.runs:
            self.by_step[run.step].append(run)
        self.owners = {key: job for job in evidence.jobs.values() for key in job.keys}
        self.recording = max(RECORDING, evidence.lease / 4)
        self.verdict = Verdict(accepted=len(evidence.accepted), refused=evidence.refused)

    def judge(self) -> Verdict:
        self._judge_jobs()
        self._judge_runs()
        self._judge_ends()
        self._judge_limit()
        self._judge_exits()
        self._judge_full()
        self._judge_foreign()
        self._measure()
        return self.verdict

    def _judge_jobs(self) -> None:
        for key in self.evidence.accepted:
            job = self.evidence.jobs[key]
            if job.kind is Kind.POISON:
                self._judge_pill(job)
            else:
                self._judge_job(job)

    def _judge_job(self, job: Job) -> None:
        missing = [step for step in job.steps if not self._happened(step)]
        records = [self.evidence.records.get(key) for key in job.keys]
        states = [None if record is None else record.state for record in records]
        if not missing and all(state == "completed" for state in states):
            self.verdict.completed += 1
        elif self._forgotten(job):
            self.verdict.forgotten.append(job.key)
        elif any(state in ("failed", "cancelled", "expired") for state in states):
            reasons = [record.reason or record.state for record in records if record is not None]
            self.verdict.false_failures.append(f"{job.key} ({', '.join(reasons)})")
        else:
            told = f"missing {[number for _, number in missing]}" if missing else "ran"
            kept = any(state in PENDING for state in states)
            (self.verdict.unfinished if kept else self.verdict.lost).append(
                f"{job.key} ({told}, recorded {states})"
            )

    def _happened(self, step: Step) -> bool:
        return any(run.word in ("end", "raised") for run in self.by_step.get(step, ()))

    def _forgotten(self, job: Job) -> bool:
        """Whether it was accepted before the server forgot, and may have been unrecorded then."""
        accepted = self.evidence.accepted[job.key]
        ends = [self._first_end(step) for step in job.steps]
        for event in self.evidence.events:
            if event.forgets and accepted <= event.end:
                return True if max(ends) >= event.begin else self._record_gone(job)
        return False

    def _record_gone(self, job: Job) -> bool:
        """All its steps ended before the server forgot, and so its records are no more."""
        return all(
            key not in self.evidence.records or self.evidence.records[key].state == "unknown"
            for key in job.keys
        )

    def _first_end(self, step: Step) -> float:
        return min(
            (
                run.end
                for run in self.by_step.get(step, ())
                if run.end is not None and run.word != "cancelled"
            ),
            default=math.inf,
        )

    def _judge_pill(self, job: Job) -> None:
        record = self.evidence.records.get(job.key)
        starts = len(self.by_step.get((job.key, 1), ()))
        if record is not None and record.reason == "deliveries" and starts <= MAX_STARTS:
            self.verdict.completed += 1
        elif self._forgotten(job):
            self.verdict.forgotten.append(job.key)
        else:
            self.verdict.poison.append(f"{job.key} (started {starts} times, recorded {record})")

    def _judge_runs(self) -> None:
        known = {step for job in self.evidence.jobs.values() for step in job.steps}
        for step, runs in self.by_step.items():
            if step not in known:
                self.verdict.unexpected.append(f"{step[0]} step {step[1]}")
            elif self.owners[step[0]].kind is Kind.POISON:
                continue
            else:
                self._judge_step(step, runs)

    def _judge_step(self, step: Step, runs: list[Run]) -> None:
        ended = sum(run.word == "end" for run in runs)
        self.verdict.late_ends += max(0, ended - 1)
        for at, run in enumerate(runs[1:], 1):
            self.verdict.duplicated += 1
            reason = self._reason(runs[:at], run)
            if reason is None:
                self.verdict.unexplained.append(f"{step[0]} step {step[1]}")
            else:
                self.verdict.explained[reason] += 1

    def _reason(self, earlier: list[Run], later: Run) -> str | None:
        """Why a step ran once more: the fault that had an earlier run of it in flight."""
        for event in self.evidence.events:
            if event.runs_again and event.begin <= later.start:
                if any(self._in_flight(run, event) for run in earlier):
                    return event.fault
                if event.forgets and self.evidence.accepted.get(later.step[0], math.inf) >= event.begin:
                    return event.fault  # its add was sent again to a server that had forgotten the first
        return None

    def _in_flight(self, run: Run, event: Event) -> bool:
        """Whether a run had begun when its worker was struck, and was not recorded for certain."""
        if not event.strikes(run.pid) or run.start > _last_start(event):
            return False
        return run.end is None or self._free_time(run.pid, run.end, event.sure) <= self.recording

    def _free_time(self, pid: int, begin: float, end: float) -> float:
        """How much of that time a worker was free to record what it had."""
        if end <= begin:
            return 0.0
        taken = sorted(
            (max(begin, start), min(end, stop))
            for start, stop in self._busy.get(pid, []) + self._silences(pid)
            if start < end and stop > begin
        )
        free, at = 0.0, begin
        for start, stop in taken:
            free += max(0.0, start - at)
            at = max(at, stop)
        return free + max(0.0, end - at)

    @cached_property
    def _busy(self) -> dict[int, list[tuple[float, float]]]:
        """When a task of each process kept its event loop from turning."""
        busy: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for run in self.runs:
            job = self.owners.get(run.step[0])
            if job is not None and job.kind in (Kind.COMPUTING, Kind.HOLDING):
                busy[run.pid].append((run.start, math.inf if run.end is None else run.end))
        return busy

    def _silences(self, pid: int) -> list[tuple[float, float]]:
        return [(event.begin, event.silence) for event in self.evidence.events if event.strikes(pid)]

    def _judge_ends(self) -> None:
        for key, (seen, early) in self.evidence.early.items():
            final = self.evidence.records.get(key)
            same = final is not None and replace(final, reason=early.reason) == early
            if not same and not any(self._undone(seen, early, event) for event in self.evidence.events):
                self.verdict.changed.append(f"{key} ({early}, then {final})")

    def _undone(self, seen: float, record: Record, event: Event) -> bool:
        """Whether a record that was seen may be gone by a fault: its server forgot it, or had no time to pass it on."""
        if event.goes_back:
            return event.sure - self.recording <= (record.completed_at or seen) <= event.end
        return event.forgets and event.end >= seen

    def _judge_limit(self) -> None:
        edges: list[tuple[float, int, str]] = []
        for run in self.runs:
            job = self.owners.get(run.step[0])
            if job is not None and job.kind is Kind.LIMITED:
                edges += [(run.start, 1, run.step[0]), (self._slot_free(run), -1, run.step[0])]
        inside = 0
        for _, change, key in sorted(edges):
            inside += change
            if change > 0 and inside > AT_ONCE:
                self.verdict.limit_exceeded.append(key)

    def _slot_free(self, run: Run) -> float:
        """When a run's slot may be another's: at its end, or when its worker was struck."""
        struck = [
            max(run.start, event.begin)
            for event in self.evidence.events
            if event.runs_again and event.strikes(run.pid) and event.end >= run.start
        ]
        return min([math.inf if run.end is None else run.end, *struck])

    def _judge_exits(self) -> None:
        for ended in self.evidence.exits:
            if complaint := self._complaint(ended):
                self.verdict.bad_exits.append(f"{ended.name} {complaint}")

    def _complaint(self, ended: Exit) -> str | None:
        if ended.killed or ended.pid in self._poisoned:
            return None
        if not ended.asked:
            return None if self._hindered(ended) else f"ended by itself with {ended.code}"
        if ended.code:
            return f"ended with {ended.code} when asked to leave"
        return None if ended.end - ended.begin <= GRACE else f"took {ended.end - ended.begin:.1f} s to leave"

    def _hindered(self, ended: Exit) -> bool:
        """Whether a fault kept it from starting: a server that is not there then is an error."""
        return not ended.up and any(
            event.hinders and event.begin <= ended.end and event.end >= ended.begin
            for event in self.evidence.events
        )

    def _judge_full(self) -> None:
        """While the server is full and nothing else happens to it, adds are refused by name, and the backlog drains."""
        full = [event for event in self.evidence.events if event.fault == Fault.OOM]
        for event in full:
            others = [
                other for other in self.evidence.events if other is not event and _overlap(event, other)
            ]
            named = [name for at, name in self.evidence.refusals if event.begin <= at <= event.end]
            self.verdict.refusals += named.count(FULL)
            waiting = self._waiting_at(event.begin)
            begun = sum(event.begin < self._first_start(key) <= event.end for key in waiting)
            self.verdict.waiting += len(waiting)
            self.verdict.drained += begun
            if others:
                continue
            self.verdict.unclear += [name for name in named if name != FULL]
            if len(waiting) >= BACKLOG and event.end - event.begin >= LONG and not begun:
                self.verdict.stuck.append(f"{event.end - event.begin:.1f} s, {len(waiting)} waiting")

    def _judge_foreign(self) -> None:
        for key, reason in self.evidence.foreign.items():
            if reason == UNREADABLE:
                self.verdict.foreign += 1
            else:
                self.verdict.unrefused.append(f"{key} (dead for {reason})")
        if self.evidence.newcomer is not None:
            code, said = self.evidence.newcomer
            if not code or UPGRADE not in said:
                self.verdict.unrefused.append(f"a worker that ended with {code}")

    def _waiting_at(self, at: float) -> list[str]:
        """What might have been begun then, and had not been."""
        return [
            key
            for key, accepted in self.evidence.accepted.items()
            if (job := self.evidence.jobs[key]).kind is not Kind.LIMITED
            and accepted + job.delay < at < self._first_start(key)
        ]

    def _first_start(self, key: str) -> float:
        return min((run.start for run in self.by_step.get((key, 1), ())), default=math.inf)

    @cached_property
    def _poisoned(self) -> set[int]:
        return {
            run.pid
            for run in self.runs
            if (job := self.owners.get(run.step[0])) is not None and job.kind is Kind.POISON
        }

    def _measure(self) -> None:
        for event in self.evidence.events:
            self.verdict.lapses += event.fault == LAPSE
            if event.fault in (Fault.REDIS_KILL9, Fault.PRIMARY_KILL9):
                self.verdict.outages.append(event.end - event.begin)
            if event.fault in (Fault.REDIS_KILL9, Fault.PRIMARY_KILL9, Fault.FLUSHALL):
                after = [run.start for run in self.runs if run.start > event.end and self._began(run, event)]
                self.verdict.resumption += [min(after) - event.end] if after else []
            elif event.runs_again:
                self.verdict.recovery += self._recoveries(event)

    def _began(self, run: Run, event: Event) -> bool:
        """Whether a run shows that the server serves again: after it forgot, only what was accepted since does."""
        return not event.forgets or self.evidence.accepted.get(run.step[0], 0.0) > event.end

    def _recoveries(self, event: Event) -> list[float]:
        waits: list[float] = []
        for runs in self.by_step.values():
            flying = [run for run in runs if run.start <= event.begin and self._in_flight(run, event)]
            after = [run.start for run in runs if run.start > event.begin]
            if flying and after and self.owners.get(runs[0].step[0]) is not None:
                waits.append(min(after) - event.begin)
        return waits


def _overlap(one: Event, other: Event) -> bool:
    return one.begin <= other.silence and other.begin <= one.silence


def _last_start(event: Event) -> float:
    """Until when a victim may have begun a run that then counts as in flight.

    What is killed or stopped begins nothing any more, and what it begins when it goes on is a defect. What only lost sight
    of the server goes on with what it has taken.
    """
    aware = event.victims is None or event.fault == LAPSE
    return event.end if aware else event.begin + SIGNAL
