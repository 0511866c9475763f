"""Every name that an operator sees: of metrics, of their labels, and of what spans say.

A metric's name here is OpenTelemetry's; Prometheus has the same with its own endings (`_total`, `_seconds`), and labels
with underscores.
"""

import enum
from dataclasses import dataclass
from typing import Final

SCOPE: Final = "shadows"

NAME: Final = "shadows.name"
TASK: Final = "shadows.task"
WORKER: Final = "shadows.worker"
QUEUE: Final = "shadows.queue"
KEY: Final = "shadows.key"
ATTEMPT: Final = "shadows.attempt"
WHEN: Final = "shadows.when"

SYSTEM: Final = "messaging.system"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION: Final = "messaging.destination.name"
MESSAGE_ID: Final = "messaging.message.id"
CLIENT_ID: Final = "messaging.client.id"
ERROR_TYPE: Final = "error.type"
FUNCTION: Final = "code.function.name"
SEND: Final = "send"
PROCESS: Final = "process"


class Kind(enum.Enum):
    """What a metric's numbers mean, and so how those of several processes become one."""

    COUNTER = "counter"
    """Grows; of several processes, the sum."""
    LEVEL = "level"
    """Goes up and down; of several processes, the sum."""
    GAUGE = "gauge"
    """A fact about the shadow that any process may tell; of several, the greatest."""
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric."""

    name: str
    kind: Kind
    description: str
    unit: str = "{task}"


def _counter(event: str, description: str) -> Instrument:
    return Instrument(f"shadows_tasks_{event}", Kind.COUNTER, description)


ADDED: Final = _counter("added", "Calls of add that were accepted, also where the key was taken already")
REPLACED: Final = _counter("replaced", "Calls of replace that were accepted")
SCHEDULED: Final = _counter("scheduled", "Executions that came to be by add or replace")
CANCELLED: Final = _counter("cancelled", "Executions that were cancelled by their key")
STARTED: Final = _counter("started", "Runs that began")
REDELIVERED: Final = _counter("redelivered", "Runs that began because an earlier worker had died")
STRICKEN: Final = _counter("stricken", "Executions that a strike kept from running")
COMPLETED: Final = _counter("completed", "Runs that ended, however they did, unless they were handed back")
FAILED: Final = _counter("failed", "Runs that failed, retried ones among them")
SUCCEEDED: Final = _counter("succeeded", "Runs that succeeded")
RETRIED: Final = _counter("retried", "Runs that are followed by another attempt")
PERPETUATED: Final = _counter("perpetuated", "Runs that are followed by the next of their chain")
RUNNING: Final = Instrument("shadows_tasks_running", Kind.LEVEL, "Runs that are going on")
DURATION: Final = Instrument("shadows_task_duration", Kind.HISTOGRAM, "How long runs took", "s")
PUNCTUALITY: Final = Instrument(
    "shadows_task_punctuality",
    Kind.HISTOGRAM,
    "How long after its instant an execution's first run began",
    "s",
)
DISRUPTIONS: Final = Instrument(
    "shadows_redis_disruptions",
    Kind.COUNTER,
    "Requests of a worker that the server did not answer or refused",
    "{request}",
)
LOOP_STALLS: Final = Instrument(
    "shadows_loop_stalls",
    Kind.COUNTER,
    "Times that a worker's event loop was blocked for a second or more",
    "{stall}",
)
STRIKES: Final = Instrument("shadows_strikes_in_effect", Kind.GAUGE, "Strikes that are in effect", "{strike}")
QUEUE_DEPTH: Final = Instrument(
    "shadows_queue_depth", Kind.GAUGE, "Tasks that are ready and wait for a worker"
)
SCHEDULE_DEPTH: Final = Instrument(
    "shadows_schedule_depth", Kind.GAUGE, "Tasks that wait for their instant, or to be promoted after it"
)
QUEUE_LATENCY: Final = Instrument(
    "shadows_queue_latency", Kind.GAUGE, "For how long the oldest ready task has waited", "s"
)

INSTRUMENTS: Final = (
    ADDED, REPLACED, SCHEDULED, CANCELLED, STARTED, REDELIVERED, STRICKEN, COMPLETED, FAILED, SUCCEEDED, RETRIED,
    PERPETUATED, RUNNING, DURATION, PUNCTUALITY, DISRUPTIONS, LOOP_STALLS, STRIKES, QUEUE_DEPTH, SCHEDULE_DEPTH, QUEUE_LATENCY,
)  # fmt: skip

BOUNDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
)  # fmt: skip
"""Upper bounds of the histograms' buckets, in seconds: tasks last for a millisecond or for an hour."""
