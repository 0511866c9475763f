"""The workloads: what is measured, each a function that plays one round of one contender on the stage."""

import subprocess
import sys
import time

from benchmarks.child import Child, Unanswered
from benchmarks.growth import growths
from benchmarks.harness import BATCH
from benchmarks.meter import Figures, Requests, counters, round_trip_ms
from benchmarks.roster import FLOOR, OURS, Entrant
from benchmarks.stage import Sizes, Stage, check_count
from benchmarks.workload import Play, Workload


def workloads(sizes: Sizes) -> list[Workload]:
    """All of them, in the order in which they are played."""
    return [
        Workload("enqueue, one by one", frozenset({"add_one"}), enqueue("add_one", 10)),
        Workload("enqueue, gathered", frozenset({"add_gathered"}), enqueue("add_gathered", 1)),
        Workload("enqueue, bulk", frozenset({"add_bulk"}), enqueue("add_bulk", 1)),
        *[
            Workload(f"drain, concurrency {concurrency}", frozenset({"drain"}), drain(concurrency))
            for concurrency in (1, 10, 100, 1000)
        ],
        Workload("drain, 1 ms away, concurrency 100", frozenset({"drain"}), far),
        Workload("I/O-bound, sleep 10 ms, concurrency 100", frozenset({"drain"}), drain(100, "sleep", 4), ()),
        Workload("results on, drain", frozenset({"fetch"}), drain(100, results=True)),
        Workload("results on, fetch", frozenset({"fetch"}), fetch),
        Workload("everything on, drain", frozenset({"fetch"}), drain(100, "depends", results=True)),
        *[
            Workload(f"processes, {count} workers", frozenset({"drain"}), processes(count), OURS)
            for count in (1, 2, 4)
        ],
        Workload("latency, idle worker", frozenset({"send", "work"}), latency),
        Workload("lateness, idle worker", frozenset({"schedule", "work"}), lateness),
        Workload("burst, all due at once", frozenset({"schedule", "work"}), burst),
        Workload("cancel", frozenset({"fill_later", "cancel"}), change("cancel")),
        Workload("replace", frozenset({"fill_later", "replace"}), change("replace")),
        *growths(sizes.pending),
        Workload("waiting, 1 worker", frozenset({"work"}), waiting(1), OURS[:1]),
        Workload("waiting, 50 workers, a perpetual", frozenset({"work"}), waiting(50), OURS[:1]),
        Workload(
            f"waiting, {max(sizes.pending):,} scheduled",
            frozenset({"work", "fill_later"}),
            waiting(1, max(sizes.pending)),
            OURS[:1],
        ),
        Workload("memory, scheduled", frozenset({"fill_later"}), memory_scheduled),
        Workload("memory, worker", frozenset({"drain"}), memory_worker, OURS),
        Workload("start", frozenset(), start, OURS[:1]),
    ]


def enqueue(do: str, fewer: int) -> Play:
    """Add no-op tasks; `fewer` says which part of n is enough."""

    def play(stage: Stage, entrant: Entrant) -> Figures:
        child = stage.child(entrant)
        stage.fresh(child)
        return stage.measured(child, do, rounded(stage.sizes.n // fewer))

    return play


def drain(concurrency: int, kind: str = "noop", fewer: int = 1, *, results: bool = False) -> Play:
    """One worker runs what stands there, from the first task's start to the last task's end."""

    def play(stage: Stage, entrant: Entrant) -> Figures:
        return drained(stage, stage.child(entrant), concurrency, kind, fewer, results=results)

    return play


def drained(
    stage: Stage, child: Child, concurrency: int, kind: str, fewer: int, *, results: bool = False
) -> Figures:
    """Fill, and drain. With the bare floor nothing sleeps and nothing depends: it has but one kind."""
    if child.entrant.name == FLOOR and kind != "noop":
        raise Unanswered("the floor has no-op tasks only")
    n = rounded(stage.sizes.n // fewer)
    stage.fresh(child, results=results)
    child.ask("fill", n=n, kind=kind, results=results)
    return stage.measured(child, "drain", n, kind=kind, concurrency=concurrency, results=results)


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
    return stage.measured(child, "fetch", rounded(stage.sizes.n))


def processes(count: int) -> Play:
    """Several worker processes, each with its share, from the first start of all to the last end of all."""

    def play(stage: Stage, entrant: Entrant) -> Figures:
        share = rounded(stage.sizes.n // count)
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
        return {"rate": share * count / seconds, "cpu_us": 1e6 * cpu / (share * count)}

    return play


def latency(stage: Stage, entrant: Entrant) -> Figures:
    """From the add in another process to the first line of the task; beside it a bare round trip."""
    worker, sender = stage.child(entrant), stage.child(entrant, 1)
    stage.fresh(worker, sender)
    worker.ask("work", concurrency=10)
    sender.ask("send", n=stage.sizes.stamps, spacing=0.005)
    with stage.redis as redis:
        trip = round_trip_ms(redis)
    time.sleep(0.2)
    return spread(worker.ask("stop")["late"], stage.sizes.stamps) | {"trip_ms": trip}


def lateness(stage: Stage, entrant: Entrant) -> Figures:
    """How long after their due instants, 10 ms apart, tasks begin on an idle worker."""
    return scheduled(stage, entrant, stage.sizes.stamps, 0.01)


def burst(stage: Stage, entrant: Entrant) -> Figures:
    """How long after one common due instant the last of many tasks begins."""
    return scheduled(stage, entrant, stage.sizes.burst, 0.0)


def scheduled(stage: Stage, entrant: Entrant, n: int, spacing: float) -> Figures:
    """Schedule from another process, wait until all is due and run, and see how late it was."""
    worker, sender = stage.child(entrant), stage.child(entrant, 1)
    stage.fresh(worker, sender)
    worker.ask("work", concurrency=100)
    ahead = stage.sizes.ahead + (n / 2_000 if entrant.peer else n / 20_000)
    at = time.time() + ahead
    sender.ask("schedule", n=n, at=at, spacing=spacing)
    slack = n / 1_000 if entrant.peer else n / 10_000
    time.sleep(max(0.0, at + n * spacing + stage.sizes.patience + slack - time.time()))
    return spread(worker.ask("stop")["late"], n)


def spread(late: list[float], n: int) -> Figures:
    """What is told of lateness; `missing` never began while it was waited for, `early` began before its instant."""
    if not late:
        raise Unanswered("none of the tasks began while they were waited for")
    ordered = sorted(late)
    return {
        "p50_ms": 1e3 * ordered[len(ordered) // 2],
        "p99_ms": 1e3 * ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
        "last_ms": 1e3 * ordered[-1],
        "early": sum(seconds < 0 for seconds in ordered),
        "missing": n - len(ordered),
    }


def change(do: str) -> Play:
    """Cancel, or replace, scheduled tasks one by one."""

    def play(stage: Stage, entrant: Entrant) -> Figures:
        child, n = stage.child(entrant), rounded(stage.sizes.n // 10)
        stage.fresh(child)
        child.ask("fill_later", n=n)
        return stage.measured(child, do, n)

    return play


def waiting(workers: int, pending: int = 0) -> Play:
    """What workers that have nothing to do cost; several of them stand in one process, and are given a perpetual."""

    def play(stage: Stage, entrant: Entrant) -> Figures:
        child, seconds = stage.child(entrant), stage.sizes.seconds
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
    return stage.measured(child, "fill_later", rounded(stage.sizes.n))


def memory_worker(stage: Stage, entrant: Entrant) -> Figures:
    """A worker's memory after each of several drains: how much more after the last than after the second."""
    child, sizes = stage.child(entrant, 1), list[float]()
    for _ in range(6):
        stage.fresh(child)
        child.ask("fill", n=rounded(stage.sizes.n))
        child.ask("drain", n=rounded(stage.sizes.n), concurrency=100)
        sizes.append(child.ask("usage")["rss"])
    return {"rss_mb": sizes[-1] / 1e6, "rss_growth_percent": 100 * (sizes[-1] / sizes[1] - 1)}


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
    """Importing all of the surface that a worker needs, the command line's help, and a first task from nothing."""
    everything = "import time; t = time.perf_counter(); import shadows; {}; print(time.perf_counter() - t)"
    said = [
        float(
            subprocess.run(
                [sys.executable, "-c", everything.format(code)], capture_output=True, check=True
            ).stdout
        )
        for code in ("pass", "shadows.Shadow, shadows.Worker")
    ]
    taken: list[float] = []
    for words in (["-m", "shadows", "--help"], ["-c", COLD]):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *words], capture_output=True, check=True)
        taken.append(time.perf_counter() - begun)
    return {
        "import_ms": 1e3 * said[0],
        "import_used_ms": 1e3 * said[1],
        "help_ms": 1e3 * taken[0],
        "cold_ms": 1e3 * taken[1],
    }


def rounded(n: int) -> int:
    """A multiple of the batch, one at least."""
    return max(BATCH, n // BATCH * BATCH)
