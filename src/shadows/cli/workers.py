"""`shadows workers`: who is alive, and what they can run."""

from typing import TYPE_CHECKING, Annotated

import typer

from .asking import ask, shadow_at
from .options import AsJson, Name, Url, UrlFile

if TYPE_CHECKING:
    from shadows import WorkerInfo

workers = typer.Typer(help="See the workers that are alive.", no_args_is_help=True)


@workers.command("ls")
def list_workers(
    shadows: Name = "shadows", url: Url = None, url_file: UrlFile = None, as_json: AsJson = False
) -> None:
    """List the workers that are alive."""
    found = ask(shadow_at(shadows, url, url_file), lambda shadow: shadow.workers())
    _show(found, f"no worker is alive in the shadow {shadows!r}", as_json=as_json)


@workers.command("for-task")
def workers_for_task(
    task: Annotated[str, typer.Argument(metavar="NAME", help="The task's name.")],
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
    as_json: AsJson = False,
) -> None:
    """List the workers that are alive and can run a task."""
    found = ask(shadow_at(shadows, url, url_file), lambda shadow: shadow.task_workers(task))
    _show(found, f"no worker that is alive in the shadow {shadows!r} can run {task!r}", as_json=as_json)


def _show(found: "list[WorkerInfo]", none: str, *, as_json: bool) -> None:
    from datetime import UTC, datetime

    from .output import console, moment, say, table, write_json

    if as_json:
        write_json(found)
        return
    if not found:
        say(none)
        return
    now = datetime.now(UTC)
    rows = [
        (
            worker.name,
            moment(worker.last_seen, now),
            f"{worker.running}/{worker.concurrency}",
            ", ".join(worker.queues),
            ", ".join(sorted(worker.tasks)),
        )
        for worker in found
    ]
    console().print(table("Name", "Last seen", "Running", "Queues", "Tasks", rows=rows, right=("Running",)))
