"""What a run leaves to be scheduled with its success: the follow-ups of `CurrentExecution().then`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from shadows.dependencies.context import Run

MOST = 100
"""How many a run may have: they are scheduled in one step with its success, which must stay short."""


def leave(
    run: Run, function: Callable[..., Any] | str, when: datetime | None, key: str | None, queue: str | None
) -> Callable[..., str]:
    """What takes the arguments of a follow-up, notes it on the run, and answers its key.

    Raises:
        RuntimeError: the run has ended, or has as many as it may.
        InvalidTask, KeyError, InvalidName, ValueError, TypeError: as of `Shadow.add`.
    """
    prepare = run.shadow.preparer(function, when, key, queue)

    def note(*args: Any, **kwargs: Any) -> str:
        item = prepare(*args, **kwargs).item
        if run.ended:
            raise RuntimeError(f"{run.key!r} has ended: what follows was to be said while it ran")
        if item.key == run.key:
            run.next_run = item
            return item.key
        if run.followers is None:
            run.followers = []
        if len(run.followers) >= MOST:
            raise RuntimeError(f"a run has at most {MOST} follow-ups: let one of them add more")
        run.followers.append(item)
        return item.key

    return note
