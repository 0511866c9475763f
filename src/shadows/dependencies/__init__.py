"""What a task can ask for, by a parameter's default or `Annotated`: values of its context, and behaviours.

Built on the library uncalled-for. A behaviour is one file here; the worker knows none of them by name.
"""

from uncalled_for import CallArgument, Dependency, Depends, Shared

from .arguments import TaskArgument
from .behaviour import Behaviour
from .concurrency import ConcurrencyLimit
from .cooldown import Cooldown
from .cron import Cron
from .current import CurrentExecution, CurrentShadow, CurrentWorker, TaskKey, current_execution
from .debounce import Debounce
from .hooks import CompletionHandler, FailureHandler, Runtime, TaskOutcome
from .logger import TaskLogger
from .perpetual import Perpetual
from .progress import Progress
from .ratelimit import RateLimit
from .retry import ExponentialRetry, Retry, RetryAfter
from .timeout import Timeout

__all__ = [
    "Behaviour",
    "CallArgument",
    "CompletionHandler",
    "ConcurrencyLimit",
    "Cooldown",
    "Cron",
    "CurrentExecution",
    "CurrentShadow",
    "CurrentWorker",
    "Debounce",
    "Dependency",
    "Depends",
    "ExponentialRetry",
    "FailureHandler",
    "Perpetual",
    "Progress",
    "RateLimit",
    "Retry",
    "RetryAfter",
    "Runtime",
    "Shared",
    "TaskArgument",
    "TaskKey",
    "TaskLogger",
    "TaskOutcome",
    "Timeout",
    "current_execution",
]
