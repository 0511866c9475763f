"""Run the chaos suite once, and say what came of it; ends with 1 where a promise was broken.

    uv run python -m chaos --seed 1 --faults kill9,sigstop --tasks 3000 --workers 3

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
from pathlib import Path

from tests.support.servers import ENGINES, EngineMissing

from chaos import report
from chaos.checker import check
from chaos.plan import Fault
from chaos.run import Settings, run
from chaos.stack import SHADOWS, environment, pydocket

ALL = tuple(fault for fault in Fault if fault is not Fault.FLUSHALL)
"""What `--faults all` stands for: everything but what loses data."""


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
    parser = argparse.ArgumentParser(prog="python -m chaos", description="Break things, and count.")
    parser.add_argument("--seed", type=int, default=1, help="what the plan is drawn from")
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
    parser.add_argument("--engine", choices=list(ENGINES), default="valkey")
    parser.add_argument("--json", type=Path, help="write the findings there, too")
    parser.add_argument("--keep", type=Path, help="keep logs and effects in this folder, which must be empty")
    parser.add_argument("--peer", choices=["pydocket"], help="do it to this one instead")
    parser.add_argument(
        "--peer-python", metavar="PYTHON", help="of an environment that holds the peer; default: one is made"
    )
    told = parser.parse_args(arguments)
    # In memory where there is such a place: a disk that others keep busy stalls workers that write to it.
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=memory if os.access(memory, os.W_OK) else None))
    if told.keep:
        told.keep.mkdir(parents=True, exist_ok=True)
        folder.rmdir()
        folder = told.keep.absolute()
    stack = SHADOWS
    if told.peer:
        stack = pydocket(told.peer_python or environment(folder / "peer"))
    settings = Settings(
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
        stack,
    )
    sys.stdout.write(f"{settings.command}\n")
    sys.stdout.flush()
    begin = time.monotonic()
    try:
        evidence = asyncio.run(run(settings, folder))
    except EngineMissing as missing:
        parser.error(str(missing))
    except BaseException:
        sys.stderr.write(f"not brought to its end: logs and effects are in {folder}\n")
        raise
    verdict = check(evidence)
    seconds = time.monotonic() - begin
    sys.stdout.write("\n".join(report.lines(settings, verdict, evidence.events, seconds)) + "\n")
    if told.json:
        report.write(told.json, settings, verdict, evidence.events, seconds)
    if verdict.failed:
        sys.stdout.write(f"logs and effects are in {folder}\n")
    elif not told.keep:
        shutil.rmtree(folder)
    return int(verdict.failed)


if __name__ == "__main__":
    sys.exit(main())
