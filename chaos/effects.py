"""What tasks did, written outside of Redis: a line at the start and at the end of every run, a file a process.

A line is one write to a file opened for appending, so a killed process loses none that it has written, and none is torn.
"""

import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

FOLDER = "CHAOS_EFFECTS"
"""The environment variable that names the folder."""

type Word = Literal["start", "end", "raised", "cancelled"]


@dataclass(frozen=True, slots=True)
class Effect:
    """One line: what happened to which step of a task, in which process, and when (the machine's clock, in seconds)."""

    word: Word
    key: str
    step: int
    pid: int
    at: float


def note(word: Word, key: str, step: int) -> None:
    """Write one line, from within a task."""
    pid = os.getpid()
    line = f"{word} {key} {step} {pid} {time.time():.6f}\n"
    file = os.open(Path(os.environ[FOLDER]) / f"{pid}.effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


@contextmanager
def noted(key: str, step: int) -> Generator[None]:
    """A run of a step: its start, and whether it returned, raised or was cancelled.

    It is cancelled also where the loop is closed under it.
    """
    note("start", key, step)
    try:
        yield
    except Exception:
        note("raised", key, step)
        raise
    except BaseException:
        note("cancelled", key, step)
        raise
    note("end", key, step)


def read(folder: Path) -> list[Effect]:
    """All lines of all processes, in the order of their times."""
    return sorted(
        (effect for file in folder.glob("*.effects") for effect in _lines(file)), key=lambda effect: effect.at
    )


def _lines(file: Path) -> Iterator[Effect]:
    for line in file.read_text().splitlines():
        word, key, step, pid, at = line.split(" ")
        yield Effect(cast("Word", word), key, int(step), int(pid), float(at))
