"""Health: what a worker answers to those who restart, route to, or scale it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest

from shadows import Shadow, Worker
from shadows.protocol.address import Address
from shadows.telemetry import Served, endpoints, serve
from shadows.testing import ControlledClock
from tests.support.proxy import Proxy
from tests.support.waiting import until
from tests.telemetry.asking import ask


@pytest.fixture
async def shadows(name: str, url: str) -> AsyncIterator[Shadow]:
    async with Shadow(name, url) as shadows:
        yield shadows


@asynccontextmanager
async def served(worker: Worker) -> AsyncGenerator[tuple[Served, asyncio.Task[None]]]:
    """A running worker with its ports."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(worker)
        ports = await stack.enter_async_context(serve(worker.shadow, worker, healthcheck_port=0))
        running = asyncio.create_task(worker.run_forever())
        try:
            yield ports, running
        finally:
            running.cancel()
            await asyncio.wait([running])


async def readiness(ports: Served) -> str:
    answer = await ask(ports.healthcheck_port, "/readyz")
    assert (answer.status == 200) == (answer.body == "ok\n")
    assert answer.status in (200, 503)
    return answer.body.strip()


async def test_a_worker_that_runs_is_alive_and_ready(shadows: Shadow) -> None:
    async with served(Worker(shadows)) as (ports, _):
        await until(lambda: ready(ports))
        for path in ("/", "/livez"):
            assert (await ask(ports.healthcheck_port, path)).body == "ok\n"
        assert (await ask(ports.healthcheck_port, "/metrics")).status == 404


async def ready(ports: Served) -> bool:
    return await readiness(ports) == "ok"


async def test_a_worker_that_is_busy_with_one_long_task_stays_ready(shadows: Shadow) -> None:
    ended = asyncio.Event()

    async def hold() -> None:
        await ended.wait()

    await shadows.add(hold)()
    worker = Worker(shadows, concurrency=1)
    async with served(worker) as (ports, _):
        await until(lambda: ready(ports))
        assert worker._loop is not None
        before = worker._loop.cycled_at
        await until(lambda: worker._loop is not None and worker._loop.cycled_at > before)
        assert await ready(ports)
        ended.set()


async def test_a_worker_that_does_not_run_is_alive_and_not_ready(shadows: Shadow) -> None:
    worker = Worker(shadows)
    async with worker, serve(shadows, worker, healthcheck_port=0) as ports:
        assert (await ask(ports.healthcheck_port, "/livez")).status == 200
        assert await readiness(ports) == "the worker does not run"


async def test_a_worker_that_is_being_stopped_is_not_ready(shadows: Shadow) -> None:
    held, ended = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        held.set()
        await ended.wait()

    await shadows.add(hold)()
    worker = Worker(shadows)
    async with served(worker) as (ports, running):
        await held.wait()
        worker.stop()
        assert await readiness(ports) == "the worker is stopping"
        ended.set()
        await running


async def test_a_worker_whose_lease_runs_out_is_not_ready(
    name: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "PATIENCE", 1.0)
    shadows = Shadow(name, proxy.url)
    worker = Worker(shadows, redelivery_timeout=timedelta(milliseconds=400))
    async with shadows, served(worker) as (ports, _):
        await until(lambda: ready(ports))
        proxy.hang_replies()
        await until(lambda: said(ports, "the lease is not held"))
        assert (await ask(ports.healthcheck_port, "/livez")).status == 200
        answer = await ask(ports.healthcheck_port, "/depth")
        assert (answer.status, answer.body) == (503, "the server does not answer\n")
        proxy.resume()
        await until(lambda: ready(ports))


async def said(ports: Served, words: str) -> bool:
    return await readiness(ports) == words


async def test_a_worker_whose_cycles_fail_is_not_ready(
    shadows: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shadows.worker.worker.LEAST_PATIENCE", 0.0)
    worker = Worker(shadows, redelivery_timeout=timedelta(seconds=1))
    async with served(worker) as (ports, _):
        await until(lambda: ready(ports))
        assert worker._loop is not None
        monkeypatch.setattr(worker._loop._link, "_address", Address("unix:///nowhere/at/all.sock"))
        await worker._loop._link.close()
        await until(lambda: said(ports, "no cycle has succeeded within the lease"))


async def test_depth_tells_how_much_there_is_to_do(name: str, url: str) -> None:
    clock = ControlledClock()
    async with Shadow(name, url, clock=clock) as shadows, serve(shadows, healthcheck_port=0) as ports:
        answer = await ask(ports.healthcheck_port, "/depth")
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {"ready": 0, "running": 0, "due": 0, "latency_s": 0}

        async def nothing() -> None: ...

        await shadows.add(nothing)()
        await shadows.add(nothing, when=clock.now + timedelta(hours=1))()
        answer = await ask(ports.healthcheck_port, "/depth")
        assert {**answer.json(), "latency_s": 0} == {"ready": 1, "running": 0, "due": 0, "latency_s": 0}
        await clock.advance(hours=1, minutes=5)
        answer = await ask(ports.healthcheck_port, "/depth")
        assert answer.json() == {"ready": 1, "running": 0, "due": 1, "latency_s": 300}


async def test_a_process_without_a_worker_is_ready_while_the_server_answers(
    name: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "PATIENCE", 1.0)
    async with Shadow(name, proxy.url) as shadows, serve(shadows, healthcheck_port=0) as ports:
        assert await ready(ports)
        proxy.hang_replies()
        assert await readiness(ports) == "the server does not answer"
        proxy.resume()
        await until(lambda: ready(ports))


async def test_one_port_serves_both_where_the_numbers_are_equal(shadows: Shadow) -> None:
    async with serve(shadows, healthcheck_port=0, metrics_port=0) as ports:
        assert ports.healthcheck_port == ports.metrics_port
        assert (await ask(ports.metrics_port, "/metrics")).status == 200
        assert (await ask(ports.metrics_port, "/livez")).status == 200


async def test_only_this_machine_is_answered_unless_told_otherwise(
    shadows: Shadow, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "shadows.telemetry"):
        async with serve(shadows, healthcheck_port=0):
            assert "serving address=127.0.0.1 port=" in caplog.text
        async with serve(shadows, healthcheck_port=0, bind="0.0.0.0") as ports:
            assert (await ask(ports.healthcheck_port, "/", host="127.0.0.2")).status == 200
        async with serve(shadows, healthcheck_port=0) as ports:
            with pytest.raises(ConnectionRefusedError):
                await ask(ports.healthcheck_port, "/", host="127.0.0.2")


@pytest.mark.parametrize(("parameter", "port"), [("healthcheck_port", -1), ("metrics_port", 65536)])
async def test_a_number_that_is_no_port_is_refused(shadows: Shadow, parameter: str, port: int) -> None:
    with pytest.raises(ValueError, match=f"{parameter}={port}: a port is 1 to 65535"):
        async with serve(shadows, **{parameter: port}):  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            raise NotImplementedError


async def test_without_ports_nothing_is_served(shadows: Shadow) -> None:
    async with serve(shadows) as ports:
        assert ports == Served(None, None)
