"""The ports of `Worker.run`, and of the command line."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider
from redis.asyncio import Redis

from shadows import Shadow, Worker
from shadows.cli.app import run
from tests.support.servers import free_port
from tests.support.waiting import until
from tests.telemetry.asking import Answered, ask


async def note(text: str) -> None: ...


async def answered(port: int, path: str) -> Answered | None:
    try:
        answer = await ask(port, path)
    except ConnectionRefusedError:
        return None
    return answer if answer.status == 200 else None


async def test_a_worker_answers_on_its_ports_while_it_runs(name: str, url: str) -> None:
    health, metrics = free_port(), free_port()
    async with Shadow(name, url) as shadows:
        await shadows.add(note)("x")
    running = asyncio.create_task(
        Worker.run(shadows_name=name, url=url, name="w", healthcheck_port=health, metrics_port=metrics)
    )
    await until(lambda: answered(health, "/readyz"))
    assert await answered(health, "/livez")
    assert await answered(health, "/metrics") is None

    async def counted() -> bool:
        answer = await answered(metrics, "/metrics")
        return answer is not None and answer.value("shadows_tasks_succeeded_total", shadows_name=name) == 1

    await until(counted)
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    assert await answered(health, "/livez") is None


async def test_a_worker_whose_port_is_taken_does_not_start(name: str, url: str) -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as taken:
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(OSError, match="address already in use"):
            await Worker.run(shadows_name=name, url=url, metrics_port=port)


def test_the_command_line_passes_the_ports_on(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHADOWS_WORKER_METRICS_PORT", "0")
    arguments = ["worker", "--shadows", name, "--url", url, "--until-finished", "--healthcheck-port", "0"]
    assert run([*arguments, "--bind", "127.0.0.2", "--logging-format", "plain"]) == 0
    said = capsys.readouterr().err
    assert "serving address=127.0.0.2 port=" in said
    assert "paths=/ /livez /readyz /depth /metrics" in said
    assert run([*arguments, "--metrics-port", "65536"]) == 2
    assert "--metrics-port" in capsys.readouterr().err


LIGHT = """
import asyncio, sys
from shadows import Shadow, Worker

async def note(text: str) -> None: ...

async def main(name, url):
    async with Shadow(name, url) as shadows, Worker(shadows) as worker:
        await shadows.add(note)("x")
        await worker.run_until_finished()

asyncio.run(main(*sys.argv[1:]))
print([name for name in sys.modules if name.startswith(("opentelemetry.propagate", "prometheus_client"))])
"""


def test_who_uses_neither_loads_neither_propagators_nor_prometheus(name: str, url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, name, url], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)


async def test_an_application_that_sets_providers_of_nothing_is_as_one_that_sets_none(
    name: str, url: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", NoOpTracerProvider())
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", NoOpMeterProvider())
    shadows = Shadow(name, url, heartbeat_interval=timedelta(milliseconds=20))
    async with shadows, Worker(shadows) as worker:
        said = await redis.hvals(f"{{{name}}}:workers")

        async def again() -> bool:
            return await redis.hvals(f"{{{name}}}:workers") != said

        await until(again)
        assert not worker.meter.on
        assert not shadows.meter.on
