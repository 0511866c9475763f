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
from shadows.shadow import Shadow
from shadows.strike_list import StrikeList
from shadows.strikes import Operator
from shadows.sync import SyncExecution, SyncShadow
from shadows.tasks.logged import Logged
from shadows.worker import Worker

__all__ = [
    "Agenda",
    "CurrentExecution",
    "CurrentShadow",
    "CurrentWorker",
    "Depends",
    "Disposition",
    "EmbeddedUnavailable",
    "EncodingError",
    "Execution",
    "ExecutionCancelled",
    "ExecutionState",
    "InvalidName",
    "InvalidTask",
    "Logged",
    "NotAccepted",
    "Operator",
    "Overloaded",
    "PayloadError",
    "Perpetual",
    "ResultUnavailable",
    "Retry",
    "ServerUnreachable",
    "ServerUnsupported",
    "Shadow",
    "ShadowError",
    "Shared",
    "StrikeList",
    "SyncExecution",
    "SyncShadow",
    "TaskCall",
    "TaskFailed",
    "TaskKey",
    "UnknownTasks",
    "Worker",
]
