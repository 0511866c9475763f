"""How often a task may run in one `run_at_most`."""

from collections import Counter
from collections.abc import Mapping

from shadows.protocol.outcomes import Kind, Outcome, cancelled

_AGAIN = (Kind.RETRY, Kind.NEXT, Kind.RELEASE)


class Quota:
    """Counts runs, retries included, by the names or keys that are limited."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        for name, limit in limits.items():
            if limit < 0:
                raise ValueError(f"run_at_most({{{name!r}: {limit}}}): a number of runs is 0 or more")
        self._limits = limits
        self._runs: Counter[str] = Counter()

    def spend(self, function: str, key: str) -> bool:
        """Count a run that is about to start; False where there is none left."""
        limited = {function, key} & self._limits.keys()  # an automatic task's key is its name
        if any(self._runs[name] >= self._limits[name] for name in limited):
            return False
        self._runs.update(limited)
        return True

    def limits(self, function: str, key: str) -> bool:
        """Whether it has a say in how often an execution runs."""
        return function in self._limits or key in self._limits

    def cut(self, function: str, key: str, outcome: Outcome) -> Outcome:
        """The outcome, or cancellation where it asks for another run and none is left."""
        again = outcome.kind in _AGAIN or any(item.key == key for item in outcome.followers)
        spent = any(
            self._runs[name] >= self._limits[name] for name in (function, key) if name in self._limits
        )
        return cancelled() if again and spent else outcome
