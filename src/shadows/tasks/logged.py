"""Which arguments may be seen in log lines."""

from collections.abc import Sized
from dataclasses import dataclass

from shadows.payload.failures import show


@dataclass(frozen=True, slots=True)
class Logged:
    """Marks a parameter whose value may be logged: `user_id: Annotated[int, Logged]`. All others never are.

    With `length_only=True` only its length is: `recipients: Annotated[list[str], Logged(length_only=True)]`.
    """

    length_only: bool = False

    def show(self, value: object) -> str:
        """The value as a log line has it, whatever it does when it is shown."""
        if self.length_only:
            return _length(value)
        text = show(value)
        return text if len(text) <= _MOST else f"{text[:_MOST]}…"


def _length(value: object) -> str:
    name = type(value).__name__
    try:
        return f"{name} of {len(value)}" if isinstance(value, Sized) else name
    except Exception:  # noqa: BLE001 - the code of the user's own class
        return name


_MOST = 200
