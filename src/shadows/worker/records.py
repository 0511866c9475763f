"""What is recorded of a run, and what others see of it: its record, and the execution that it is of."""

import logging
from typing import TYPE_CHECKING, Any

from shadows.clock import as_datetime
from shadows.dependencies.context import Run
from shadows.execution import Execution, ExecutionState, fence_of
from shadows.payload.failures import Failure
from shadows.payload.outcomes import Record, encode_record, encode_result

from .followups import leave
from .job import Job

if TYPE_CHECKING:
    from .worker import Worker

logger = logging.getLogger("shadows.worker")

MAX_RESULT_BYTES = 1024 * 1024
"""A larger result is not kept: the task has succeeded, and `get_result` says that there is none."""


class Records:
    """Makes them for one worker."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._shadow = worker.shadow
        self._kept = worker.shadow.limits.execution_ttl_ms > 0

    def record(self, job: Job, failure: Failure | None, result: object = None) -> bytes:
        """What is kept of an end; nothing where no records are, but for a failure, which is in its dead letter too."""
        if not self._kept and failure is None:
            return b""
        encoded, carried = encode_result(result, job.plan.result_adapter)
        carried = carried and len(encoded) <= MAX_RESULT_BYTES
        if not carried:
            logger.warning(
                "result cannot travel task=%s key=%s type=%s bytes=%d",
                job.plan.name, job.taken.key, type(result).__name__, len(encoded),
            )  # fmt: skip
        now_us = self._worker.now_us()
        return encode_record(
            Record(
                job.plan.name,
                self._worker.name,
                job.attempt,
                job.started_us or now_us,
                now_us,
                encoded if carried else None,
                failure,
            )
        )

    def running(self, run: Run) -> Execution[Any]:
        """The execution, as its task sees it."""
        job: Job = run.job
        execution = Execution[Any](
            self._shadow,
            job.taken.key,
            job.call.function,
            args=job.args,
            kwargs=job.kwargs,
            queue=job.queue,
            when=as_datetime(job.call.when_us),
            state=ExecutionState.RUNNING,
            attempt=job.attempt,
            worker=self._worker.name,
            expires=as_datetime(job.call.expires_us) if job.call.expires_us else None,
            fence=fence_of(job.taken.token),
            progress=run.progress,
        )
        execution.started_at = as_datetime(job.started_us)
        execution.then_run = lambda function, when, key, queue: leave(run, function, when, key, queue)
        return execution

    def given_up(self, job: Job) -> Execution[Any]:
        """An execution that becomes a dead letter, as far as it is known."""
        known = job.known
        return Execution[Any](
            self._shadow,
            job.taken.key,
            known.function if known is not None else "",
            args=job.args,
            kwargs=job.kwargs,
            queue=job.queue,
            when=as_datetime(known.when_us) if known is not None else None,
            state=ExecutionState.FAILED,
            attempt=job.attempt,
            worker=self._worker.name,
        )
