"""How far a running task has come: counted in the task, written now and then, read from anywhere."""

from collections.abc import Callable
from dataclasses import dataclass, field

MAX_MESSAGE_BYTES = 4096
"""So much of a message is stored; what runs sees it whole."""
MOST = 2**63 - 1
_MOST_DIGITS = len(str(MOST))


@dataclass(slots=True)
class ProgressReport:
    """How far one execution has come: `current` of `total`, and a word about it.

    Attributes:
        current: how much is done; None where nothing was told yet.
        total: how much there is to do. Default 1.
        message: what is being done; None where nothing was told.
    """

    current: int | None = None
    total: int = 1
    message: str | None = None
    _changed: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    async def set_total(self, total: int) -> None:
        """State how much there is to do.

        Raises:
            ValueError: a total below 1, or beyond 2**63 - 1.
        """
        if total < 1:
            raise ValueError(f"total={total!r}: a total is at least 1")
        if total > MOST:
            raise ValueError("total=…: a total is at most 2**63 - 1")
        self.total = total
        self._tell()

    async def increment(self, amount: int = 1) -> None:
        """Count so much more as done.

        Raises:
            ValueError: an amount below 1, or one that leads beyond 2**63 - 1.
        """
        if amount < 1:
            raise ValueError(f"amount={amount!r}: an amount is at least 1")
        if amount > MOST - (self.current or 0):
            raise ValueError("amount=…: what is done is at most 2**63 - 1")
        self.current = (self.current or 0) + amount
        self._tell()

    async def set_message(self, message: str | None) -> None:
        """Say what is being done; None: nothing. Others see its first 4,096 bytes."""
        self.message = message
        self._tell()

    @property
    def words(self) -> str:
        """The report as it is stored."""
        current = "" if self.current is None else self.current
        message = "" if self.message is None else f"m{_clipped(self.message)}"
        return f"{current}/{self.total}/{message}"

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()


def _clipped(message: str) -> str:
    """What can be stored of a message: text that has an encoding, and not too much of it."""
    data = message[:MAX_MESSAGE_BYTES].encode(errors="backslashreplace")
    return data[:MAX_MESSAGE_BYTES].decode(errors="ignore")


def read_progress(words: str) -> ProgressReport:
    """The report that `words` made; an empty one of anything else."""
    current, _, rest = words.partition("/")
    total, _, message = rest.partition("/")
    if (
        not total.isdecimal()
        or not (current.isdecimal() or not current)
        or max(len(current), len(total)) > _MOST_DIGITS
    ):
        return ProgressReport()
    return ProgressReport(int(current) if current else None, int(total), message[1:] if message else None)
