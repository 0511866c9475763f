"""Run the chaos suite once, and say what came of it; ends with 1 where a promise was broken.

    uv run python -m chaos --seed 1 --faults kill9,sigstop --tasks 3000 --workers 3
    uv run python -m chaos F1 --engine redis-6.2
    uv run python -m chaos report FOLDER [FOLDER…]

The plan (tasks, faults, their times and victims) follows from the seed; what the machine makes of it does not.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from tests.support.servers import ENGINES, EngineMissing

from chaos import another, report, tables
from chaos.checker import check
from chaos.plan import BEHIND_SENTINELS, CLUSTERED, ON_ONE_SERVER, Fault
from chaos.presets import PRESETS
from chaos.run import CLUSTER, SENTINEL, Settings, run
from chaos.stack import SHADOWS, Stack, environment, pydocket
from chaos.versions import VersionMissing

ALL = tuple(fault for fault in Fault if fault not in {Fault.FLUSHALL, *CLUSTERED})
"""What `--faults all` stands for: everything on one server but what loses data."""


def faults(text: str) -> tuple[Fault, ...]:
    """Faults by their names, separated by commas."""
    if text == "all":
        return ALL
    try:
        return tuple(Fault(word) for word in text.split(",") if word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}: use all, or some of {', '.join(Fault)}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["report"]:
        return _report(words[1:])
    parser = argparse.ArgumentParser(prog="python -m chaos", description="Break things, and count.")
    parser.add_argument(
        "preset",
        nargs="?",
        choices=list(PRESETS),
        help="a run with a name, at its full size; all else but seed, scale, lease, engine and peer is then given",
    )
    parser.add_argument("--seed", type=int, default=1, help="what the plan is drawn from")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of a preset's tasks and time: 0.1 is a tenth"
    )
    parser.add_argument(
        "--faults", type=faults, default=(), help=f"all, or some of {', '.join(Fault)}; default: none"
    )
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--lease", type=float, default=2.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=20.0, help="over which tasks and faults are spread")
    parser.add_argument(
        "--pace", type=float, default=1.0, help="times as long between faults; for all, 4 is much"
    )
    parser.add_argument("--patience", type=float, default=90.0, help="seconds to wait for the last task")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds after which idle-reset cuts")
    parser.add_argument("--engine", choices=list(ENGINES), default="valkey")
    parser.add_argument(
        "--behind",
        choices=[CLUSTER, SENTINEL],
        default=CLUSTER,
        help="who promotes a replica after primary-kill9; default: cluster",
    )
    parser.add_argument(
        "--json", type=Path, help="write the findings there, too; a preset's second ones to NAME-2"
    )
    parser.add_argument("--keep", type=Path, help="keep logs and effects in this folder, which must be empty")
    parser.add_argument(
        "--beside",
        metavar="COMMIT",
        help="what every second worker runs; also next, a next wire version, and breaking, of a second producer",
    )
    parser.add_argument("--peer", choices=["pydocket"], help="do it to this one instead")
    parser.add_argument(
        "--peer-python", metavar="PYTHON", help="of an environment that holds the peer; default: one is made"
    )
    told = parser.parse_args(words)
    if told.preset and (preset := PRESETS[told.preset]).command:
        ended = another.ran(preset, told.engine, told.seed)
        if told.json:
            another.write(told.json, preset, told.engine, told.seed, ended)
        return ended.code
    given = _given(told)
    if any(CLUSTERED.intersection(one.faults) and ON_ONE_SERVER.intersection(one.faults) for one in given):
        parser.error(
            f"{' and '.join(sorted(CLUSTERED))} are done to a cluster, others to one server: do one at a time"
        )
    if any(one.behind == SENTINEL and not {*one.faults} <= BEHIND_SENTINELS for one in given):
        parser.error(f"behind sentinels there is {', '.join(sorted(BEHIND_SENTINELS))}")
    if told.peer and any(one.durable for one in given):
        parser.error("a peer does not wait for replicas, so primary-kill9 may lose what it accepted")
    if told.peer and any(one.beside for one in given):
        parser.error("a peer has no other version here: leave one of --peer and --beside out")
    try:
        return max([_go(one, told, number) for number, one in enumerate(given, 1)])
    except (EngineMissing, VersionMissing) as missing:
        parser.error(str(missing))


def _given(told: argparse.Namespace) -> list[Settings]:
    """The runs that are asked for."""
    if told.preset:
        return [
            replace(
                one,
                seed=told.seed,
                tasks=max(1, round(one.tasks * told.scale)),
                seconds=one.seconds * told.scale,
                lease=told.lease,
                engine=told.engine,
                patience=told.patience,
            )
            for one in PRESETS[told.preset].runs
        ]
    return [
        Settings(
            told.seed,
            told.faults,
            told.tasks,
            told.workers,
            told.concurrency,
            told.lease,
            told.seconds,
            told.patience,
            told.engine,
            told.pace,
            idle=told.idle,
            beside=told.beside,
            behind=told.behind,
        )
    ]


def _go(settings: Settings, told: argparse.Namespace, number: int) -> int:
    """Do one run, and say what came of it; answers 1 where a promise was broken."""
    # In memory where there is such a place: a disk that others keep busy stalls workers that write to it.
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=memory if os.access(memory, os.W_OK) else None))
    if told.keep:
        folder.rmdir()
        folder = _numbered(told.keep, number).absolute()
        folder.mkdir(parents=True, exist_ok=True)
    settings = replace(settings, stack=_stack(told, folder))
    sys.stdout.write(f"{settings.command}\n")
    sys.stdout.flush()
    begin = time.monotonic()
    try:
        evidence = asyncio.run(run(settings, folder))
    except (EngineMissing, VersionMissing):
        shutil.rmtree(folder)
        raise
    except BaseException:
        sys.stderr.write(f"not brought to its end: logs and effects are in {folder}\n")
        raise
    verdict = check(evidence)
    seconds = time.monotonic() - begin
    sys.stdout.write("\n".join(report.lines(settings, verdict, evidence.events, seconds)) + "\n")
    sys.stdout.flush()
    if told.json:
        report.write(_numbered(told.json, number), settings, verdict, evidence.events, seconds)
    if verdict.failed:
        sys.stdout.write(f"logs and effects are in {folder}\n")
    elif not told.keep:
        shutil.rmtree(folder)
    return int(verdict.failed)


def _stack(told: argparse.Namespace, folder: Path) -> Stack:
    return pydocket(told.peer_python or environment(folder / "peer")) if told.peer else SHADOWS


def _numbered(path: Path, number: int) -> Path:
    """A place for the first run of several, or for one that follows it."""
    return path if number == 1 else path.with_stem(f"{path.stem}-{number}")


def _report(words: Sequence[str]) -> int:
    """Print the table of the findings that `--json` left in folders."""
    parser = argparse.ArgumentParser(prog="python -m chaos report", description="Findings as a table.")
    parser.add_argument(
        "folder", nargs="+", type=Path, help="with the files that --json wrote: one of each engine, say"
    )
    parser.add_argument("--runs", action="store_true", help="a row for each run")
    told = parser.parse_args(words)
    findings = tables.found(told.folder)
    engines = dict.fromkeys(
        tables.engine_of(one) for folder in told.folder for one in chain(*tables.found([folder]).values())
    )
    lines = tables.runs(findings) if told.runs else tables.promises(findings, list(engines))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
