"""The workloads: what is measured, each a function that plays one round of one contender on the stage."""

import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks.child import Child, Unanswered
from benchmarks.growth import growths
from benchmarks.harness import rss
from benchmarks.meter import Figures, Requests, counters, round_trip_ms
from benchmarks.roster import OURS, Entrant
from benchmarks.stage import Sizes, Stage, check_count
from benchmarks.workload import Play, Workload

PARTS = 10
"""In how many parts the tasks are added that one worker runs for a look at its memory."""
LOOK = 0.1
"""Seconds between two looks at it."""


def workloads(sizes: Sizes) -> list[Workload]:
    """All of them, in the order in which they are played."""
    return [
        Workload("enqueue, one by one", frozenset({"add_one"}), enqueue("add_one", 10)),
        Workload("enqueue, gathered", frozenset({"add_gathered"}), enqueue("add_gathered", 1)),
        Workload("enqueue, bulk", frozenset({"add_bulk"}), enqueue("add_bulk", 1)),
        *[
            Workload(
                f"drain, concurrency {concurrency}", frozenset({"drain"}), drain(concurrency), peers=peers
            )
            for concurrency, peers in ((1, 1), (10, None), (100, None), (1000, 1))
        ],
        Workload("drain, 1 ms away, concurrency 100", frozenset({"drain"}), far, peers=1),
        Workload(
            "I/O-bound, sleep 10 ms, concurrency 100",
            frozenset({"drain", "fill sleep"}),
            drain(100, "sleep", 4),
            peers=1,
        ),
        Workload("results on, drain", frozenset({"fetch"}), drain(100, results=True)),
        Workload("results on, fetch", frozenset({"fetch"}), fetch, peers=1),
        Workload(
            "everything on, drain",
            frozenset({"fetch", "fill depends"}),
            drain(100, "depends", results=True),
        ),
        *[
            Workload(
                f"processes, {count} workers",
                frozenset({"drain"}),
                processes(count),
                OURS,
                cast="processes",
            )
            for count in (1, 2, 4)
        ],
        Workload("latency, idle worker", frozenset({"send", "work"}), latency, rounds=3, peers=2, cast="two"),
        Workload(
            "lateness, idle worker", frozenset({"schedule", "work"}), lateness, rounds=3, peers=1, cast="two"
        ),
        Workload(
            "burst, all due at once", frozenset({"schedule", "work"}), burst, rounds=3, peers=1, cast="two"
        ),
        Workload("cancel", frozenset({"fill_later", "cancel"}), change("cancel"), peers=1),
        Workload("replace", frozenset({"fill_later", "replace"}), change("replace"), peers=1),
        *growths(sizes.pending),
        Workload("waiting, 1 worker", frozenset({"work"}), waiting(1), OURS[:1], 3, cast="growth"),
        Workload(
            "waiting, 50 workers, a perpetual", frozenset({"work"}), waiting(50), OURS[:1], 3, cast="growth"
        ),
        Workload(
            f"waiting, {max(sizes.pending):,} scheduled",
            frozenset({"work", "fill_later"}),
            waiting(1, max(sizes.pending)),
            OURS[:1],
            1,
        ),
        Workload("memory, scheduled", frozenset({"fill_later"}), memory_scheduled, rounds=3, peers=1),
        Workload(f"memory, worker, {sizes.run:,} tasks", frozenset({"drain"}), memory_worker, OURS[:1], 1),
        Workload("start", frozenset(), start, OURS[:1]),
    ]


def enqueue(do: str, fewer: int) -> Play:
    """Add no-op tasks; `fewer` says which part of n is enough."""

    def play(stage: Stage, entrant: Entrant) -> Figures:
        child = stage.child(entrant)
        stage.fresh(child)
        return stage.measured(child, do, stage.count(entrant, stage.sizes.n // fewer))

    return play


def drain(concurrency: int, kind: str = "noop", fewer: int = 1, *, results: bool = False) -> Play:
    """One worker runs what stands there, from the first task's start to the last task's end."""

    def play(stage: Stage, entrant: Entrant) -> Figures:
        return drained(stage, stage.child(entrant), concurrency, kind, fewer, results=results)

    return play


def drained(
    stage: Stage, child: Child, concurrency: int, kind: str, fewer: int, *, results: bool = False
) -> Figures:
    """Fill, and drain."""
    n = stage.count(child.entrant, stage.sizes.n // fewer, concurrency)
    stage.fresh(child, results=results)
    child.ask("fill", n=n, kind=kind, results=results)
    figures = stage.measured(child, "drain", n, kind=kind, concurrency=concurrency, results=results)
    # What the server has less after it was told by adding.
    del figures["kept"]
    return figures


def far(stage: Stage, entrant: Entrant) -> Figures:
    """Drain at concurrency 100 with a millisecond each way between worker and server.

    `to_near` is the part that is left of the rate over the same way without the millisecond: a proxy on TCP.
    """
    near, away = (
        drained(stage, stage.child(entrant, url=stage.delayed(milliseconds)), 100, "noop", 1)
        for milliseconds in (0, 1)
    )
    return away | {"to_near": away["rate"] / near["rate"]}


def fetch(stage: Stage, entrant: Entrant) -> Figures:
    """Get the results of what was run."""
    child = stage.child(entrant)
    drained(stage, child, 100, "noop", 1, results=True)
    return stage.measured(child, "fetch", stage.count(entrant, stage.sizes.n, 100))


def processes(count: int) -> Play:
    """Several worker processes, each with its share of 2 n tasks, from the first start of all to the last end of all."""

    def play(stage: Stage, entrant: Entrant) -> Figures:
        share = stage.count(entrant, 2 * stage.sizes.n // count)
        children = [stage.child(entrant, number) for number in range(count)]
        stage.fresh(*children)
        children[0].ask("fill", n=share * count)
        for child in children:
            child.send("drain", n=share, concurrency=100)
        readings = [child.receive() for child in children]
        for child, reading in zip(children, readings, strict=True):
            check_count(child, reading, share)
        seconds = max(r["last"] for r in readings) - min(r["first"] for r in readings)
        cpu = sum(reading["cpu"] for reading in readings)
        n = share * count
        return {"n": n, "rate": n / seconds, "cpu_us": 1e6 * cpu / n}

    return play


def latency(stage: Stage, entrant: Entrant) -> Figures:
    """From the add in another process to the first line of the task; beside it a bare round trip."""
    worker, sender = stage.child(entrant), stage.child(entrant, 1)
    stage.fresh(worker, sender)
    worker.ask("work", concurrency=10)
    sender.ask("send", n=stage.sizes.stamps, spacing=0.005)
    with stage.redis as redis:
        trip = round_trip_ms(redis)
    ran = worker.ask("stop", n=stage.sizes.stamps, at=time.time() + stage.sizes.patience)
    return spread(ran["late"], stage.sizes.stamps) | {"trip_ms": trip}


def lateness(stage: Stage, entrant: Entrant) -> Figures:
    """How long after their due instants, 10 ms apart, tasks begin on an idle worker."""
    return scheduled(stage, entrant, stage.sizes.stamps, 0.01)


def burst(stage: Stage, entrant: Entrant) -> Figures:
    """How long after one common due instant the last of many tasks begins."""
    return scheduled(stage, entrant, stage.count(entrant, stage.sizes.burst), 0.0)


def scheduled(stage: Stage, entrant: Entrant, n: int, spacing: float) -> Figures:
    """Schedule from another process, wait until all is due and run, and see how late it was."""
    worker, sender = stage.child(entrant), stage.child(entrant, 1)
    stage.fresh(worker, sender)
    worker.ask("work", concurrency=100)
    each = 1 / 200 if entrant.slow else 1 / 2_000 if entrant.peer else 1 / 20_000
    at = time.time() + stage.sizes.ahead + n * each
    sender.ask("schedule", n=n, at=at, spacing=spacing)
    last = at + n * spacing
    time.sleep(max(0.0, last - time.time()))
    ran = worker.ask("stop", n=n, at=last + stage.sizes.patience + 2 * n * each)
    return spread(ran["late"], n)


def spread(late: list[float], n: int) -> Figures:
    """What is told of lateness; `missing` never began while it was waited for, `early` began before its instant."""
    if not late:
        raise Unanswered("none of the tasks began while they were waited for")
    ordered = sorted(late)
    return {
        "n": n,
        "p50_ms": 1e3 * ordered[len(ordered) // 2],
        "p99_ms": 1e3 * ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
        "last_ms": 1e3 * ordered[-1],
        "early": sum(seconds < 0 for seconds in ordered),
        "missing": n - len(ordered),
    }


def change(do: str) -> Play:
    """Cancel, or replace, scheduled tasks one by one."""

    def play(stage: Stage, entrant: Entrant) -> Figures:
        child, n = stage.child(entrant), stage.count(entrant, stage.sizes.n // (100 if entrant.peer else 10))
        stage.fresh(child)
        child.ask("fill_later", n=n)
        return stage.measured(child, do, n)

    return play


def waiting(workers: int, pending: int = 0) -> Play:
    """What workers that have nothing to do cost; several of them stand in one process, and are given a perpetual."""

    def play(stage: Stage, entrant: Entrant) -> Figures:
        child, seconds = stage.child(entrant, 1), stage.sizes.seconds
        stage.fresh(child)
        if pending:
            child.ask("fill_later", n=pending)
        child.ask("work", n=workers, concurrency=10, kind="perpetual" if workers > 1 else "noop")
        time.sleep(1.0)
        before = child.ask("usage")
        with stage.redis as redis, Requests(stage.url) as requests:
            server_before = counters(redis)["redis_cpu"]
            time.sleep(seconds)
            server_cpu = counters(redis)["redis_cpu"] - server_before
        cpu = child.ask("usage")["cpu"] - before["cpu"]
        child.ask("stop")
        return {
            "requests": requests.counted / seconds / workers,
            "core_percent": 100 * cpu / seconds / workers,
            "server_percent": 100 * server_cpu / seconds / workers,
        }

    return play


def memory_scheduled(stage: Stage, entrant: Entrant) -> Figures:
    """The server's memory for a scheduled task; that for a ready one is told by the enqueue workloads."""
    child = stage.child(entrant)
    stage.fresh(child)
    return stage.measured(child, "fill_later", stage.count(entrant, stage.sizes.n))


def memory_worker(stage: Stage, entrant: Entrant) -> Figures:
    """The memory of one worker while it runs very many tasks that another process adds.

    `rss_growth_percent` is how much more it has in the last tenth of the time than in the second, when it has warmed up.
    """
    worker, filler = stage.child(entrant, 1), stage.child(entrant, 2)
    part = stage.count(entrant, stage.sizes.run // PARTS)
    stage.fresh(worker, filler)
    filler.ask("fill", n=part)
    worker.send("drain", n=part * PARTS, concurrency=100)
    seen = [rss(worker.process.pid)]
    for _ in range(PARTS - 1):
        filler.send("fill", n=part)
        while not filler.answered(LOOK):
            seen.append(rss(worker.process.pid))
        filler.receive()
    while not worker.answered(LOOK):
        seen.append(rss(worker.process.pid))
    reading = worker.receive()
    check_count(worker, reading, part * PARTS)
    seen.append(reading["rss"])
    tenth = max(1, len(seen) // 10)
    warm, last = (statistics.median(some) for some in (seen[tenth : 2 * tenth], seen[-tenth:]))
    return {
        "n": part * PARTS,
        "rate": part * PARTS / reading["seconds"],
        "rss_mb": last / 1e6,
        "rss_growth_percent": 100 * (last / warm - 1),
    }


COLD = """
import asyncio
from shadows import Shadow, Worker
async def task() -> None: pass
async def main() -> None:
    async with Shadow(url="memory://cold") as shadows, Worker(shadows) as worker:
        await shadows.add(task)()
        await worker.run_until_finished()
asyncio.run(main())
"""


def start(stage: Stage, entrant: Entrant) -> Figures:
    """Importing all of the surface that a worker needs, the command line's help, and a first task from nothing.

    In processor time, which other work on the machine does not lengthen; of the first task the time that passes, too. Each
    is done twice, that the modules are compiled, as they are where a package was installed.
    """
    everything = "import time; t = time.process_time(); import shadows; {}; print(time.process_time() - t)"
    ways = (
        ("-c", everything.format("pass")),
        ("-c", everything.format("shadows.Shadow, shadows.Worker")),
        ("-m", "shadows", "--help"),
        ("-c", COLD),
    )
    for way in ways:
        taken(stage, *way)
    bare, used, asked, cold = [taken(stage, *way) for way in ways]
    return {
        "import_ms": 1e3 * float(bare.said),
        "import_used_ms": 1e3 * float(used.said),
        "help_ms": 1e3 * asked.cpu,
        "cold_cpu_ms": 1e3 * cold.cpu,
        "cold_ms": 1e3 * cold.passed,
    }


@dataclass(frozen=True, slots=True)
class Taken:
    """What an interpreter took, in seconds, and of processor time; and what it printed."""

    passed: float
    cpu: float
    said: bytes


def taken(stage: Stage, *words: str) -> Taken:
    """Run an interpreter with these arguments."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *words], capture_output=True, check=True, env=stage.environment)
    passed, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Taken(passed, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done.stdout)
