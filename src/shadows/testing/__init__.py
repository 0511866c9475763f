"""What tests of programs that use shadows need: a clock that they move, and what they may say of tasks that wait."""

from .assertions import (
    assert_no_tasks,
    assert_task_count,
    assert_task_not_scheduled,
    assert_task_scheduled,
)
from .clock import ControlledClock

__all__ = [
    "ControlledClock",
    "assert_no_tasks",
    "assert_task_count",
    "assert_task_not_scheduled",
    "assert_task_scheduled",
]
