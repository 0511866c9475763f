"""What tests of commands share: a shadow to run them on, and a project with tasks.

The command line sets up the logs of its process, which here is pytest's own.
"""

import asyncio
import json
import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shadows import Shadow, Worker
from shadows.cli.app import run
from tests.support.root_logging import kept_logging

__all__ = ["kept_logging"]

TASKS = """
import asyncio, os
from shadows import Progress

async def step(steps: int = 3, progress: Progress = Progress()) -> None:
    await progress.set_total(steps)
    await progress.set_message("counting")
    while not os.path.exists(os.environ["NOTES"]):
        await asyncio.sleep(0.01)
    for _ in range(steps):
        await progress.increment()

async def loose(anything, many: list[int] | set[int] = (), **rest) -> str:
    return f"{anything} {many} {rest}"

async def odd() -> object:
    return object()

async def note(text: str, times: int = 1) -> str:
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{text} {os.getpid()}\\n" * times)
    return text.upper()

async def broken() -> None:
    raise ValueError("out of order")

all_tasks = [note, broken, step, loose, odd]
"""


class Commands:
    """Runs commands on one shadow."""

    def __init__(self, name: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.name = name
        self.url = url
        self._capsys = capsys
        self.error = ""

    @property
    def where(self) -> list[str]:
        """The options that name the shadow."""
        return ["--shadows", self.name, "--url", self.url]

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What a command writes; `error` is what it complains of."""
        self._capsys.readouterr()
        answered = run([*arguments, *self.where])
        out, self.error = self._capsys.readouterr()
        assert answered == code, (arguments, out, self.error)
        return out

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What a command writes as JSON."""
        return json.loads(self(*arguments, "--json", code=code))

    def shadow[T](self, doing: Callable[[Shadow], Awaitable[T]]) -> T:
        """Do something with the shadow, as another program would."""

        async def do() -> T:
            async with Shadow(self.name, self.url) as shadow:
                return await doing(shadow)

        return asyncio.run(do())

    @contextmanager
    def worker(self, *tasks: str, **options: Any) -> Generator[None]:
        """A living worker, beside this test."""
        ready, loops = threading.Event(), list[tuple[asyncio.AbstractEventLoop, Worker]]()

        async def work() -> None:
            shadow = Shadow(self.name, self.url)
            for path in tasks:
                shadow.register_collection(path)
            async with shadow, Worker(shadow, **options) as worker:
                loops.append((asyncio.get_running_loop(), worker))
                ready.set()
                await worker.run_forever()

        thread = threading.Thread(target=lambda: asyncio.run(work()))
        thread.start()
        assert ready.wait(20)
        try:
            yield
        finally:
            loop, worker = loops[0]
            loop.call_soon_threadsafe(worker.stop)
            thread.join(20)


@pytest.fixture
def commands(
    name: str, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Commands:
    """Commands on this test's shadow, written to no terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)
    return Commands(name, url, capsys)


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Tasks in the working directory, as `--tasks` takes them; their module is one that no other test has imported."""
    module = tmp_path / f"tasks_{tmp_path.name.replace('-', '_')}.py"
    module.write_text(TASKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return f"{module.stem}:all_tasks"
