"""What a run leaves to be scheduled with its success: the follow-ups of `CurrentExecution().then`."""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from shadows.clock import as_instant_us
from shadows.dependencies.context import Run
from shadows.payload.call import Call, encode_call
from shadows.protocol.keys import check_key, check_queue
from shadows.protocol.schedule import Item

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
    shadow = run.shadow
    plan = shadow.tasks.find(function) if isinstance(function, str) else shadow.tasks.add(function)
    if plan is None:
        raise KeyError(f"no task is called {function!r}: register it first, with register(…)")
    when_us = None if when is None else as_instant_us(when)
    chosen = uuid.uuid4().hex if key is None else check_key(key)
    target = plan.queue if queue is None else check_queue(queue)

    def note(*args: Any, **kwargs: Any) -> str:
        if run.ended:
            raise RuntimeError(f"{run.key!r} has ended: what follows was to be said while it ran")
        due_us = shadow.clock.now_us() if when_us is None else when_us
        call = encode_call(Call(plan.name, plan.encode(args, kwargs), due_us))
        item = Item(chosen, target, 0 if when_us is None else -(-when_us // 1000), call)
        if chosen == run.key:
            run.next_run = item
            return chosen
        if run.followers is None:
            run.followers = []
        if len(run.followers) >= MOST:
            raise RuntimeError(f"a run has at most {MOST} follow-ups: let one of them add more")
        run.followers.append(item)
        return chosen

    return note
