"""`dev`: an engine and a worker in one command, which follow the files."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shadows import Shadow
from shadows.cli.app import run
from shadows.cli.reloading import changes, times
from tests.cli.conftest import TASKS
from tests.support.waiting import until


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dev_tasks.py").write_text(TASKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return tmp_path


async def test_it_runs_tasks_on_its_own_engine_and_starts_anew_when_a_file_changes(project: Path) -> None:
    command = [sys.executable, "-m", "shadows", "dev", "--tasks", "dev_tasks:all_tasks", "--reload"]
    running = subprocess.Popen(  # noqa: ASYNC220 - it starts at once
        command, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    url = (await asyncio.to_thread(running.stderr.readline)).rpartition("SHADOWS_URL=")[2].strip()
    notes = project / "notes"
    try:
        async with Shadow("shadows", url) as shadow:

            async def note(text: str) -> None: ...

            shadow.register(note)
            await shadow.add(note)("first")
            await until(lambda: notes.exists() and "first" in notes.read_text(), 20)
            (project / "dev_tasks.py").write_text(TASKS.replace("{text}", "new-{text}"))

            async def changed() -> bool:
                await shadow.add(note)("second")
                return "new-second" in notes.read_text()

            await until(changed, 20)
            await until(lambda: _empty(shadow), 20)
    finally:
        running.send_signal(signal.SIGINT)
        said = await asyncio.to_thread(running.communicate)
    assert running.returncode == 0
    assert "files changed" in said[1]
    assert url == f"embedded://{project}/.shadows"
    assert (project / ".shadows" / ".gitignore").read_text() == "*\n"


async def _empty(shadow: Shadow) -> bool:
    return (await shadow.snapshot(limit=0)).total_tasks == 0


def test_tasks_that_cannot_be_imported_end_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dev", "--tasks", "nowhere:tasks", "--url", "memory://dev-test"]) == 2
    assert "'nowhere' cannot be imported" in capsys.readouterr().err


def test_tasks_must_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dev"]) == 2
    assert "--tasks" in capsys.readouterr().err


def test_python_files_are_watched_and_nothing_else(tmp_path: Path) -> None:
    for name in (
        "a.py", "deep/er/b.py", "c.txt", ".hidden/d.py", "__pycache__/e.py", "env/pyvenv.cfg", "env/lib/f.py",
    ):  # fmt: skip
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    os.symlink("nowhere", tmp_path / "g.py")
    assert set(times(tmp_path)) == {str(tmp_path / "a.py"), str(tmp_path / "deep/er/b.py")}
    assert times(tmp_path / "gone") == {}


async def test_changes_are_told_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shadows.cli.reloading.INTERVAL", 0.01)
    told: list[int] = []
    watching = asyncio.create_task(changes(tmp_path, lambda: told.append(1)))
    file = tmp_path / "a.py"

    def write() -> bool:
        file.write_text("")
        return len(told) >= 1

    await until(write)
    seen = len(told)
    file.unlink()
    await until(lambda: len(told) > seen)
    watching.cancel()
