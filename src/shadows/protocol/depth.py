"""How much there is to do: the typed face of `depth.lua`."""

from dataclasses import dataclass

from .connection import Link
from .scripts import load
from .store import Store


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """One queue's part."""

    ready: int
    running: int
    latency_ms: int
    """For how long its oldest ready task has waited; 0 where none is ready."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How much there is to do, at one instant."""

    scheduled: int
    """Tasks whose instant is still to come."""
    due: int
    """Tasks whose instant has come and which no worker has promoted yet: it is the workers that do that."""
    overdue_ms: int
    """For how long the first of these has been due; 0 where there is none."""
    strikes: int
    queues: dict[str, QueueDepth]

    @property
    def ready(self) -> int:
        """Tasks that wait for a worker, in all queues."""
        return sum(queue.ready for queue in self.queues.values())

    @property
    def running(self) -> int:
        """Tasks that workers have, in all queues."""
        return sum(queue.running for queue in self.queues.values())

    @property
    def latency_ms(self) -> int:
        """For how long the oldest task that could run has waited."""
        return max([self.overdue_ms, *(queue.latency_ms for queue in self.queues.values())])


async def depth(store: Store, link: Link, *, stamp: bytes = b"") -> Depth:
    """Look how much there is to do: one request, and a few milliseconds' work for hundreds of queues."""
    _, later, due, overdue, strikes, queues = await store.call(link, load("depth"), stamp)
    return Depth(
        later,
        due,
        max(overdue, 0),
        strikes,
        {
            name.decode(): QueueDepth(max(ready, 0), running, max(age, 0))
            for name, ready, running, age in zip(
                queues[::4], queues[1::4], queues[2::4], queues[3::4], strict=True
            )
        },
    )
