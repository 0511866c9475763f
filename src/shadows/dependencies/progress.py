"""How far a task has come, for others to see while it runs."""

import copy
from typing import Self

from uncalled_for import Dependency

from .context import Report, present


class Progress(Dependency["Progress"]):
    """Tells others how far the task has come: `async def load(rows: list[str], progress: Progress = Progress())`.

        await progress.set_total(len(rows))
        for row in rows:
            ...
            await progress.increment()

    `Execution.subscribe()` and the command line show it as it changes; `Execution.progress` shows where it stands. It begins
    anew with each run.
    """

    def __init__(self) -> None:
        self._report: Report | None = None

    async def __aenter__(self) -> Self:
        own = copy.copy(self)
        vars(own)["_report"] = present("Progress()").progress
        return own

    @property
    def current(self) -> int:
        """How much is done."""
        return self._own.current

    @property
    def total(self) -> int:
        """How much there is to do; 100 unless told otherwise."""
        return self._own.total

    @property
    def message(self) -> str | None:
        """What was said last."""
        return self._own.message

    async def increment(self, amount: int = 1) -> None:
        """So much more is done.

        Raises:
            ValueError: less than one.
        """
        if amount < 1:
            raise ValueError(f"increment({amount!r}): at least 1")
        report = self._own
        report.current += amount
        await report.changed()

    async def set_total(self, total: int) -> None:
        """Say how much there is to do.

        Raises:
            ValueError: less than one.
        """
        if total < 1:
            raise ValueError(f"set_total({total!r}): at least 1")
        report = self._own
        report.total = total
        await report.changed()

    async def set_message(self, message: str | None) -> None:
        """Say something of where it stands; None takes it back."""
        report = self._own
        report.message = message
        await report.changed()

    @property
    def _own(self) -> Report:
        if self._report is None:
            raise RuntimeError("Progress() has a value only inside a task that a worker runs")
        return self._report
