"""What is under test: shadows, or a peer in an environment of its own."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from chaos.evidence import Record

ROOT = Path(__file__).parents[1]
"""Where `chaos` and `tests` can be imported from."""
PYDOCKET = "pydocket==0.27.0"


@dataclass(frozen=True, slots=True)
class Stack:
    """How to run one: its producer takes a plan, a name, a URL, a log and the instant to begin at.

    Attributes:
        worker: the command of a worker; name, URL, concurrency and lease are filled in.
        producer: the command of the producer.
        started: what a worker logs once it is up.
        asking: the command that waits until nothing is left to do and prints what is recorded; None: shadows itself.
    """

    worker: tuple[str, ...]
    producer: tuple[str, ...]
    started: str
    asking: tuple[str, ...] | None = None

    def by(self, python: str) -> "Stack":
        """The same, its workers run by the Python of another environment."""
        return replace(self, worker=(python, *self.worker[1:]))

    def command(self, name: str, url: str, concurrency: int, lease: float) -> list[str]:
        """The command of a worker."""
        said = {"name": name, "url": url, "concurrency": concurrency, "lease": f"{lease:g}"}
        return [word.format(**said) for word in self.worker]


_OPTIONS = (
    *("--url", "{url}", "--concurrency", "{concurrency}", "--redelivery-timeout", "{lease}s"),
    *("--reconnection-delay", "1s", "--logging-format", "plain"),
)

SHADOWS = Stack(
    (
        sys.executable,
        "-m",
        "shadows",
        "worker",
        "--tasks",
        "chaos.tasks:tasks",
        "--shadows",
        "{name}",
        *_OPTIONS,
    ),
    (sys.executable, "-m", "chaos.producer"),
    "worker started",
)


def environment(folder: Path) -> str:
    """Make an environment that holds the peer, and nothing of ours; answers its Python.

    Raises:
        subprocess.CalledProcessError: uv could not.
    """
    uv = os.environ.get("UV", "uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True, cwd=ROOT)
    python = str(folder / "bin" / "python")
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, PYDOCKET], check=True, cwd=ROOT)
    return python


def pydocket(python: str) -> Stack:
    """The peer, by the Python of an environment that holds it. Its tasks are those of `chaos.peer`."""
    return Stack(
        (python, "-m", "docket", "worker", "--tasks", "chaos.peer:tasks", "--docket", "{name}", *_OPTIONS),
        (python, "-m", "chaos.peer", "produce"),
        "Starting worker",
        (python, "-m", "chaos.peer", "records"),
    )


async def ask(stack: Stack, plan: Path, name: str, url: str, patience: float) -> dict[str, Record]:
    """What a peer says of each key, once nothing is left to do or patience has ended.

    Raises:
        RuntimeError: it could not be asked.
    """
    process = await asyncio.create_subprocess_exec(
        *(stack.asking or ()), str(plan), name, url, str(patience), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(
            f"the peer's records could not be read: its error stands above ({process.returncode})"
        )
    return {key: Record(state, worker) for key, (state, worker) in json.loads(told).items()}
