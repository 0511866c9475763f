"""`add`, `tasks` and `watch`: one task, from its adding to what came of it."""

import json
import os
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Commands


def test_a_task_is_added_by_its_name_alone(commands: Commands, tasks: str) -> None:
    added = commands("add", "note", "hello", "--kw", "times=int:2", "--key", "n1")
    assert added == f"Added note task 'n1' to the shadow {commands.name!r}\n"
    with commands.worker(tasks):
        watched = commands("watch", "n1")
    assert "note 'n1' is completed" in watched
    assert Path(os.environ["NOTES"]).read_text().split()[::2] == ["hello", "hello"]


def test_text_is_read_as_its_parameters_type_where_that_is_known(commands: Commands, tasks: str) -> None:
    commands("add", "note", "7", "3", "--key", "n1", "--tasks", tasks)
    commands("add", "note", "--kw", "text=8", "--kw", "times=2", "--key", "n2", "--tasks", tasks)
    with commands.worker(tasks, concurrency=1):
        commands("watch", "n1")
        commands("watch", "n2")
    assert Path(os.environ["NOTES"]).read_text().split()[::2] == ["7", "7", "7", "8", "8"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["other"], "no task is called 'other' in --tasks: there are broken, "),
        (["note"], "missing a required argument: 'text'"),
        (["note", "a", "b"], "times"),
        (["note", "int:1"], "text"),
        (["note", "a", "--kw", "times=b"], "times"),
        (["note", "int:x"], "is no int"),
        (["note", "a", "--kw", "b"], "name=value"),
        (["note", "a", "--queue", "a/b"], "a queue's name is"),
        (["note", "a", "--key", ""], "key="),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_is_sent(
    arguments: list[str], words: str, commands: Commands, tasks: str
) -> None:
    commands("add", *arguments, "--tasks", tasks, code=2)
    assert words in commands.error
    assert len(commands.error.splitlines()) == 1
    assert commands.json("snapshot")["total_tasks"] == 0


def test_a_task_may_be_added_for_later(commands: Commands) -> None:
    commands("add", "mail", "--in", "2h", "--key", "a")
    commands("add", "mail", "--when", "2099-12-24T18:00Z", "--key", "b", "--queue", "slow")
    first, second = commands.json("snapshot")["future"]
    in_two_hours = datetime.fromisoformat(first["when"]) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=59) < in_two_hours <= timedelta(hours=2)
    assert (second["when"], second["queue"]) == ("2099-12-24T18:00:00Z", "slow")


def test_a_second_one_with_the_key_is_told_as_such(commands: Commands) -> None:
    added = commands.json("add", "mail", "--key", "a")
    assert added.keys() == {"key", "task", "queue", "disposition", "state", "when"}
    assert (added["disposition"], added["state"]) == ("scheduled", "queued")
    assert "Nothing added: the mail task 'a' stands already, and is queued" in commands(
        "add", "mail", "--key", "a"
    )
    assert commands.json("add", "mail", "--key", "a")["disposition"] == "already_scheduled"


def test_the_built_in_tasks_are_added(commands: Commands) -> None:
    assert commands("tasks", "trace", "system startup completed", "--key", "t").startswith(
        "Added trace task 't'"
    )
    assert commands("tasks", "fail", "--key", "f").startswith("Added fail task 'f'")
    assert commands("tasks", "sleep", "0.1", "--in", "1s", "--key", "s").startswith("Added sleep task 's'")
    assert {one["key"] for one in commands.json("snapshot")["future"]} == {"t", "f", "s"}
    assert commands.json("tasks", "trace")["task"] == "trace"
    commands("tasks", "sleep", "-1", code=2)


def test_watching_ends_by_the_outcome(commands: Commands, tasks: str) -> None:
    commands("add", "note", "hi", "--key", "good")
    commands("add", "broken", "--key", "bad")
    commands("add", "note", "hi", "--key", "gone", "--in", "1h")
    commands.shadow(lambda shadow: shadow.cancel("gone"))
    with commands.worker(tasks):
        good = commands("watch", "good")
        assert "result: 'HI'" not in good or "it took" in good
        assert "error: ValueError: out of order" in commands("watch", "bad", code=1)
    assert "result: 'HI'" in commands("watch", "good", "--tasks", tasks)
    assert "is cancelled" in commands("watch", "gone", code=3)
    assert commands("watch", "never", code=2) == ""
    assert "nothing is known of the key 'never'" in commands.error


def test_watching_tells_each_change_as_it_comes(commands: Commands) -> None:
    commands("tasks", "sleep", "0.2", "--key", "s", "--in", "300ms")

    def work() -> None:
        with commands.worker(name="hand"):
            done.wait(20)

    done = threading.Event()
    beside = threading.Thread(target=work)
    beside.start()
    try:
        told = [json.loads(line) for line in commands("watch", "s", "--json").splitlines()]
    finally:
        done.set()
        beside.join(20)
    states = [event["state"] for event in told if event["type"] == "state"]
    assert states[-1] == "completed"
    assert states[0] in ("scheduled", "queued", "running")
    assert states == sorted(set(states), key=states.index)
    assert [event["worker"] for event in told if event["type"] == "state"][-1] == "hand"


def test_watching_gives_up_after_its_timeout(commands: Commands) -> None:
    commands("add", "mail", "--in", "1h", "--key", "a")
    began = time.monotonic()
    told = commands("watch", "a", "--timeout", "300ms", code=124)
    assert "mail 'a' is scheduled to run in 59m" in told
    assert "'a' has not ended within" in commands.error
    assert time.monotonic() - began < 5


def test_what_has_no_type_that_could_be_read_goes_as_it_stands(commands: Commands, tasks: str) -> None:
    commands("add", "loose", "a", "b", "--kw", "more=int:1", "--key", "l", "--tasks", tasks)
    with commands.worker(tasks):
        assert "result: \"a b {'more': 1}\"" in commands("watch", "l", "--tasks", tasks)


def test_a_result_that_is_not_kept_is_not_missed(commands: Commands, tasks: str) -> None:
    commands("add", "odd", "--key", "o")
    with commands.worker(tasks):
        assert "result" not in commands("watch", "o")


def test_which_attempt_it_was_is_told(commands: Commands) -> None:
    commands("tasks", "fail", "--key", "f")
    with commands.worker():
        assert "is failed on " in (told := commands("watch", "f", code=1))
    assert "(attempt 2)" in told


def follow(commands: Commands, tasks: str, wait_for: str) -> str:
    """What is shown of a task that tells its progress, from before it runs."""
    commands("add", "step", "--key", "p")
    with commands.worker(tasks):
        beside = threading.Timer(0.5, Path(os.environ["NOTES"]).touch)
        beside.start()
        try:
            return commands("watch", "p")
        finally:
            beside.join()


def test_progress_is_told_line_by_line_without_a_terminal(commands: Commands, tasks: str) -> None:
    shown = follow(commands, tasks, "p")
    assert "progress 0/3 counting" in shown
    assert "progress 3/3 counting" in shown or "is completed" in shown


def test_progress_is_a_bar_on_a_terminal(
    commands: Commands, tasks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    shown = follow(commands, tasks, "p")
    assert "step 'p' is completed" in shown
    assert "counting" in shown
    assert "progress 0/3" not in shown
