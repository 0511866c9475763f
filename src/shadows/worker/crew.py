"""The crew: what a supervisor's processes say of themselves, as one."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from shadows.telemetry import metrics
from shadows.telemetry.names import Kind

SILENCE = 5.0
"""Seconds without a report after which a process counts as stuck: it reports every second, from its event loop."""
_LASTING = (Kind.COUNTER, Kind.HISTOGRAM)


@dataclass(slots=True)
class Report:
    """What one process has said last."""

    trouble: str | None = "it has not said that it is ready"
    counted: metrics.Snapshot = field(default_factory=list[tuple[str, dict[str, str], metrics.Value]])
    at: float = field(default_factory=time.monotonic)


class Crew:
    """The reports of all living processes, and what the dead ones have counted."""

    def __init__(self) -> None:
        self._reports: dict[int, tuple[str, Report]] = {}
        self._past: metrics.Snapshot = []

    def joined(self, pid: int, name: str) -> None:
        """A process was started."""
        self._reports[pid] = (name, Report())

    def reported(self, pid: int, message: dict[str, Any]) -> None:
        """It has told how it is."""
        name, _ = self._reports[pid]
        counted = [(metric, labels, value) for metric, labels, value in message["counted"]]
        self._reports[pid] = (name, Report(message["trouble"], counted))

    def left(self, pid: int) -> None:
        """It is gone; what it has counted stays counted, so that no sum goes back."""
        _, report = self._reports.pop(pid)
        lasting = [reading for reading in report.counted if metrics.KINDS.get(reading[0]) in _LASTING]
        self._past = metrics.merge([self._past, lasting])

    def trouble(self) -> str | None:
        """Why no process takes tasks at present; None where one does."""
        said = [f"{name}: {report.trouble}" for name, report in self._reports.values() if report.trouble]
        if self._reports and len(said) < len(self._reports):
            return None
        return "; ".join(said) or "no process runs"

    def stuck(self) -> str | None:
        """Which processes have not reported for too long after they were ready; None where all have."""
        now = time.monotonic()
        silent = [
            name
            for name, report in self._reports.values()
            if report.trouble is None and now - report.at > SILENCE
        ]
        return f"no word from {', '.join(silent)}" if silent else None

    def snapshots(self) -> Iterable[metrics.Snapshot]:
        """What all of them have counted."""
        return [self._past, *(report.counted for _, report in self._reports.values())]
