"""Another suite's run as one of ours: what it prints goes on to whoever looks, and its counts into findings."""

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import find, version_of

from chaos.presets import Preset
from chaos.run import stamp
from chaos.stack import ROOT


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of it: its command, what it ended with, the lines that it printed, and seconds."""

    command: str
    code: int
    said: list[str]
    seconds: float


def ran(preset: Preset, engine: str, seed: int) -> Ran:
    """Run a preset's command on an engine."""
    words = ["-m", *preset.command, "--engine", engine, "--seed", str(seed)]
    shown = " ".join(["uv run python", *words])
    sys.stdout.write(f"{shown}\n")
    sys.stdout.flush()
    begin, said = time.monotonic(), list[str]()
    with subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            sys.stdout.write(line)
            said.append(line.rstrip())
    return Ran(shown, process.returncode, said, time.monotonic() - begin)


def write(file: Path, preset: Preset, engine: str, seed: int, run: Ran) -> None:
    """Write its findings as those of this suite are: what a preset says is to be found in its lines, and whether it failed."""
    text = "\n".join(run.said)
    counts = {
        name: int(found[1]) for name, where in preset.counts.items() if (found := re.search(where, text))
    }
    struck = counts.pop("struck", 0)
    file.write_text(
        json.dumps(
            {
                "at": stamp(),
                "command": run.command,
                "of": "shadows",
                "seed": seed,
                "engine": engine,
                "version": version_of(find(engine)),
                "seconds": round(run.seconds, 1),
                "faults": {preset.strikes: struck},
                **counts,
                "exit": run.code,
                "said": run.said,
                "failed": run.code != 0,
            },
            indent=2,
        )
        + "\n"
    )
