"""`snapshot`, `top`, `workers`: what is there, and who works on it."""

import asyncio
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from shadows import Shadow
from shadows.cli import top as top_module
from shadows.cli.app import run
from tests.cli.conftest import Commands


async def fill(shadow: Shadow) -> None:
    """Two tasks at once, one in an hour, of functions that only this program knows."""

    async def mail(to: str) -> None: ...

    await shadow.add(mail, key="first")("jane")
    await shadow.add(mail, key="second", queue="slow")("john")
    await shadow.add(mail, key="later", when=datetime.now(UTC) + timedelta(hours=1))("jim")


def test_a_snapshot_shows_totals_and_tasks(commands: Commands) -> None:
    commands.shadow(fill)
    shown = commands("snapshot")
    assert "0 workers, 0/3 running" in shown
    assert "1 scheduled, 2 ready, 0 waiting, 0 dead" in shown
    assert re.search(r"ago +mail +first +default +queued", shown) or re.search(
        r"now +mail +first +default +queued", shown
    )
    assert re.search(r"mail +second +slow +queued", shown)
    assert re.search(r"in 59m 5\ds +mail +later +default +scheduled", shown)
    assert "jane" not in shown


def test_a_snapshot_lists_as_many_as_were_asked_for_and_says_how_many_more_there_are(
    commands: Commands,
) -> None:
    commands.shadow(fill)
    shown = commands("snapshot", "--limit", "1")
    assert shown.count("mail") == 1
    assert "… and 2 more" in shown
    nothing = commands("snapshot", "--limit", "0")
    assert "mail" not in nothing
    assert "0/3 running" in nothing


def test_statistics_count_by_task(commands: Commands) -> None:
    commands.shadow(fill)
    shown = commands("snapshot", "--stats")
    assert re.search(r"Task +Total +Running +Queued +Oldest queued +Latest queued", shown)
    assert re.search(r"mail +3 +0 +3 +\S.*in 59m", shown)


def test_a_snapshot_as_json_has_these_fields(commands: Commands) -> None:
    commands.shadow(fill)
    commands("pause", "slow")
    seen = commands.json("snapshot")
    assert seen["shadow"] == commands.name
    assert datetime.fromisoformat(seen["taken"]).tzinfo is not None
    assert seen["total_tasks"] == 3
    assert seen["counts"] == {"scheduled": 1, "ready": 2, "running": 0, "waiting": 0, "dead": 0}
    assert seen["queues"]["slow"].keys() == {"ready", "running", "latency_s", "paused"}
    assert seen["queues"]["slow"]["paused"] is True
    assert seen["workers"] == seen["running"] == []
    assert [one["key"] for one in seen["future"]] == ["first", "second", "later"]
    assert seen["future"][0].keys() == {"key", "task", "queue", "state", "when", "attempt"}
    assert seen["by_function"]["mail"]["total"] == 3
    assert seen["sampled"] is False


def test_a_snapshot_shows_what_runs_and_where(commands: Commands) -> None:
    commands("tasks", "sleep", "30", "--key", "long")
    with commands.worker(name="hand", grace=timedelta(0)):
        asyncio.run(started(commands, "long"))
        shown = commands("snapshot")
        assert "1 workers, 1/1 running" in shown
        assert re.search(r"sleep +long +default +running +hand +\S", shown)
        seen = commands.json("snapshot")
        assert [(one["key"], one["worker"]) for one in seen["running"]] == [("long", "hand")]
        assert seen["workers"][0]["name"] == "hand"
        assert re.search(r"hand +1/10 +\S.* +default", commands("top", "--once"))


async def started(commands: Commands, key: str) -> None:
    async with Shadow(commands.name, commands.url) as shadow:
        execution = await shadow.get_execution(key)
        assert execution is not None
        async for event in execution.subscribe():  # pragma: no branch - it ends as running
            if event["type"] == "state" and event["state"] == "running":
                break


def test_workers_are_listed_with_what_they_can_run(commands: Commands, tasks: str) -> None:
    assert "no worker is alive" in commands("workers", "ls")
    with commands.worker(tasks, name="hand", concurrency=3):
        assert re.search(
            r"hand +\S.* +0/3 +default +broken, fail, loose, note, odd, sleep, step, trace",
            commands("workers", "ls"),
        )
        assert "hand" in commands("workers", "for-task", "note")
        assert "can run 'other'" in commands("workers", "for-task", "other")
        (worker,) = commands.json("workers", "ls")
        assert worker.keys() == {"name", "last_seen", "tasks", "queues", "concurrency", "running"}
        assert commands.json("workers", "for-task", "other") == []


def test_top_shows_one_frame_where_asked(commands: Commands) -> None:
    commands.shadow(fill)
    commands("pause", "slow")
    shown = commands("top", "--once")
    assert "0/3 running" in shown
    assert "paused: slow" in shown
    assert re.search(r"slow +1 +0 +\S+ +paused", shown)
    assert re.search(r"mail +3 +0 +3", shown)
    assert re.search(r"mail +first", shown)


def test_top_looks_again_and_again_until_it_is_interrupted(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames: list[str] = []
    drawn = top_module.frame

    def interrupted(name: str, seen: object, limit: int) -> object:
        frames.append(name)
        if len(frames) == 3:
            raise KeyboardInterrupt
        return drawn(name, seen, limit)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(top_module, "frame", interrupted)
    commands("top", "--interval", "100ms")
    assert len(frames) == 3
    commands("top", "--interval", "10ms", code=2)


def test_top_says_that_the_server_is_away_and_goes_on(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shadows.errors import ServerUnreachable

    looks: list[int] = []

    async def away(_: Shadow, *, limit: int) -> object:
        looks.append(limit)
        if len(looks) == 2:
            raise KeyboardInterrupt
        raise ServerUnreachable("gone for a moment")

    monkeypatch.setattr(Shadow, "snapshot", away)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    assert "gone for a moment" in commands("top", "--interval", "100ms")


def test_a_pipe_that_is_closed_early_ends_it_silently(commands: Commands) -> None:
    commands.shadow(fill)
    command = [sys.executable, "-m", "shadows", "snapshot", "--json", *commands.where]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode != 2


@pytest.mark.parametrize(
    "command", [["snapshot", "--limit", "-1"], ["top", "--limit", "x"], ["workers", "for-task"]]
)
def test_wrong_values_are_refused_with_one_line(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
