# /// script
# requires-python = ">=3.12"
# dependencies = ["huey==3.5.4", "redis==8.1.0", "hiredis==3.5.0"]
# ///
"""huey as a contender. Its worker is a process of threads."""

import logging
import sys
import time
from importlib.metadata import version
from typing import Any

from huey import RedisHuey

from benchmarks.harness import PAYLOAD, Contender, Order, serve, server_url
from benchmarks.peers.apart import KINDS, WORKER, Apart, orphaned, slate
from benchmarks.peers.working import roomy


def queue(*, results: bool) -> tuple[Any, dict[str, Any]]:
    """The queue, and its tasks by name. What a task returns is kept though it is nothing, where results are."""
    huey: Any = RedisHuey("bench", url=roomy(server_url()), results=results, store_none=results)
    return huey, {name: huey.task(name=name)(function) for name, function in KINDS.items()}


def worker(concurrency: int, *, results: bool) -> None:
    """The worker's process."""
    orphaned()
    logging.getLogger("huey").setLevel(logging.ERROR)
    huey, _ = queue(results=results)
    huey.on_startup()(slate.ready)
    huey.create_consumer(workers=concurrency, worker_type="thread", periodic=False).run()


class Subject:
    """The queue of the present workload."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def reset(self, order: Order) -> None:
        self.huey, self.does = queue(results=order.results)
        self.kept = []

    def add_one(self, order: Order) -> None:
        for _ in range(order.n):
            self.does["noop"](PAYLOAD)

    def fill(self, order: Order) -> None:
        self.kept = [self.does[order.kind](PAYLOAD) for _ in range(order.n)]

    def send(self, order: Order) -> None:
        for _ in range(order.n):
            self.does["stamp"](time.time())
            time.sleep(order.spacing)

    def schedule(self, order: Order) -> None:
        for due in (order.at + i * order.spacing for i in range(order.n)):
            self.does["stamp"].schedule(args=(due,), delay=due - time.time())

    def fill_later(self, order: Order) -> None:
        for i in range(order.n):
            self.does["noop"].schedule(args=(PAYLOAD,), delay=3600, id=f"k{i}")

    def cancel(self, order: Order) -> None:
        for i in range(order.n):
            self.huey.revoke_by_id(f"k{i}")

    def fetch(self, order: Order) -> None:
        for one in self.kept:
            one.get(blocking=True)


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
    subject.cancel,
    subject.fetch,
)
serve(
    Contender(
        "huey",
        version("huey"),
        "threads; cancelling marks a task, that stays until it is due; scheduled tasks pass through the queue, and are looked "
        "at once a second; no results unless asked for; 2000 connections",
        {operation.__name__: operation for operation in OPERATIONS},
        less="no acknowledgement (what a worker holds is lost with it), no idempotency",
    )
)
