"""`clear`, `pause`, `strike`, `dead`: what an operator changes."""

import asyncio
import io
import re
import sys

import pytest

from shadows import Shadow
from tests.cli.conftest import Commands
from tests.cli.test_looking import fill
from tests.support.waiting import until_sync


class Terminal(io.StringIO):
    """Somebody who sits there and types this."""

    def isatty(self) -> bool:
        return True


def test_clear_says_how_many(commands: Commands) -> None:
    commands.shadow(fill)
    assert commands("clear") == f"Cleared 3 tasks from the shadow {commands.name!r}\n"
    assert commands("clear", "--yes") == f"Cleared 0 tasks from the shadow {commands.name!r}\n"


@pytest.mark.parametrize(("typed", "left"), [("n\n", 3), ("\n", 3), ("y\n", 0)])
def test_clear_asks_who_sits_at_a_terminal(
    typed: str, left: int, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.shadow(fill)
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    written = commands("clear", code=1 if left else 0)
    assert "Remove everything that is pending" in commands.error
    assert ("nothing was done" in commands.error) == bool(left)
    assert ("Cleared 3 tasks" in written) == (not left)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert commands.json("snapshot")["total_tasks"] == left


def test_clear_does_not_ask_where_yes_was_said(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert "Cleared 0 tasks" in commands("clear", "-y")
    assert commands.error == ""


def test_pauses_hold_until_they_are_resumed(commands: Commands) -> None:
    assert "Paused the queue 'slow'" in commands("pause", "slow")
    commands.shadow(fill)
    assert "paused: slow" in commands("snapshot")
    assert "Resumed the queue 'slow'" in commands("resume", "slow")
    assert "paused" not in commands("snapshot")
    assert "Paused all queues" in commands("pause")
    assert "paused: default, slow" in commands("snapshot")
    assert "Resumed all queues" in commands("resume")
    assert "paused" not in commands("snapshot")
    commands("pause", "a/b", code=2)
    assert "a queue's name is" in commands.error


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["mail"], "mail"),
        (["mail", "to", "==", "jane"], "mail to == 'jane'"),
        (["mail", "count", ">=", "int:42"], "mail count >= 42"),
        (["mail", "count", "between", "int:1,int:10"], "mail count between (1, 10)"),
        (["*", "to", "==", "jane"], "(all tasks) to == 'jane'"),
        (["", "to", "!=", "none:"], "(all tasks) to != None"),
        (["mail", "*"], "mail"),
    ],
)
def test_strikes_are_made_listed_and_taken_back(arguments: list[str], shown: str, commands: Commands) -> None:
    assert commands("strike", *arguments) == f"Striking {shown}\n"
    assert len(commands.json("strikes")) == 1
    assert commands("restore", *arguments) == f"Restoring {shown}\n"
    assert commands.json("strikes") == []


def test_the_strikes_that_stand_are_listed(commands: Commands) -> None:
    assert "nothing is stricken" in commands("strikes")
    commands("strike", "mail")
    commands("strike", "*", "to", "==", "jane")
    listed = commands("strikes")
    assert re.search(r"mail +\n", listed)
    assert re.search(r"\* +to +== +'jane'", listed)
    assert commands.json("strikes") == [
        {"task": None, "parameter": "to", "operator": "==", "value": "jane"},
        {"task": "mail", "parameter": None, "operator": None, "value": None},
    ]


def test_a_restore_of_what_does_not_stand_says_so(commands: Commands) -> None:
    commands("strike", "mail")
    commands("restore", "mial", code=1)
    assert "no strike mial stands" in commands.error
    assert len(commands.json("strikes")) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["*"], "would strike everything"),
        (["mail", "to"], "PARAMETER OPERATOR VALUE"),
        (["mail", "to", "=="], "PARAMETER OPERATOR VALUE"),
        (["mail", "to", "=", "a"], "operator='='"),
        (["mail", "to", "==", "int:x"], "is no int"),
        (["mail", "to", "==", "os.system:ls"], "none of the types"),
        (["mail", "to", "between", "int:1"], "two values"),
        (["mail", "to", ">", "none:"], "nothing is more or less than None"),
        ([], "FUNCTION"),
    ],
)
def test_what_cannot_be_stricken_is_refused(arguments: list[str], words: str, commands: Commands) -> None:
    commands("strike", *arguments, code=2)
    assert words in commands.error
    assert commands.json("strikes") == []


def test_what_is_stricken_is_not_added(commands: Commands) -> None:
    commands("strike", "greet", "name", "==", "bob")
    commands("strike", "mail")
    assert "Not added: mail is stricken" in commands("add", "mail", code=1)
    (letter,) = commands.json("dead", "ls")
    assert (letter["task"], letter["reason"]) == ("mail", "stricken")


def kill(commands: Commands, tasks: str, many: int) -> None:
    """Have so many tasks fail for good."""
    for number in range(many):
        commands("add", "broken", "--key", f"broken-{number}")
    with commands.worker(tasks):
        until_sync(lambda: len(commands.json("dead", "ls", "--limit", "1000")) == many)


def test_dead_letters_are_listed_newest_first(commands: Commands, tasks: str) -> None:
    assert "no dead letters" in commands("dead", "ls")
    kill(commands, tasks, 2)
    listed = commands("dead", "ls")
    assert re.search(r"\S+ +\S.* +broken +broken-\d +failed +1 +ValueError: out of order\n", listed)
    letters = commands.json("dead", "ls")
    assert letters[0].keys() == {"id", "key", "task", "reason", "queue", "died_at", "error", "attempt"}
    assert {letter["key"] for letter in letters} == {"broken-0", "broken-1"}
    (first,) = commands.json("dead", "ls", "--limit", "1")
    assert first["id"] == letters[0]["id"]
    assert f"--before {first['id']}" in commands("dead", "ls", "--limit", "1")
    (second,) = commands.json("dead", "ls", "--before", first["id"])
    assert second["id"] == letters[1]["id"]
    assert "2" in commands("doctor")


def test_dead_letters_are_chosen_by_task_and_reason(commands: Commands, tasks: str) -> None:
    kill(commands, tasks, 1)
    commands("strike", "mail")
    commands("add", "mail", code=1)
    assert [letter["task"] for letter in commands.json("dead", "ls", "--task", "mail")] == ["mail"]
    assert [letter["task"] for letter in commands.json("dead", "ls", "--reason", "failed")] == ["broken"]
    assert "no such dead letters" in commands("dead", "ls", "--task", "mail", "--reason", "failed")
    assert commands("dead", "discard", "--all", "--reason", "stricken") == "Discarded 1 dead letters\n"
    assert [letter["task"] for letter in commands.json("dead", "ls")] == ["broken"]


def test_a_dead_letter_is_run_again(commands: Commands, tasks: str) -> None:
    kill(commands, tasks, 1)
    (letter,) = commands.json("dead", "ls")
    assert commands("dead", "requeue", letter["id"]) == "Requeued 1 dead letters\n"
    assert commands.json("dead", "ls") == []
    assert [one["key"] for one in commands.json("snapshot")["future"]] == ["broken-0"]
    assert commands("dead", "requeue", letter["id"], code=1) == "Requeued 0 dead letters\n"
    assert letter["id"] in commands.error


def test_all_dead_letters_are_run_again_or_thrown_away_over_many_pages(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def many(shadow: Shadow) -> None:
        async def mail(number: int) -> None: ...

        await shadow.strike(mail)
        await asyncio.gather(*(shadow.add(mail)(number) for number in range(7)))
        await shadow.restore(mail)

    monkeypatch.setattr("shadows.cli.dead.PAGE", 3)
    commands.shadow(many)
    assert commands("dead", "requeue", "--all") == "Requeued 7 dead letters\n"
    assert commands.json("snapshot")["total_tasks"] == 7
    commands.shadow(many)
    assert commands("dead", "discard", "--all") == "Discarded 7 dead letters\n"
    assert commands.json("dead", "ls") == []


def test_a_dead_letter_is_thrown_away(
    commands: Commands, tasks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(commands, tasks, 2)
    first, second = (letter["id"] for letter in commands.json("dead", "ls"))
    assert commands("dead", "discard", first) == "Discarded 1 dead letters\n"
    assert commands("dead", "discard", first, code=1) == "Discarded 0 dead letters\n"
    assert "no dead letter has the id" in commands.error
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    commands("dead", "discard", "--all", code=1)
    assert "Throw away" in commands.error
    assert [letter["id"] for letter in commands.json("dead", "ls")] == [second]


@pytest.mark.parametrize("verb", ["requeue", "discard"])
def test_which_dead_letters_must_be_said(verb: str, commands: Commands) -> None:
    commands("dead", verb, code=2)
    assert "--all" in commands.error
    commands("dead", verb, "1-1", "--all", code=2)
    commands("dead", verb, "1-1", "--task", "a", code=2)
    assert "--task and --reason choose among --all" in commands.error


def test_of_letters_that_are_gone_nothing_older_is_listed(commands: Commands) -> None:
    commands("dead", "ls", "--before", "1-1", code=2)
    assert "before='1-1'" in commands.error
