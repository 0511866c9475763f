"""What a task function is: its plan, the registry that knows it, how collections of them are loaded, and the built-in tasks.

`trace`, `fail` and `sleep` are known to every worker: to see that a system works, that its alarms do, and how it fares
when it is busy. `standard_tasks` is all of them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .builtin import fail, sleep, standard_tasks, trace

__all__ = ["fail", "sleep", "standard_tasks", "trace"]


def __getattr__(name: str) -> object:
    # Looked up when asked for: what the built-in tasks ask for needs modules of this package.
    if name in __all__:
        from . import builtin

        return getattr(builtin, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
