"""Distributed background tasks on Redis streams: add a task now or later, and workers anywhere run it, at least once.

What is named here is imported at its first use, so that `import shadows` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shadows.agenda import Agenda
    from shadows.calls import TaskCall
    from shadows.dependencies import (
        CallArgument,
        CompletionHandler,
        ConcurrencyLimit,
        Cooldown,
        Cron,
        CurrentExecution,
        CurrentShadow,
        CurrentWorker,
        Debounce,
        Depends,
        ExponentialRetry,
        FailureHandler,
        Perpetual,
        Progress,
        RateLimit,
        Retry,
        RetryAfter,
        Runtime,
        Shared,
        TaskArgument,
        TaskKey,
        TaskLogger,
        TaskOutcome,
        Timeout,
        current_execution,
    )
    from shadows.errors import (
        BrokenKey,
        EmbeddedUnavailable,
        EncodingError,
        ExecutionCancelled,
        InvalidName,
        InvalidTask,
        NotAccepted,
        NotReplicated,
        NotRequeued,
        Overloaded,
        PayloadError,
        QueueFull,
        ResultUnavailable,
        ServerUnreachable,
        ServerUnsupported,
        ShadowError,
        TaskFailed,
        UnknownTasks,
    )
    from shadows.execution import Disposition, Execution, ExecutionState
    from shadows.letters import DeadLetter
    from shadows.shadow import Shadow
    from shadows.snapshot import Counts, QueueCounts, RunningExecution, Snapshot, WorkerInfo
    from shadows.strike_list import StrikeList
    from shadows.strikes import Operator
    from shadows.sync import SyncExecution, SyncShadow
    from shadows.tally import FunctionCounts
    from shadows.tasks.logged import Logged
    from shadows.worker import Worker

__all__ = [
    "Agenda",
    "BrokenKey",
    "CallArgument",
    "CompletionHandler",
    "ConcurrencyLimit",
    "Cooldown",
    "Counts",
    "Cron",
    "CurrentExecution",
    "CurrentShadow",
    "CurrentWorker",
    "DeadLetter",
    "Debounce",
    "Depends",
    "Disposition",
    "EmbeddedUnavailable",
    "EncodingError",
    "Execution",
    "ExecutionCancelled",
    "ExecutionState",
    "ExponentialRetry",
    "FailureHandler",
    "FunctionCounts",
    "InvalidName",
    "InvalidTask",
    "Logged",
    "NotAccepted",
    "NotReplicated",
    "NotRequeued",
    "Operator",
    "Overloaded",
    "PayloadError",
    "Perpetual",
    "Progress",
    "QueueCounts",
    "QueueFull",
    "RateLimit",
    "ResultUnavailable",
    "Retry",
    "RetryAfter",
    "RunningExecution",
    "Runtime",
    "ServerUnreachable",
    "ServerUnsupported",
    "Shadow",
    "ShadowError",
    "Shared",
    "Snapshot",
    "StrikeList",
    "SyncExecution",
    "SyncShadow",
    "TaskArgument",
    "TaskCall",
    "TaskFailed",
    "TaskKey",
    "TaskLogger",
    "TaskOutcome",
    "Timeout",
    "UnknownTasks",
    "Worker",
    "WorkerInfo",
    "current_execution",
]

_HOMES = {
    "shadows.agenda": "Agenda",
    "shadows.calls": "TaskCall",
    "shadows.dependencies": "CallArgument CompletionHandler ConcurrencyLimit Cooldown Cron CurrentExecution CurrentShadow CurrentWorker Debounce Depends ExponentialRetry FailureHandler Perpetual Progress RateLimit Retry RetryAfter Runtime Shared TaskArgument TaskKey TaskLogger TaskOutcome Timeout current_execution",
    "shadows.errors": "BrokenKey EmbeddedUnavailable EncodingError ExecutionCancelled InvalidName InvalidTask NotAccepted NotReplicated NotRequeued Overloaded PayloadError QueueFull ResultUnavailable ServerUnreachable ServerUnsupported ShadowError TaskFailed UnknownTasks",
    "shadows.execution": "Disposition Execution ExecutionState",
    "shadows.letters": "DeadLetter",
    "shadows.shadow": "Shadow",
    "shadows.snapshot": "Counts QueueCounts RunningExecution Snapshot WorkerInfo",
    "shadows.strike_list": "StrikeList",
    "shadows.strikes": "Operator",
    "shadows.sync": "SyncExecution SyncShadow",
    "shadows.tally": "FunctionCounts",
    "shadows.tasks.logged": "Logged",
    "shadows.worker": "Worker",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    try:
        module = importlib.import_module(home or f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if home is not None or error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    found: object = getattr(module, name) if home else module
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
