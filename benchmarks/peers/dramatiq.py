# /// script
# requires-python = ">=3.12"
# dependencies = ["dramatiq==2.2.1", "redis==8.1.0", "hiredis==3.5.0"]
# ///
"""dramatiq as a contender. Its worker is a process of threads."""

import logging
import sys
import threading
import time
from importlib.metadata import version
from typing import Any

from dramatiq import Worker, actor
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.harness import PAYLOAD, Contender, Order, serve, server_url
from benchmarks.peers.apart import KINDS, WORKER, Apart, orphaned, slate
from benchmarks.peers.working import roomy

KEPT_MS = 900_000
backend = RedisBackend(url=roomy(server_url()))


def queue(*, results: bool) -> dict[str, Any]:
    """The actors by name, at a broker of their own with the middleware that it has by itself."""
    broker: Any = RedisBroker(url=roomy(server_url()))
    if results:
        broker.add_middleware(Results(backend=backend, result_ttl=KEPT_MS))
    options = {"store_results": True} if results else {}
    return {
        name: actor(function, actor_name=name, broker=broker, **options) for name, function in KINDS.items()
    }


def worker(concurrency: int, *, results: bool) -> None:
    """The worker's process."""
    orphaned()
    logging.getLogger("dramatiq").setLevel(logging.ERROR)
    working = Worker(queue(results=results)["noop"].broker, worker_threads=concurrency)
    working.start()
    slate.ready()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        working.stop()


class Subject:
    """The actors of the present workload."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def reset(self, order: Order) -> None:
        self.does = queue(results=order.results)
        self.messages = []

    def add_one(self, order: Order) -> None:
        for _ in range(order.n):
            self.does["noop"].send(PAYLOAD)

    def fill(self, order: Order) -> None:
        self.messages = [self.does[order.kind].send(PAYLOAD) for _ in range(order.n)]

    def send(self, order: Order) -> None:
        for _ in range(order.n):
            self.does["stamp"].send(time.time())
            time.sleep(order.spacing)

    def schedule(self, order: Order) -> None:
        for due in (order.at + i * order.spacing for i in range(order.n)):
            self.does["stamp"].send_with_options(args=(due,), delay=round(1e3 * (due - time.time())))

    def fill_later(self, order: Order) -> None:
        for _ in range(order.n):
            self.does["noop"].send_with_options(args=(PAYLOAD,), delay=3_600_000)

    def fetch(self, order: Order) -> None:
        for message in self.messages:
            message.get_result(backend=backend, block=True)


if WORKER:
    worker(int(sys.argv[3]), results=sys.argv[4] == "results")
    sys.exit()
subject = Subject()
apart = Apart(__file__)
OPERATIONS = (
    subject.reset,
    subject.add_one,
    subject.fill,
    apart.drain,
    apart.work,
    apart.stop,
    subject.send,
    subject.schedule,
    subject.fill_later,
    subject.fetch,
)
serve(
    Contender(
        "dramatiq",
        version("dramatiq"),
        "threads; a dead worker's tasks wait a minute, and for a maintenance that comes by chance; 2000 connections",
        {operation.__name__: operation for operation in OPERATIONS},
        less="no idempotency, no cancelling",
    )
)
