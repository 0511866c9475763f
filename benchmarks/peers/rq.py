# /// script
# requires-python = ">=3.12"
# dependencies = ["rq==3.0.0", "redis==8.1.0", "hiredis==3.5.0"]
# ///
"""RQ as a contender. Its worker is a process that runs one task at a time, whatever the concurrency."""

import logging
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker
from rq.job import Job

from benchmarks.harness import BATCH, PAYLOAD, Contender, Order, serve, server_url
from benchmarks.peers.apart import WORKER, Apart, orphaned, slate

TASKS = "benchmarks.peers.apart"
KEPT = 900


class Punctual(SimpleWorker):
    """The worker without a fork a job, that tells when it waits for jobs."""

    def dequeue_job_and_maintain_ttl(self, *args: Any, **options: Any) -> Any:
        slate.ready()
        return super().dequeue_job_and_maintain_ttl(*args, **options)


def worker() -> None:
    """The worker's process; its scheduler is another that it starts."""
    orphaned()
    logging.getLogger("rq").setLevel(logging.ERROR)
    queue = Queue("bench", connection=Redis.from_url(server_url()))
    Punctual([queue], connection=queue.connection).work(logging_level="ERROR", with_scheduler=True)


class Subject:
    """The queue of the present workload."""

    def __init__(self) -> None:
        self.jobs: list[Any] = []

    def reset(self, order: Order) -> None:
        self.options = {"result_ttl": KEPT if order.results else 0, "description": ""}
        self.jobs = []
        self.connection = Redis.from_url(server_url())
        self.queue = Queue("bench", connection=self.connection)

    def add_one(self, order: Order) -> None:
        for _ in range(order.n):
            self.queue.enqueue(f"{TASKS}.noop", PAYLOAD, **self.options)

    def add_bulk(self, order: Order) -> None:
        self.add(order.n, "noop")

    def add(self, n: int, kind: str) -> None:
        """By the call for many, a batch each."""
        for _ in range(0, n, BATCH):
            self.jobs += self.queue.enqueue_many(
                [Queue.prepare_data(f"{TASKS}.{kind}", (PAYLOAD,), **self.options) for _ in range(BATCH)]
            )

    def fill(self, order: Order) -> None:
        self.add(order.n, order.kind)

    def send(self, order: Order) -> None:
        for _ in range(order.n):
            self.queue.enqueue(f"{TASKS}.stamp", time.time(), **self.options)
            time.sleep(order.spacing)

    def schedule(self, order: Order) -> None:
        """In pipelines of a batch: it has no call for many of these."""
        dues = [order.at + i * order.spacing for i in range(order.n)]
        for i in range(0, order.n, BATCH):
            with self.connection.pipeline() as pipeline:
                for due in dues[i : i + BATCH]:
                    self.later(datetime.fromtimestamp(due, UTC), f"{TASKS}.stamp", due, None, pipeline)
                pipeline.execute()

    def fill_later(self, order: Order) -> None:
        when = datetime.now(UTC) + timedelta(hours=1)
        for i in range(0, order.n, BATCH):
            with self.connection.pipeline() as pipeline:
                for j in range(min(BATCH, order.n - i)):
                    self.later(when, f"{TASKS}.noop", PAYLOAD, f"k{i + j}", pipeline)
                pipeline.execute()

    def later(self, when: datetime, name: str, argument: object, key: str | None, pipeline: Any) -> None:
        """One scheduled task."""
        self.queue.enqueue_at(when, name, argument, job_id=key, pipeline=pipeline, **self.options)

    def cancel(self, order: Order) -> None:
        for i in range(order.n):
            Job.fetch(f"k{i}", connection=self.connection).cancel()

    def fetch(self, order: Order) -> None:
        for i in range(0, len(self.jobs), BATCH):
            names = [job.id for job in self.jobs[i : i + BATCH]]
            for job in Job.fetch_many(names, connection=self.connection):
                assert job is not None
                job.return_value()


if WORKER:
    worker()
    sys.exit()
subject = Subject()
apart = Apart(__file__)
OPERATIONS = (
    subject.reset,
    subject.add_one,
    subject.add_bulk,
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
        "RQ",
        version("rq"),
        "one task at a time a process, without a fork for each (SimpleWorker); due times in whole seconds, looked at "
        "once a second by a process of its own; result_ttl=0 unless results are asked for",
        {operation.__name__: operation for operation in OPERATIONS},
        less="a dead worker's jobs fail, and run again only where retries are asked for",
    )
)
