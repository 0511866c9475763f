"""Distributed background tasks on Redis streams: add a task now or later, and workers anywhere run it, at least once."""

from shadows.agenda import Agenda
from shadows.calls import TaskCall
from shadows.dependencies import (
    CurrentExecution,
    CurrentShadow,
    CurrentWorker,
    Depends,
    Perpetual,
    Retry,
    Shared,
    TaskKey,
)
from shadows.errors import (
    EmbeddedUnavailable,
    EncodingError,
    ExecutionCancelled,
    InvalidName,
    InvalidTask,
    NotAccepted,
    NotRequeued,
    Overloaded,
    PayloadError,
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
    "Counts",
    "CurrentExecution",
    "CurrentShadow",
    "CurrentWorker",
    "DeadLetter",
    "Depends",
    "Disposition",
    "EmbeddedUnavailable",
    "EncodingError",
    "Execution",
    "ExecutionCancelled",
    "ExecutionState",
    "FunctionCounts",
    "InvalidName",
    "InvalidTask",
    "Logged",
    "NotAccepted",
    "NotRequeued",
    "Operator",
    "Overloaded",
    "PayloadError",
    "Perpetual",
    "QueueCounts",
    "ResultUnavailable",
    "Retry",
    "RunningExecution",
    "ServerUnreachable",
    "ServerUnsupported",
    "Shadow",
    "ShadowError",
    "Shared",
    "Snapshot",
    "StrikeList",
    "SyncExecution",
    "SyncShadow",
    "TaskCall",
    "TaskFailed",
    "TaskKey",
    "UnknownTasks",
    "Worker",
    "WorkerInfo",
]
