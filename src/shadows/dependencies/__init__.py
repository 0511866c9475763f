"""What a task can ask for, by a parameter's default or `Annotated`: values of its context, and behaviours.

Built on the library uncalled-for. A behaviour is one file here; the worker knows none of them by name.
"""

from uncalled_for import Depends, Shared

from .current import CurrentExecution, CurrentShadow, CurrentWorker, TaskKey
from .perpetual import Perpetual
from .retry import Retry

__all__ = [
    "CurrentExecution",
    "CurrentShadow",
    "CurrentWorker",
    "Depends",
    "Perpetual",
    "Retry",
    "Shared",
    "TaskKey",
]
