"""Traces: who asked for what, and what came of it, as an application's tracer provider gets it."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from redis.asyncio import Redis

from shadows import CurrentShadow, Logged, NotAccepted, Retry, Shadow, Worker
from shadows.payload.call import decode_call
from shadows.protocol.blob import split_blob
from shadows.testing import ControlledClock


@pytest.fixture
def clock() -> ControlledClock:
    return ControlledClock()


@pytest.fixture
async def shadows(name: str, url: str, clock: ControlledClock) -> AsyncIterator[Shadow]:
    async with Shadow(name, url, clock=clock) as shadows:
        yield shadows


async def finish(shadows: Shadow) -> None:
    async with Worker(shadows, name="w") as worker:
        await worker.run_until_finished()


def spans(exporter: InMemorySpanExporter, kind: SpanKind) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.kind is kind]


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


async def headers(shadows: Shadow, key: str) -> dict[str, str] | None:
    """What travels with a call."""
    return decode_call(split_blob((await shadows.find(key)).blob).call).headers


async def greet(name: str) -> None: ...


async def test_a_call_has_a_span_where_it_is_sent_and_each_run_one_that_is_linked_to_it(
    shadows: Shadow, exporter: InMemorySpanExporter
) -> None:
    await shadows.add(greet, key="k", queue="mail")("Jane")
    await finish(shadows)
    (send,), (process,) = spans(exporter, SpanKind.PRODUCER), spans(exporter, SpanKind.CONSUMER)
    assert (send.name, process.name) == ("send greet", "greet")
    common = {
        "messaging.system": "shadows",
        "messaging.destination.name": "mail",
        "messaging.message.id": "k",
        "code.function.name": "greet",
        "shadows.name": shadows.name,
        "shadows.task": "greet",
        "shadows.queue": "mail",
        "shadows.key": "k",
    }
    assert attributes(send) == {
        **common,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }
    found = attributes(process)
    assert str(found.pop("shadows.when")).endswith("+00:00")
    assert found == {
        **common,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.client.id": "w",
        "shadows.worker": "w",
        "shadows.attempt": 1,
    }
    assert [link.context.span_id for link in process.links] == [send.context and send.context.span_id]
    assert process.parent is None
    assert process.status.status_code is StatusCode.UNSET


async def test_a_run_is_linked_to_the_callers_own_span_where_there_is_one(
    shadows: Shadow, exporter: InMemorySpanExporter
) -> None:
    with trace.get_tracer("the application").start_as_current_span("origin") as origin:
        await shadows.add(greet)("Jane")
    await finish(shadows)
    (send,), (process,) = spans(exporter, SpanKind.PRODUCER), spans(exporter, SpanKind.CONSUMER)
    own = origin.get_span_context()
    assert send.parent is not None
    assert send.parent.span_id == own.span_id
    assert [(link.context.trace_id, link.context.span_id) for link in process.links] == [
        (own.trace_id, own.span_id)
    ]


async def test_the_runs_span_is_the_present_one_inside_the_task_and_its_thread(
    shadows: Shadow, exporter: InMemorySpanExporter
) -> None:
    seen: list[tuple[int, object]] = []

    def note() -> None:
        seen.append((trace.get_current_span().get_span_context().span_id, baggage.get_baggage("who")))

    async def in_the_loop() -> None:
        note()

    def in_a_thread() -> None:
        assert threading.current_thread() is not threading.main_thread()
        note()

    token = context.attach(baggage.set_baggage("who", "Jane"))
    await shadows.add(in_the_loop)()
    await finish(shadows)
    await shadows.add(in_a_thread)()
    context.detach(token)
    await finish(shadows)
    expected = [span.context.span_id for span in spans(exporter, SpanKind.CONSUMER) if span.context]
    assert seen == [(span, "Jane") for span in expected]


async def test_what_a_task_adds_is_linked_to_that_task(
    shadows: Shadow, exporter: InMemorySpanExporter
) -> None:
    async def first(shadows: Shadow = CurrentShadow()) -> None:
        await shadows.add(greet)("Jane")

    await shadows.add(first)()
    await finish(shadows)
    outer, inner = spans(exporter, SpanKind.CONSUMER)
    assert outer.context is not None
    assert [link.context.span_id for link in inner.links] == [outer.context.span_id]


async def test_every_failed_attempt_is_an_error_with_its_message(
    shadows: Shadow, exporter: InMemorySpanExporter, clock: ControlledClock
) -> None:
    runs: list[int] = []

    async def third_time(retry: Retry = Retry(attempts=3)) -> None:
        runs.append(retry.attempt)
        if retry.attempt < 3:
            raise ValueError(f"reason {retry.attempt}")

    await shadows.add(third_time)()
    await finish(shadows)
    assert runs == [1, 2, 3]
    found = [
        (
            span.status.status_code,
            span.status.description,
            attributes(span).get("error.type"),
            len(span.events),
        )
        for span in spans(exporter, SpanKind.CONSUMER)
    ]
    assert found == [
        (StatusCode.ERROR, "reason 1", "ValueError", 1),
        (StatusCode.ERROR, "reason 2", "ValueError", 1),
        (StatusCode.UNSET, None, None, 0),
    ]
    assert {len(span.links) for span in spans(exporter, SpanKind.CONSUMER)} == {1}


async def test_an_error_that_cannot_be_shown_is_named(
    shadows: Shadow, exporter: InMemorySpanExporter
) -> None:
    class Shy(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    async def fail() -> None:
        raise Shy

    await shadows.add(fail)()
    await finish(shadows)
    (process,) = spans(exporter, SpanKind.CONSUMER)
    assert str(process.status.description).endswith("Shy")


async def test_a_cancelled_run_is_no_error(shadows: Shadow, exporter: InMemorySpanExporter) -> None:
    started = asyncio.Event()

    async def hold() -> None:
        started.set()
        await asyncio.Event().wait()

    await shadows.add(hold, key="k")()
    async with Worker(shadows) as worker:
        running = asyncio.create_task(worker.run_until_finished())
        await started.wait()
        await shadows.cancel("k")
        await running
    (process,) = spans(exporter, SpanKind.CONSUMER)
    assert process.status.status_code is StatusCode.UNSET


async def test_a_call_that_is_not_accepted_has_an_error_in_its_span(
    shadows: Shadow, exporter: InMemorySpanExporter
) -> None:
    adding = shadows.add(greet)("Jane")
    assert shadows._batcher is not None
    shadows._batcher._ended = True
    with pytest.raises(Exception, match="the client is closed"):
        await adding
    (send,) = spans(exporter, SpanKind.PRODUCER)
    assert send.status.status_code is StatusCode.ERROR
    assert attributes(send)["error.type"] == "shadows.errors.ServerUnreachable"


async def test_arguments_are_never_in_spans(shadows: Shadow, exporter: InMemorySpanExporter) -> None:
    async def log_in(user: Annotated[str, Logged()], password: str) -> None: ...

    await shadows.add(log_in)("Jane", password="canary")
    await finish(shadows)
    said = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "canary" not in said


async def test_without_a_provider_nothing_travels_and_no_tracer_is_made(shadows: Shadow) -> None:
    await shadows.add(greet, key="k")("Jane")
    assert not shadows.meter.on
    assert await headers(shadows, "k") is None
    await finish(shadows)


async def test_with_a_provider_the_context_travels_as_w3c_has_it(
    shadows: Shadow, exporter: InMemorySpanExporter
) -> None:
    await shadows.add(greet, key="k")("Jane")
    (send,) = spans(exporter, SpanKind.PRODUCER)
    assert send.context is not None
    travelling = await headers(shadows, "k")
    assert travelling is not None
    assert travelling.keys() == {"traceparent"}
    version, trace_id, span_id, flags = travelling["traceparent"].split("-")
    assert (version, int(trace_id, 16), int(span_id, 16)) == (
        "00",
        send.context.trace_id,
        send.context.span_id,
    )
    assert int(flags, 16) & trace.TraceFlags.SAMPLED
    await finish(shadows)


async def test_a_provider_set_after_a_call_was_added_sees_its_run_without_a_link(
    shadows: Shadow, request: pytest.FixtureRequest
) -> None:
    await shadows.add(greet)("Jane")
    exporter = request.getfixturevalue("exporter")
    await finish(shadows)
    (process,) = spans(exporter, SpanKind.CONSUMER)
    assert not process.links


@pytest.mark.parametrize("broken", ["start_span", "end"])
async def test_tracing_that_fails_fails_nothing_else(
    shadows: Shadow,
    exporter: InMemorySpanExporter,
    broken: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the exporter is broken")

    owner = "opentelemetry.sdk.trace.Tracer" if broken == "start_span" else "opentelemetry.sdk.trace.Span"
    monkeypatch.setattr(f"{owner}.{broken}", fail)
    ran: list[str] = []

    async def note() -> None:
        ran.append("ran")

    with caplog.at_level(logging.WARNING, "shadows.telemetry"):
        await shadows.add(note)()
        await finish(shadows)
    assert ran == ["ran"]
    assert "error=the exporter is broken" in caplog.text


async def test_of_calls_that_are_sent_together_each_has_a_span_and_its_own_end(
    shadows: Shadow, exporter: InMemorySpanExporter, redis: Redis
) -> None:
    broken = shadows.store.keys.ready("broken")
    await shadows.add(greet, queue="broken", key="first")("Jane")
    await shadows.clear()
    exporter.clear()
    await redis.delete(broken.decode())
    await redis.set(broken.decode(), "no queue")
    calls = [shadows.call(greet, key=f"{n}", queue="broken" if n == 1 else None)("Jane") for n in range(5)]
    with pytest.raises(NotAccepted):
        await shadows.add_many(calls, chunk_size=2)
    await redis.delete(broken.decode())
    sent = {str(attributes(span)["shadows.key"]): span for span in spans(exporter, SpanKind.PRODUCER)}
    assert {key: span.status.status_code for key, span in sent.items() if key in "01"} == {
        "0": StatusCode.UNSET,
        "1": StatusCode.ERROR,
    }
    assert all(span.end_time for span in sent.values())
    assert set(sent) == {"0", "1", "2", "3"}, "the last was never handed over"
    await shadows.clear()
