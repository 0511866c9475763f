"""Worker processes to kill, stop and ask to end, and what their tasks have done, written down outside of Redis."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Self

from tests.support.waiting import until_sync

PROGRAM = """
import asyncio, os, sys, time
from datetime import timedelta
from pathlib import Path
from shadows import Shadow, Worker

name, url, folder, lease, grace, max_stall = sys.argv[1:]

def write(word, n):
    with open(Path(folder) / "effects", "a") as effects:
        effects.write(f"{word} {n} {os.getpid()}\\n")

async def wait_for_gate(n: int) -> int:
    write("start", n)
    while not (Path(folder) / "gate").exists():
        await asyncio.sleep(0.01)
    write("end", n)
    return os.getpid()

async def die(n: int) -> None:
    write("start", n)
    os._exit(9)

async def block(n: int) -> int:
    write("start", n)
    while not (Path(folder) / "gate").exists():
        time.sleep(0.01)
    write("end", n)
    return os.getpid()

tasks = [wait_for_gate, die, block]

if __name__ == "__main__":
    async def main():
        shadow = Shadow(name, url)
        for task in tasks:
            shadow.register(task)
        await Worker.run(
            shadows_name=name, url=url, tasks=["program:tasks"], concurrency=20,
            redelivery_timeout=timedelta(seconds=float(lease)), grace=timedelta(seconds=float(grace)),
            max_stall=timedelta(seconds=float(max_stall)),
        )
    import logging
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(main())
"""


class Fleet:
    """Worker processes of one shadow, and the log of effects that their tasks write outside of Redis."""

    def __init__(self, name: str, url: str, folder: Path) -> None:
        self._arguments = [name, url, str(folder)]
        self._folder = folder
        (folder / "program.py").write_text(PROGRAM)
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, lease: float = 1, grace: float = 25, max_stall: float = 600) -> subprocess.Popen[str]:
        """Start one more worker and wait until it is up."""
        number = len(self.processes)
        log = self._folder / f"log{number}"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "program.py", *self._arguments, str(lease), str(grace), str(max_stall)],
                cwd=self._folder,
                stderr=output,
                text=True,
            )
        self.processes.append(process)
        until_sync(lambda: process.poll() is not None or "worker started" in log.read_text(), 30)
        return process

    def log(self, number: int) -> str:
        """What a worker has logged."""
        return (self._folder / f"log{number}").read_text()

    def effects(self, word: str, process: "subprocess.Popen[str] | None" = None) -> Counter[str]:
        """How often each task has started, or ended, in one process or in all."""
        path = self._folder / "effects"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return Counter(n for what, n, pid in lines if what == word and process in (None, _pid(process, pid)))

    def open_gate(self) -> None:
        """Let the waiting tasks end."""
        (self._folder / "gate").touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def _pid(process: "subprocess.Popen[str] | None", pid: str) -> "subprocess.Popen[str] | None":
    return process if process is not None and process.pid == int(pid) else None
