"""A task's own logger."""

import logging
from typing import cast

from uncalled_for import Dependency

from .context import present


class _Logger(Dependency["logging.LoggerAdapter[logging.Logger]"]):
    async def __aenter__(self) -> "logging.LoggerAdapter[logging.Logger]":
        run = present("TaskLogger()")
        return logging.LoggerAdapter(
            logging.getLogger(f"shadows.task.{run.task}"),
            {
                "shadows.name": run.shadow.name,
                "shadows.worker": run.worker.name,
                "shadows.task": run.task,
                "shadows.queue": run.queue,
                "shadows.key": run.key,
                "shadows.attempt": run.attempt,
            },
        )


def TaskLogger() -> "logging.LoggerAdapter[logging.Logger]":  # noqa: N802 - reads as a type
    """A logger called `shadows.task.NAME`, whose records carry the shadow, worker, queue, key and attempt of the run."""
    return cast("logging.LoggerAdapter[logging.Logger]", _Logger())
