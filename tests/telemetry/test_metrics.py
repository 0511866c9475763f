"""Metrics: what a worker and a client count, as Prometheus and OpenTelemetry read it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from prometheus_client import REGISTRY, Counter
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from shadows import Perpetual, Retry, Shadow, Worker
from shadows.protocol.schedule import Mode
from shadows.telemetry import endpoints, metrics, names, serve
from shadows.telemetry.exposition import expose
from shadows.testing import ControlledClock
from tests.support.proxy import Proxy
from tests.support.waiting import until
from tests.telemetry.asking import Answered, ask


@pytest.fixture
def clock() -> ControlledClock:
    return ControlledClock()


@pytest.fixture
async def shadows(name: str, url: str, clock: ControlledClock) -> AsyncIterator[Shadow]:
    async with Shadow(name, url, clock=clock) as shadows:
        yield shadows


@pytest.fixture
async def port(shadows: Shadow) -> AsyncIterator[int | None]:
    async with serve(shadows, metrics_port=0) as ports:
        yield ports.metrics_port


async def scrape(port: int | None) -> Answered:
    answer = await ask(port, "/metrics")
    assert answer.status == 200
    return answer


async def greet(name: str) -> str:
    return f"hello {name}"


async def fail() -> None:
    raise ValueError("the reason")


async def finish(shadows: Shadow, name: str = "w") -> None:
    async with Worker(shadows, name=name) as worker:
        await worker.run_until_finished()


def counters(answer: Answered, **labels: str) -> dict[str, float]:
    """The task counters that are not 0, without their prefix and suffix."""
    return {
        family.name.removeprefix("shadows_tasks_"): sample.value
        for family in answer.metrics().values()
        if family.name.startswith("shadows_tasks_")
        for sample in family.samples
        if sample.value and labels.items() <= sample.labels.items()
    }


async def test_what_is_added_and_run_is_counted(shadows: Shadow, port: int | None) -> None:
    await shadows.add(greet, key="a")("Jane")
    await shadows.add(greet, key="a")("Jane")
    await shadows.add(greet, queue="mail")("John")
    await finish(shadows)
    answer = await scrape(port)
    assert counters(answer, shadows_name=shadows.name, shadows_queue="default") == {
        "added": 2, "scheduled": 1, "started": 1, "completed": 1, "succeeded": 1,
    }  # fmt: skip
    assert counters(answer, shadows_name=shadows.name, shadows_queue="mail", shadows_worker="w") == {
        "started": 1, "completed": 1, "succeeded": 1,
    }  # fmt: skip
    labels = {"shadows_name": shadows.name, "shadows_task": "greet", "shadows_worker": "w"}
    assert answer.value("shadows_tasks_failed_total", **labels, shadows_queue="mail") == 0
    assert answer.value("shadows_task_duration_seconds_count", **labels, shadows_queue="mail") == 1
    assert (
        answer.value("shadows_task_duration_seconds_bucket", **labels, shadows_queue="mail", le="+Inf") == 1
    )


async def test_failures_retries_and_perpetual_runs_are_counted(shadows: Shadow, port: int | None) -> None:
    async def again(retry: Retry = Retry(attempts=3)) -> None:
        raise ValueError

    async def chain(perpetual: Perpetual = Perpetual()) -> None:
        if len(runs) == 2:
            perpetual.cancel()
        runs.append(1)

    runs: list[int] = []
    await shadows.add(again)()
    await shadows.add(chain)()
    await finish(shadows)
    answer = await scrape(port)
    labels = {"shadows_name": shadows.name, "shadows_worker": "w"}
    assert counters(answer, shadows_task="again", **labels) == {
        "started": 3, "completed": 3, "failed": 3, "retried": 2,
    }  # fmt: skip
    assert counters(answer, shadows_task="chain", **labels) == {
        "started": 3, "completed": 3, "succeeded": 3, "perpetuated": 2,
    }  # fmt: skip


async def test_what_runs_is_counted_while_it_runs_and_cancelled_once(
    shadows: Shadow, port: int | None
) -> None:
    started = asyncio.Event()

    async def hold() -> None:
        started.set()
        await asyncio.Event().wait()

    await shadows.add(hold, key="k")()
    async with Worker(shadows, name="w") as worker:
        running = asyncio.create_task(worker.run_until_finished())
        await started.wait()
        assert (await scrape(port)).value("shadows_tasks_running", shadows_name=shadows.name) == 1
        assert await shadows.cancel("k")
        await running
    answer = await scrape(port)
    assert counters(answer, shadows_name=shadows.name, shadows_task="hold", shadows_worker="w") == {
        "started": 1, "completed": 1,
    }  # fmt: skip
    assert answer.value("shadows_tasks_cancelled_total", shadows_name=shadows.name) == 1
    assert not await shadows.cancel("k")
    assert (await scrape(port)).value("shadows_tasks_cancelled_total", shadows_name=shadows.name) == 1


async def test_what_is_handed_back_has_not_completed(shadows: Shadow, port: int | None) -> None:
    started = asyncio.Event()

    async def hold() -> None:
        started.set()
        await asyncio.Event().wait()

    await shadows.add(hold)()
    async with Worker(shadows, name="w") as worker:
        running = asyncio.create_task(worker.run_forever())
        await started.wait()
        worker.stop()
        worker.stop()
        await running
    assert counters(await scrape(port), shadows_name=shadows.name, shadows_worker="w") == {"started": 1}


async def test_what_a_dead_worker_had_is_counted_as_redelivered(
    shadows: Shadow, port: int | None, redis: Redis, name: str
) -> None:
    await shadows.add(greet)("Jane")
    stream = f"{{{name}}}:ready:default"
    await redis.xreadgroup("g", "gone", {stream: ">"})
    await redis.zadd(f"{{{name}}}:leases", {"gone": 1})
    async with Worker(shadows, name="w") as worker:
        await worker.run_until_finished()
    assert counters(await scrape(port), shadows_name=name, shadows_worker="w") == {
        "started": 1, "redelivered": 1, "completed": 1, "succeeded": 1,
    }  # fmt: skip


async def test_punctuality_is_how_late_a_run_began(
    shadows: Shadow, port: int | None, clock: ControlledClock
) -> None:
    await shadows.add(greet, when=clock.now + timedelta(minutes=1))("Jane")
    await clock.advance(minutes=1, seconds=40)
    await finish(shadows)
    answer = await scrape(port)
    labels = {"shadows_name": shadows.name, "shadows_task": "greet"}
    assert answer.value("shadows_task_punctuality_seconds_sum", **labels) == 40
    assert answer.value("shadows_task_punctuality_seconds_bucket", **labels, le="30.0") == 0
    assert answer.value("shadows_task_punctuality_seconds_bucket", **labels, le="60.0") == 1


async def test_replacing_and_strikes_have_their_counters(shadows: Shadow, port: int | None) -> None:
    """The client's calls of these are its own matter; how they are counted is the meter's."""
    with shadows.meter.sending("greet", "default", "k") as telling:
        telling.answered(Mode.REPLACE, scheduled=True)
    shadows.meter.stricken("greet", "default")
    assert counters(await scrape(port), shadows_name=shadows.name) == {
        "replaced": 1, "scheduled": 1, "stricken": 1,
    }  # fmt: skip


async def test_depths_latency_and_strikes_are_looked_up_at_the_scrape(
    shadows: Shadow, port: int | None, clock: ControlledClock, redis: Redis, name: str
) -> None:
    await shadows.add(greet)("Jane")
    await shadows.add(greet, queue="mail")("Jane")
    await shadows.add(greet, when=clock.now + timedelta(hours=1))("Jane")
    await redis.hset(f"{{{name}}}:strikes", "x", "y")
    await redis.xadd(f"{{{name}}}:ready:mail", {"k": "other", "c": "1/0/x"})
    answer = await scrape(port)
    assert answer.value("shadows_queue_depth", shadows_name=name, shadows_queue="default") == 1
    assert answer.value("shadows_queue_depth", shadows_name=name, shadows_queue="mail") == 2
    assert answer.value("shadows_schedule_depth", shadows_name=name) == 1
    assert answer.value("shadows_strikes_in_effect", shadows_name=name) == 1
    latency = answer.value("shadows_queue_latency_seconds", shadows_name=name, shadows_queue="mail")
    assert latency is not None
    assert 0 <= latency < 60


async def test_a_server_that_does_not_answer_is_counted_and_costs_the_scrape_only_the_depths(
    name: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "PATIENCE", 1.0)
    async with Shadow(name, proxy.url) as shadows, serve(shadows, metrics_port=0) as ports:
        async with Worker(shadows, name="w") as worker:
            running = asyncio.create_task(worker.run_forever())
            await until(lambda: worker._loop is not None and worker._loop.cycled_at)
            proxy.cut_all()
            await until(lambda: worker.meter.counts.disruptions)
            running.cancel()
            await asyncio.wait([running])
            assert (await scrape(ports.metrics_port)).value("shadows_queue_depth", shadows_name=name) == 0
            proxy.hang_replies()
            answer = await scrape(ports.metrics_port)
            proxy.resume()
        disruptions = answer.value("shadows_redis_disruptions_total", shadows_name=name, shadows_worker="w")
        assert disruptions is not None
        assert disruptions >= 1
        assert answer.value("shadows_queue_depth", shadows_name=name) is None


async def test_the_answer_is_what_prometheus_reads_in_both_of_its_formats(port: int | None) -> None:
    answer = await scrape(port)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    answer = await ask(port, "/metrics", headers="Accept: application/openmetrics-text; version=1.0.0\r\n")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.body.endswith("# EOF\n")


async def test_the_applications_own_metrics_are_exposed_too(port: int | None) -> None:
    own = Counter("applications_own", "The application's own.")
    try:
        own.inc(7)
        assert (await scrape(port)).value("applications_own_total") == 7
    finally:
        REGISTRY.unregister(own)


async def test_nobody_listening_nothing_is_counted(shadows: Shadow) -> None:
    await shadows.add(greet)("Jane")
    async with Worker(shadows, name="w") as worker:
        await worker.run_until_finished()
        assert not worker.meter.on
    counted = [value for _, labels, value in metrics.snapshot() if labels[names.NAME] == shadows.name]
    assert not any(counted)


async def test_counts_go_on_where_a_shadow_of_the_same_name_is_opened_again(name: str, url: str) -> None:
    for total in (1, 2):
        async with Shadow(name, url) as shadows, serve(shadows, metrics_port=0) as ports:
            await shadows.add(greet)("Jane")
            await finish(shadows)
            answer = await scrape(ports.metrics_port)
            assert answer.value("shadows_tasks_added_total", shadows_name=name) == total
            assert answer.value("shadows_tasks_succeeded_total", shadows_name=name) == total


def test_only_so_many_counts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_kept", {})
    monkeypatch.setattr(metrics, "MOST_KEPT", 2)
    first = metrics.counts("a")
    metrics.counts("b")
    assert metrics.counts("a") is first
    metrics.counts("c")
    assert metrics.counts("a") is first
    assert list(metrics._kept) == [("c", ""), ("a", "")]


def test_the_snapshots_of_several_processes_become_one() -> None:
    labels = {names.NAME: "s", names.TASK: "t"}

    def process(started: int, depth: int) -> Any:
        buckets = [0.0] * (len(names.BOUNDS) + 2)
        metrics.note(buckets, 0.5)
        readings = [
            ("shadows_tasks_started", labels, started),
            ("shadows_tasks_running", labels, 1),
            ("shadows_queue_depth", labels, depth),
            ("shadows_task_duration", labels, buckets),
        ]
        return json.loads(json.dumps(readings))  # they travel as any text may

    own = ("shadows_tasks_started", {names.NAME: "other"}, 1.0)
    text, _ = expose(metrics.merge([process(2, 7), process(3, 5), [own]]))
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    assert [sample.value for sample in families["shadows_tasks_started"].samples] == [5, 1]
    assert [sample.value for sample in families["shadows_tasks_running"].samples] == [2]
    assert [sample.value for sample in families["shadows_queue_depth"].samples] == [7]
    found = {
        (sample.name, sample.labels.get("le")): sample.value
        for sample in families["shadows_task_duration_seconds"].samples
    }
    assert found["shadows_task_duration_seconds_sum", None] == 1
    assert found["shadows_task_duration_seconds_count", None] == 2
    assert found["shadows_task_duration_seconds_bucket", "0.25"] == 0
    assert found["shadows_task_duration_seconds_bucket", "0.5"] == 2


FORKING = """
import os, sys
from shadows.telemetry import metrics, names

kept = metrics.counts("forked", "w")
kept.tally("t", "q").started = 3
child = os.fork()
if child == 0:
    sys.exit(0 if not list(kept.readings(names.STARTED)) else 1)
_, status = os.waitpid(child, 0)
assert status == 0, status
assert [value for *_, value in kept.readings(names.STARTED)] == [3]
print("fine")
"""


def test_a_forked_process_begins_at_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)


def exported(reader: InMemoryMetricReader, shadow: str) -> dict[tuple[str, str], Any]:
    """What OpenTelemetry has of a shadow: by metric and queue, its number, or a histogram's count and sum."""
    data = reader.get_metrics_data()
    found: dict[tuple[str, str], Any] = {}
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    labels = dict(point.attributes or {})
                    if labels.get(names.NAME) != shadow:
                        continue
                    place = metric.name, str(labels.get(names.QUEUE, ""))
                    match point:
                        case HistogramDataPoint():
                            found[place] = point.count, point.explicit_bounds == names.BOUNDS
                        case NumberDataPoint():
                            found[place] = point.value
                        case _:
                            raise NotImplementedError
    return found


async def test_opentelemetry_gets_every_instrument_where_the_application_exports(
    reader: InMemoryMetricReader, name: str, url: str
) -> None:
    async with Shadow(name, url, heartbeat_interval=timedelta(milliseconds=20)) as shadows:
        await shadows.add(greet)("Jane")
        await shadows.add(fail)()
        async with Worker(shadows, name="w") as worker:
            await worker.run_until_finished()
            await until(lambda: ("shadows_queue_depth", "default") in exported(reader, name))
        found = exported(reader, name)
    assert {metric for metric, _ in found} == {instrument.name for instrument in names.INSTRUMENTS}
    assert found["shadows_tasks_added", "default"] == 1
    assert found["shadows_tasks_running", "default"] == 0
    assert found["shadows_task_duration", "default"] == (1, True)
    assert found["shadows_queue_depth", "default"] == 0


async def test_single_values_are_handed_on_at_every_heartbeat(
    reader: InMemoryMetricReader, name: str, url: str
) -> None:
    async with Shadow(name, url, heartbeat_interval=timedelta(milliseconds=20)) as shadows:
        await shadows.add(greet)("Jane")
        async with Worker(shadows, name="w") as worker:
            await worker.run_until_finished()
            await until(lambda: not metrics.samples)
    assert exported(reader, name)["shadows_task_punctuality", "default"] == (1, True)


async def test_who_begins_to_export_later_is_noticed_at_a_heartbeat(
    name: str, url: str, request: pytest.FixtureRequest
) -> None:
    shadows = Shadow(name, url, heartbeat_interval=timedelta(milliseconds=20))
    async with shadows, Worker(shadows, name="w") as worker:
        running = asyncio.create_task(worker.run_forever())
        assert not worker.meter.on
        reader = request.getfixturevalue("reader")
        await until(lambda: worker.meter.on)
        await shadows.add(greet)("Jane")
        await until(lambda: exported(reader, name).get(("shadows_tasks_succeeded", "default")))
        worker.stop()
        await running


async def test_calls_that_are_added_together_are_counted_one_by_one(
    shadows: Shadow, port: int | None
) -> None:
    await shadows.add_many([shadows.call(greet, key=key)("x") for key in ("a", "b")])
    await shadows.replace_many([shadows.call(greet, key="b")("y")])
    answer = await scrape(port)
    assert answer.value("shadows_tasks_added_total", shadows_name=shadows.name) == 2
    assert answer.value("shadows_tasks_replaced_total", shadows_name=shadows.name) == 1
    await shadows.clear()
