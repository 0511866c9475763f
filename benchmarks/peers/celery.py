# /// script
# requires-python = ">=3.12"
# dependencies = ["celery==5.7.0", "redis==8.1.0", "hiredis==3.5.0", "packaging==25.0"]
# ///
"""Celery as a contender. Its worker is a process of threads."""

import sys
import time
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from celery.result import ResultSet
from celery.signals import worker_ready

from benchmarks.harness import BATCH, PAYLOAD, Contender, Order, serve, server_url
from benchmarks.peers.apart import KINDS, WORKER, Apart, orphaned, slate

PREFETCH = 10
"""How many tasks it reads ahead for each thread (its default is 4)."""


def url() -> str:
    """The server's URL as Celery takes it."""
    parts = urlsplit(server_url())
    return f"redis+socket://{parts.path}" if parts.scheme == "unix" else server_url()


def queue(*, results: bool) -> tuple[Any, dict[str, Any]]:
    """The app, and its tasks by name."""
    app: Any = Celery("bench", broker=url(), backend=url() if results else None)
    app.conf.update(
        task_ignore_result=not results,
        result_expires=900,
        worker_prefetch_multiplier=PREFETCH,
        worker_disable_rate_limits=True,
        broker_connection_retry_on_startup=True,
    )
    return app, {name: app.task(name=name)(function) for name, function in KINDS.items()}


def worker(concurrency: int, *, results: bool) -> None:
    """The worker's process."""
    orphaned()
    warnings.simplefilter("ignore")
    worker_ready.connect(lambda **_: slate.ready(), weak=False)
    app, _ = queue(results=results)
    app.worker_main(
        [
            "--quiet",
            "worker",
            "--pool=threads",
            f"--concurrency={concurrency}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel=ERROR",
        ]
    )


class Subject:
    """The app of the present workload."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def reset(self, order: Order) -> None:
        self.app, self.does = queue(results=order.results)
        self.kept = []

    def add_one(self, order: Order) -> None:
        for _ in range(order.n):
            self.does["noop"].delay(PAYLOAD)

    def fill(self, order: Order) -> None:
        self.kept = [self.does[order.kind].delay(PAYLOAD) for _ in range(order.n)]

    def send(self, order: Order) -> None:
        for _ in range(order.n):
            self.does["stamp"].delay(time.time())
            time.sleep(order.spacing)

    def schedule(self, order: Order) -> None:
        for due in (order.at + i * order.spacing for i in range(order.n)):
            self.does["stamp"].apply_async((due,), eta=datetime.fromtimestamp(due, UTC))

    def fill_later(self, order: Order) -> None:
        for i in range(order.n):
            self.does["noop"].apply_async((PAYLOAD,), countdown=3600, task_id=f"k{i}")

    def fetch(self, order: Order) -> None:
        for i in range(0, len(self.kept), BATCH):
            ResultSet(self.kept[i : i + BATCH]).join_native()


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
        "Celery",
        version("celery"),
        "threads (its default are processes, of which each is a worker process here); what a dead worker has read ahead comes "
        "back after an hour; cancelling and scheduled tasks live in the workers; prefetch of 10 a thread (default 4), no rate "
        "limits, gossip or heartbeats; no results unless asked for",
        {operation.__name__: operation for operation in OPERATIONS},
        less="acknowledges before it runs (what a worker runs is lost with it), no idempotency",
    )
)
