"""`shadows dead`: what failed for good, and what becomes of it."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .asking import ask, confirm, shadow_at
from .options import AsJson, Name, Url, UrlFile

if TYPE_CHECKING:
    from shadows import DeadLetter, Shadow

PAGE = 100

dead = typer.Typer(help="See what failed for good, run it again or throw it away.", no_args_is_help=True)

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID…", help="Which, as `shadows dead ls` names them.", show_default=False),
]
Every = Annotated[
    bool, typer.Option("--all", metavar="", help="All of them, or all that --task and --reason leave.")
]
Task = Annotated[
    str | None, typer.Option("--task", metavar="NAME", help="Those of one task only.", show_default=False)
]
Reason = Annotated[
    str | None,
    typer.Option(
        "--reason",
        metavar="REASON",
        help="Those of one reason only: failed, deliveries, unknown, undecodable, stricken or lost.",
        show_default=False,
    ),
]


@dead.command("ls")
def list_dead(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many to list.")] = 50,
    before: Annotated[
        str | None, typer.Option(metavar="ID", help="Those that are older than this one.", show_default=False)
    ] = None,
    task: Task = None,
    reason: Reason = None,
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
    as_json: AsJson = False,
) -> None:
    """List the dead letters, newest first."""
    from datetime import UTC, datetime

    from shadows import DeadLetter, Shadow

    from .output import console, moment, say, table, write_json

    async def listed(shadow: Shadow) -> list[DeadLetter]:
        found: list[DeadLetter] = []
        async for letter in _letters(shadow, task, reason, before):
            found.append(letter)
            if len(found) == limit:
                break
        return found

    found = ask(shadow_at(shadows, url, url_file), listed)
    if as_json:
        write_json([_facts(letter) for letter in found])
        return
    if not found:
        say(
            f"no such dead letters in the shadow {shadows!r}"
            if task or reason
            else f"no dead letters in the shadow {shadows!r}"
        )
        return
    now = datetime.now(UTC)
    rows = [
        (
            letter.id,
            moment(letter.died_at, now),
            letter.function_name or "?",
            letter.key,
            letter.reason,
            letter.attempt,
            letter.error or "",
        )
        for letter in found
    ]
    columns = ("ID", "Died", "Task", "Key", "Reason", "Attempt", "Error")
    console().print(table(*columns, rows=rows, right=("Attempt",), whole=("ID",)))
    if len(found) == limit:
        say(f"Older ones, if any: --before {found[-1].id}")


@dead.command("requeue")
def requeue(
    ids: Ids = None,
    every: Every = False,
    task: Task = None,
    reason: Reason = None,
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
) -> None:
    """Run dead letters again: at once, each under its own key, as a first attempt."""
    from shadows import Shadow
    from shadows.errors import NotRequeued

    from .output import say

    _check_choice(ids, every=every, task=task, reason=reason)

    async def requeued(shadow: Shadow) -> tuple[int, list[str]]:
        done, refused = 0, list[str]()
        for id_ in ids or [letter.id async for letter in _letters(shadow, task, reason)]:
            try:
                await shadow.requeue(id_)
                done += 1
            except NotRequeued as error:
                refused.append(str(error))
        return done, refused

    done, refused = ask(shadow_at(shadows, url, url_file), requeued)
    say(f"Requeued {done} dead letters")
    _end(refused)


@dead.command("discard")
def discard(
    ids: Ids = None,
    every: Every = False,
    task: Task = None,
    reason: Reason = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask.")] = False,
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
) -> None:
    """Throw dead letters away, for good. Asks before --all, where a person sits at the terminal."""
    from shadows import Shadow

    from .output import say

    _check_choice(ids, every=every, task=task, reason=reason)
    shadow = shadow_at(shadows, url, url_file)
    if every:
        confirm(f"Throw away all such dead letters of the shadow {shadows!r} on {shadow.url}?", yes=yes)

    async def discarded(shadow: Shadow) -> tuple[int, list[str]]:
        chosen = ids or [letter.id async for letter in _letters(shadow, task, reason)]
        gone = [id_ for id_ in chosen if not await shadow.discard(id_)]
        return len(chosen) - len(gone), [f"no dead letter has the id {id_!r}" for id_ in gone]

    done, refused = ask(shadow, discarded)
    say(f"Discarded {done} dead letters")
    _end(refused)


def _check_choice(ids: list[str] | None, *, every: bool, task: str | None, reason: str | None) -> None:
    if bool(ids) == every:
        raise typer.BadParameter("name dead letters by their ids, or all of them with --all")
    if ids and (task or reason):
        raise typer.BadParameter("--task and --reason choose among --all: leave them out where ids are given")


def _end(refused: list[str]) -> None:
    """Say what could not be done, and end with an error where anything could not."""
    from .output import plain

    for message in refused:
        typer.echo(f"shadows: {plain(message)}", err=True)
    if refused:
        raise typer.Exit(1)


def _facts(letter: "DeadLetter") -> dict[str, Any]:
    return {
        "id": letter.id,
        "key": letter.key,
        "task": letter.function_name,
        "reason": letter.reason,
        "queue": letter.queue,
        "died_at": letter.died_at,
        "error": letter.error,
        "attempt": letter.attempt,
    }


async def _letters(
    shadow: "Shadow", task: str | None, reason: str | None, before: str | None = None
) -> "AsyncIterator[DeadLetter]":
    """The letters that the choice leaves, newest first, page by page."""
    while True:
        page = await shadow.dead_letters(limit=PAGE, before=before)
        for letter in page:
            if task in (None, letter.function_name) and reason in (None, letter.reason):
                yield letter
        if len(page) < PAGE:
            return
        before = page[-1].id
