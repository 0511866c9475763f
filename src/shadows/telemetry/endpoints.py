"""What a worker, or any process with a shadow, answers on its ports: health, how much there is to do, metrics."""

import json
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from redis.exceptions import RedisError

from shadows.protocol.connection import Link
from shadows.protocol.depth import depth

from . import exposition, meter, metrics
from .http import Answer, HttpServer, Request, Route

if TYPE_CHECKING:
    from shadows.shadow import Shadow
    from shadows.worker import Worker

logger = logging.getLogger("shadows.telemetry")

LOOPBACK = "127.0.0.1"
PATIENCE = 3.0
"""Seconds that the server may take to say how much there is to do."""


class Crew(Protocol):
    """Several worker processes, which are answered for together."""

    def trouble(self) -> str | None:
        """Why none of them takes tasks; None where one does."""
        ...

    def stuck(self) -> str | None:
        """Which of them do not respond; None where all do."""
        ...

    def snapshots(self) -> Iterable[metrics.Snapshot]:
        """What they have counted."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """The ports that are served: None where one is not."""

    healthcheck_port: int | None
    metrics_port: int | None


@asynccontextmanager
async def serve(
    shadows: "Shadow",
    worker: "Worker | None" = None,
    *,
    healthcheck_port: int | None = None,
    metrics_port: int | None = None,
    bind: str = LOOPBACK,
    crew: Crew | None = None,
) -> AsyncGenerator[Served]:
    """Answer on these ports for as long as the block lasts: health on one, Prometheus' metrics on the other, or both on one.

    Args:
        shadows: the shadow, open.
        worker: the worker whose health it is, open; without one, being ready means that the server answers.
        healthcheck_port: answers `/`, `/livez`, `/readyz` and `/depth`. Default: none; 0 is any free port.
        metrics_port: answers `/metrics`. Default: none; 0 is any free port.
        bind: the address that is listened on. Default: this machine alone.
        crew: worker processes that are answered for in the worker's place.

    Raises:
        ValueError: a number that is not a port's.
        OSError: the address cannot be listened on.
    """
    routes: dict[int, dict[str, Route]] = {}
    link = Link(shadows.store.address, PATIENCE)
    for parameter, port, answers in (
        ("healthcheck_port", healthcheck_port, _health(shadows, worker, link, crew)),
        ("metrics_port", metrics_port, {"/metrics": _metrics(shadows, link, crew)}),
    ):
        if port is not None:
            if not 0 <= port <= 65535:
                raise ValueError(f"{parameter}={port!r}: a port is 1 to 65535, or 0 for any that is free")
            routes.setdefault(port, {}).update(answers)
    served: dict[int | None, int | None] = {}
    async with AsyncExitStack() as stack:
        stack.push_async_callback(link.close)
        if metrics_port is not None:
            stack.enter_context(meter.listening())
        for port, answers in routes.items():
            server = await stack.enter_async_context(HttpServer(bind, port, answers))
            served[port] = server.port
            logger.info("serving address=%s port=%d paths=%s", bind, server.port, " ".join(answers))
        yield Served(served.get(healthcheck_port), served.get(metrics_port))


def _health(shadow: "Shadow", worker: "Worker | None", link: Link, crew: Crew | None) -> dict[str, Route]:
    async def alive(_: Request) -> Answer:
        stuck = None if crew is None else crew.stuck()
        return _unavailable(stuck) if stuck else _OK  # the loop that says so is the worker's own

    async def ready(_: Request) -> Answer:
        try:
            asked = crew or worker
            if asked is None:
                await depth(shadow.store, link)
            trouble = None if asked is None else asked.trouble()
        except RedisError:
            trouble = _SILENT
        return _unavailable(trouble) if trouble else _OK

    async def depths(_: Request) -> Answer:
        try:
            seen = await depth(shadow.store, link, stamp=shadow.clock.stamp())
        except RedisError:
            return _unavailable(_SILENT)
        figures = {
            "ready": seen.ready,
            "running": seen.running,
            "due": seen.due,
            "latency_s": seen.latency_ms / 1000,
        }
        return Answer(json.dumps(figures).encode() + b"\n", "application/json")

    return {"/": alive, "/livez": alive, "/readyz": ready, "/depth": depths}


def _metrics(shadow: "Shadow", link: Link, crew: Crew | None) -> Route:
    async def scrape(request: Request) -> Answer:
        try:
            await meter.look(shadow, link)
        except RedisError as error:
            logger.warning("depths not seen error=%s", error)
        counted = metrics.snapshot()
        if crew is not None:
            counted = metrics.merge([counted, *crew.snapshots()])
        return Answer(*exposition.expose(counted, request.headers.get("accept", "")))

    return scrape


_OK = Answer(b"ok\n")
_SILENT = "the server does not answer"


def _unavailable(why: str) -> Answer:
    return Answer(f"{why}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)
