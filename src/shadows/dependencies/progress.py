"""How far a task has come, for others to see while it runs."""

from uncalled_for import Dependency

from shadows.progress import ProgressReport

from .context import present


class Progress(Dependency["Progress"]):
    """Tells others how far the task has come: `async def load(rows: list[str], progress: Progress = Progress())`.

        await progress.set_total(len(rows))
        for row in rows:
            ...
            await progress.increment()

    `Execution.subscribe()` and the command line show it as it changes; `Execution.progress` shows where it stands. It begins
    anew with each run.
    """

    def __init__(self, report: ProgressReport | None = None) -> None:
        self._report = report

    async def __aenter__(self) -> "Progress":  # noqa: PYI034 - another one, which knows the run
        return Progress(present("Progress()").progress)

    @property
    def current(self) -> int | None:
        """How much is done; None where nothing was told yet."""
        return self._own.current

    @property
    def total(self) -> int:
        """How much there is to do; 1 unless told otherwise."""
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
        await self._own.increment(amount)

    async def set_total(self, total: int) -> None:
        """Say how much there is to do.

        Raises:
            ValueError: less than one.
        """
        await self._own.set_total(total)

    async def set_message(self, message: str | None) -> None:
        """Say something of where it stands; None takes it back."""
        await self._own.set_message(message)

    @property
    def _own(self) -> ProgressReport:
        if self._report is None:
            raise RuntimeError("Progress() has a value only inside a task that a worker runs")
        return self._report
