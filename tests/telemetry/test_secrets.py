"""No password is ever written: not to a log, a repr, an error, a span, a metric, nor to anybody who asks for health."""

import asyncio
import traceback
from collections.abc import Iterator
from datetime import timedelta

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shadows import (
    CurrentExecution,
    CurrentShadow,
    CurrentWorker,
    Execution,
    InvalidName,
    ServerUnreachable,
    ServerUnsupported,
    Shadow,
    SyncShadow,
    Worker,
)
from shadows.cli.app import run
from shadows.protocol.connection import Address
from shadows.telemetry import serve
from shadows.telemetry.logs import LogFormat, set_up_logging
from tests.conftest import pytest_runtest_makereport
from tests.support.canary import CANARY
from tests.support.servers import Server, free_port, running
from tests.support.waiting import until
from tests.telemetry.asking import ask


@pytest.fixture
def guarded(server: Server) -> Iterator[Server]:
    """A server of this test's own that asks for a password."""
    with running(server.name, "--requirepass", CANARY) as guarded:
        yield guarded


def told(error: BaseException) -> str:
    """Everything that an error says, and those behind it."""
    return "".join(traceback.format_exception(error)) + repr(error) + "".join(map(str, error.args))


async def look(
    execution: Execution[None] = CurrentExecution(),
    shadows: Shadow = CurrentShadow(),
    worker: Worker = CurrentWorker(),
) -> None:
    raise ValueError(f"{execution!r} {shadows!r} {worker!r} {vars(shadows)}")


@pytest.mark.parametrize("log_format", LogFormat)
async def test_a_whole_life_writes_no_password(
    guarded: Server,
    log_format: LogFormat,
    exporter: InMemorySpanExporter,
    reader: InMemoryMetricReader,
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logging("debug", log_format)
    url = f"redis://:{CANARY}@127.0.0.1:{guarded.port}/0"
    said: list[str] = []
    shadows = Shadow("secrets", url, heartbeat_interval=timedelta(milliseconds=20))
    worker = Worker(shadows, redelivery_timeout=timedelta(milliseconds=400))
    async with shadows, worker, serve(shadows, worker, healthcheck_port=0, metrics_port=0) as ports:
        running = asyncio.create_task(worker.run_forever())
        execution = await shadows.add(look)()
        with pytest.raises(ValueError, match="Shadow 'secrets'") as caught:
            await execution.get_result(timeout=10)
        said += [told(caught.value), str(execution.error), repr(execution), repr(shadows), repr(worker)]
        for path in ("/", "/livez", "/readyz", "/depth", "/metrics", "/nowhere"):
            answer = await ask(ports.healthcheck_port, path)
            said += [answer.body, str(answer.headers)]
        guarded.process.kill()
        guarded.process.wait()
        await until(lambda: worker.meter.counts.disruptions)
        with pytest.raises(ServerUnreachable) as lost:
            await shadows.get_execution("k")
        said += [told(lost.value)]
        for path in ("/readyz", "/depth", "/metrics"):
            said.append((await ask(ports.healthcheck_port, path)).body)
        running.cancel()
        await asyncio.wait([running])
    said += [span.to_json() for span in exporter.get_finished_spans()]
    metrics = reader.get_metrics_data()
    assert metrics is not None
    said.append(metrics.to_json())
    written = capsys.readouterr()
    assert "serving" in written.err
    assert "***" in repr(shadows)
    assert CANARY not in "".join([written.out, written.err, *said])


@pytest.mark.parametrize(
    "url",
    ["redis://:{}-wrong@127.0.0.1:{}/0", "redis://u:{}@127.0.0.1:{}", "redis://127.0.0.1:{1}?password={0}x"],
)
async def test_a_refused_password_is_not_told(guarded: Server, url: str) -> None:
    with pytest.raises(ServerUnsupported, match="refuses these credentials") as caught:
        async with Shadow("secrets", url.format(CANARY, guarded.port)):
            raise NotImplementedError
    assert CANARY not in told(caught.value)


async def test_an_unreachable_server_is_named_without_its_password(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    url = f"redis://user:{CANARY}@127.0.0.1:{free_port()}/0"
    with pytest.raises(ServerUnreachable) as caught:
        async with Shadow("secrets", url):
            raise NotImplementedError
    assert "user:***@127.0.0.1" in str(caught.value)
    assert CANARY not in told(caught.value)


def test_the_synchronous_client_tells_no_password() -> None:
    url = f"redis://user:{CANARY}@127.0.0.1:{free_port()}/0"
    sync = SyncShadow("secrets", url)
    with pytest.raises(ServerUnreachable) as caught:
        sync.cancel("k")
    sync.close()
    assert CANARY not in told(caught.value) + repr(sync)


URLS = [
    "redis://:{}@", "redis://:{}@host:port", "redis://:{}@host/zero", "redis://:{}@[::1", "http://:{}@host", "redis:/:{}@host",
    ":{}@host:6379", "redis://:a/{}@host", "redis://:a#{}@host", "redis://:a?{}@host", "redis://host?pasword={}",
    "redis://user:12?{}@host", "redis://host?{}", "redis://host?passw%6frd={}&x=1", "unix://:{}@", "rediss://host?password={}&ssl=1",
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidName) as caught:
        Address(url.format(CANARY))
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize("url", ["redis://:{}@127.0.0.1:{}", "redis://:{}@127.0.0.1:{}?x=1"])
def test_the_command_line_writes_no_password(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHADOWS_URL", url.format(CANARY, free_port()))
    assert run(["worker", "--logging-level", "debug", "--until-finished"]) in (1, 2)
    written = capsys.readouterr()
    assert "***@127.0.0.1" in written.err
    assert CANARY not in written.out + written.err


@pytest.mark.parametrize("written", [f"a log with {CANARY}", "a log"])
def test_a_test_that_writes_the_canary_fails(written: str) -> None:
    hook = pytest_runtest_makereport()
    next(hook)
    sections = [("Captured stderr call", "nothing"), ("Captured log call", written)]
    report = pytest.TestReport("a test", ("", None, ""), {}, "passed", None, "call", sections)
    with pytest.raises(StopIteration) as end:
        hook.send(report)
    assert end.value.value is report
    assert report.failed == (CANARY in written)
