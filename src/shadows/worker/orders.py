"""What a worker process is told to do, and how that travels to one that is an interpreter of its own."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, cast

from shadows.telemetry.logs import LogFormat

SERVING = ("healthcheck_port", "metrics_port", "bind")
"""The options of `Worker.run` that say where health and metrics are served."""


@dataclass(frozen=True, slots=True)
class Orders:
    """All that a worker process needs to know."""

    options: Mapping[str, Any]
    """What `Worker.run` takes, but for its durations."""
    durations: Mapping[str, timedelta]
    """The durations that `Worker.run` takes."""
    logging_level: str = "info"
    logging_format: LogFormat = LogFormat.PLAIN
    max_tasks: int | None = None
    """How many runs it starts before it is replaced; None: any number."""
    max_memory: int | None = None
    """With how many resident bytes it is replaced; None: any number."""
    counts: bool = False
    """Whether it reports what it has counted, as somebody reads the supervisor's metrics."""

    def encoded(self, name: str | None) -> bytes:
        """These orders as one line of JSON, for the worker of that name; ports are the supervisor's to serve."""
        seconds = {parameter: duration.total_seconds() for parameter, duration in self.durations.items()}
        options = {option: value for option, value in self.options.items() if option not in SERVING}
        options["name"] = name
        return json.dumps({**asdict(self), "options": options, "durations": seconds}).encode() + b"\n"

    @classmethod
    def decoded(cls, line: bytes) -> "Orders":
        """What `encoded` wrote."""
        told = cast("dict[str, Any]", json.loads(line))
        told["durations"] = {
            parameter: timedelta(seconds=seconds) for parameter, seconds in told["durations"].items()
        }
        told["logging_format"] = LogFormat(told["logging_format"])
        return cls(**told)
