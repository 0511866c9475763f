"""Measure shadows, the floor and other queues, interleaved: A B C, B C A, …; medians, and their ratios.

    uv run python -m benchmarks [--only drain] [--json out.json] [--contenders floor,shadows,pydocket] [--url URL]
    uv run python -m benchmarks report out.json      the page of the documentation, in Markdown
    uv run python -m benchmarks targets out.json     the targets, and which are met

Peers are installed at their pinned versions at their first use. The server's database is flushed; without --url a server
of its own is started. Times are of one machine at one moment: only the ratios travel.

A round is all workloads, once; a round that would not end within --minutes is not begun. The file of figures is written
after each workload, so that a run that is cut off leaves what it has. Runs in parts are reported as one, be they of other
workloads or more rounds of the same: report a.json b.json …, targets a.json b.json ….
"""

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks.report import markdown
from benchmarks.roster import roster
from benchmarks.stage import Sizes, Stage
from benchmarks.suite import Limits, Results, Unlike, play, together
from benchmarks.tables import tables
from benchmarks.targets import table
from benchmarks.workload import Workload
from benchmarks.workloads import workloads
from shadows import embedded


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    defaults = Sizes()
    parser.add_argument("what", nargs="?", default="run", choices=("run", "report", "targets"))
    parser.add_argument("files", nargs="*", type=Path, help="the figures to report or to judge, as one")
    parser.add_argument("--url", help="a server whose database may be flushed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--minutes", type=float, default=25.0, help="a round that would last longer is not begun"
    )
    parser.add_argument("--n", type=int, default=defaults.n, help="tasks a round, for shadows and the floor")
    parser.add_argument("--peers", type=int, default=defaults.peers, help="tasks a round at most, for peers")
    parser.add_argument(
        "--slow", type=int, default=defaults.slow, help="the same, for the slow ones of these"
    )
    parser.add_argument("--only", default="", help="workloads with one of these, by commas, in their name")
    parser.add_argument("--contenders", default="", help="who takes part, by commas; unless told: all")
    parser.add_argument("--pending", default="1000,1000000", help="sizes for the growth workloads, by commas")
    parser.add_argument("--burst", type=int, default=defaults.burst, help="tasks due at one instant")
    parser.add_argument("--stamps", type=int, default=defaults.stamps, help="tasks of a latency workload")
    parser.add_argument(
        "--run", type=int, default=defaults.run, help="tasks that one worker runs for its memory"
    )
    parser.add_argument("--seconds", type=float, default=defaults.seconds, help="a look at waiting workers")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    parser.add_argument("--list", action="store_true", help="name the workloads and the contenders, and end")
    options = parser.parse_args()
    if options.what == "run":
        _run(options)
        return
    if not options.files:
        parser.error(f"{options.what}: which file of figures?")
    try:
        results = together([Results.read(file) for file in options.files])
    except Unlike as error:
        raise SystemExit(str(error)) from None
    if options.what == "report":
        print(markdown(results), end="")
    else:
        _console().print(table(results))


def _console() -> Console:
    """Wide enough for all columns where nobody's terminal says how wide it is."""
    return Console() if sys.stdout.isatty() else Console(width=170)


def _run(options: argparse.Namespace) -> None:
    pending = tuple(int(size) for size in options.pending.split(","))
    sizes = Sizes(
        n=options.n,
        peers=options.peers,
        slow=options.slow,
        pending=pending,
        burst=options.burst,
        stamps=options.stamps,
        seconds=options.seconds,
        run=options.run,
    )
    wanted = [part.strip() for part in options.only.split(",")]
    chosen = [each for each in workloads(sizes) if any(part in each.name for part in wanted)]
    known = roster()
    names = options.contenders.split(",") if options.contenders else list(known)
    if unknown := set(names) - set(known):
        raise SystemExit(f"no contenders: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    console = _console()
    if options.list:
        console.print("\n".join([*(each.name for each in chosen), "", *known]))
        return
    begun = time.monotonic()
    url = options.url or f"unix://{embedded.enter('memory://benchmarks')}"

    def watch(number: int, workload: Workload, results: Results) -> None:
        if options.json:
            results.write(options.json)
        print(f"{time.monotonic() - begun:5.0f} s  round {number + 1}  {workload.name}", file=sys.stderr)

    with Stage(url, sizes) as stage:
        limits = Limits(options.rounds, 60 * options.minutes)
        results = play(stage, chosen, [known[name] for name in names], limits, watch)
    for each in tables(results):
        console.print(each)
    rounds = max((len(row.rounds) for row in results.rows), default=0)
    console.print(f"{results.engine}, n={results.n:,}, {rounds} rounds, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
