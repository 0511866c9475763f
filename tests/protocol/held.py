"""Tasks that wait for a permit, and tasks that have one."""

from typing import cast

from shadows.protocol.cycle import Taken
from tests.protocol.bench import LIMITS, Bench


def acquire(bench: Bench, *tasks: Taken, limit: str = "limit", capacity: int = 1, worker: str = "w") -> str:
    """Ask for a permit for each of what a worker has taken; the letters that it is answered."""
    words = [
        word
        for task in tasks
        for word in (task.token, task.key, task.token, 1, "permit", limit, capacity, 0, 0)
    ]
    answer = bench.raw("acquire", bench.instant, worker, *LIMITS.arguments(), len(tasks), *words)
    return cast("str", answer[1])


def set_aside(bench: Bench, holder: str, *keys: str, worker: str = "w", added: bool = False) -> Taken:
    """Have one task run with the only permit of `limit`, and others wait for it; the one that runs."""
    if not added:
        bench.add(holder, *keys)
    tasks = bench.take(worker, most=1 + len(keys))
    assert [task.key for task in tasks] == [holder, *keys]
    assert acquire(bench, *tasks, worker=worker) == "G" + "W" * len(keys)
    return tasks[0]
