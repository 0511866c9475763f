"""What tests of programs that use shadows need."""

from .clock import ControlledClock

__all__ = ["ControlledClock"]
