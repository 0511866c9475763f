"""Traces: a span where a call is sent, and one around each run, with a link to the span of whoever asked for it.

Only an application that has set a tracer provider has any; everybody else pays for one look into a dict.
"""

import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from shadows.payload.failures import exception_name

from . import names

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

logger = logging.getLogger("shadows.telemetry")

_known: "tuple[object, Tracer | None]" = (None, None)


def tracer() -> "Tracer | None":
    """The tracer of the provider that the application has set; None where it has set none."""
    global _known  # noqa: PLW0603 - one for the process, as the provider is
    api: Any = sys.modules.get("opentelemetry.trace")
    # The public function reads the environment at every call, which costs as much as a tenth of an `add`.
    if getattr(api, "_TRACER_PROVIDER", None) is None:
        return None
    provider = api.get_tracer_provider()
    if provider is _known[0]:
        return _known[1]
    found: Tracer | None = None
    if not isinstance(provider, api.ProxyTracerProvider | api.NoOpTracerProvider):
        found = provider.get_tracer(names.SCOPE, version("shadow-task"))
    _known = provider, found
    return found


class Sending:
    """The span of one call that is being sent, and what travels with the call of it."""

    __slots__ = ("_span", "headers")

    def __init__(self, tracer: "Tracer", shadow: str, task: str, queue: str, key: str) -> None:
        from opentelemetry import propagate, trace

        caller = trace.get_current_span()
        self._span = tracer.start_span(
            f"{names.SEND} {task}",
            kind=trace.SpanKind.PRODUCER,
            attributes=_attributes(names.SEND, shadow, task, queue, key),
        )
        self.headers: dict[str, str] | None = {}
        own = not caller.get_span_context().is_valid
        propagate.inject(self.headers, trace.set_span_in_context(self._span if own else caller))
        self.headers = self.headers or None

    def ended(self, error: BaseException | None) -> None:
        """End it: with the error that kept the call from being accepted, or None."""
        _end(self._span, error)


class Processing:
    """The span of one run: the present one for everything that the run does."""

    __slots__ = ("_span", "_token")

    def __init__(
        self, tracer: "Tracer", name: str, headers: dict[str, str] | None, attributes: dict[str, Any]
    ) -> None:
        from opentelemetry import context, propagate, trace

        origin = propagate.extract(headers or {}, context.Context())
        asker = trace.get_current_span(origin).get_span_context()
        self._span = tracer.start_span(
            name,
            context=context.Context(),
            kind=trace.SpanKind.CONSUMER,
            attributes=attributes,
            links=[trace.Link(asker)] if asker.is_valid else [],
        )
        self._token = context.attach(trace.set_span_in_context(self._span, origin))

    def ended(self, error: BaseException | None) -> None:
        """End it: with the error that the run failed with, or None."""
        from opentelemetry import context

        context.detach(self._token)
        _end(self._span, error)


def sending(shadow: str, task: str, queue: str, key: str) -> Sending | None:
    """A span for a call that is about to be sent; None where nobody traces, or tracing itself fails."""
    found = tracer()
    if found is None:
        return None
    try:
        return Sending(found, shadow, task, queue, key)
    except Exception as error:  # noqa: BLE001 - an exporter's trouble must not keep a call from being sent
        logger.warning("span not begun task=%s error=%s", task, error)
        return None


def processing(
    tracer: "Tracer",
    shadow: str,
    task: str,
    queue: str,
    key: str,
    headers: dict[str, str] | None,
    own: Mapping[str, Any],
) -> Processing | None:
    """A span for a run that begins, with attributes of its own; None where tracing itself fails."""
    try:
        attributes = _attributes(names.PROCESS, shadow, task, queue, key) | dict(own)
        return Processing(tracer, task, headers, attributes)
    except Exception as error:  # noqa: BLE001 - nor a task from being run
        logger.warning("span not begun task=%s error=%s", task, error)
        return None


def _attributes(operation: str, shadow: str, task: str, queue: str, key: str) -> dict[str, Any]:
    return {
        names.SYSTEM: names.SCOPE,
        names.OPERATION_NAME: operation,
        names.OPERATION_TYPE: operation,
        names.DESTINATION: queue,
        names.MESSAGE_ID: key,
        names.FUNCTION: task,
        names.NAME: shadow,
        names.TASK: task,
        names.QUEUE: queue,
        names.KEY: key,
    }


def _end(span: "Span", error: BaseException | None) -> None:
    from opentelemetry.trace import Status, StatusCode

    try:
        if error is not None:
            kind = exception_name(type(error))
            span.set_attribute(names.ERROR_TYPE, kind)
            span.set_status(Status(StatusCode.ERROR, _message(error) or kind))
            with suppress(Exception):  # it asks the user's class for words
                span.record_exception(error)
        span.end()
    except Exception as trouble:  # noqa: BLE001 - the task's outcome is not an exporter's business
        logger.warning("span not ended error=%s", trouble)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the code of the user's exception class
        return ""
