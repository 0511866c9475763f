"""OpenTelemetry's side of the metrics: instruments that read the counts when the application's exporter collects.

Its histograms cannot be read so: single values wait in `metrics.samples` and are handed on when it collects, and at every
heartbeat. Nothing of it exists unless the application has set a meter provider.
"""

import sys
import threading
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from . import metrics, names
from .names import Instrument, Kind

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation

_lock = threading.Lock()
_known: "tuple[object, bool]" = (None, False)
_histograms: "dict[Instrument, Histogram]" = {}


def exporting() -> bool:
    """Whether the application has set a meter provider; it gets our instruments at the first asking."""
    api: Any = sys.modules.get("opentelemetry.metrics._internal")
    # The public function reads the environment at every call, which costs as much as a tenth of an `add`.
    if getattr(api, "_METER_PROVIDER", None) is None:
        return False
    provider = api.get_meter_provider()
    return _known[1] if provider is _known[0] else _meet(provider)


def hand_on() -> None:
    """Record the single values that wait."""
    while True:
        try:
            instrument, labels, value = metrics.samples.popleft()
        except IndexError:
            return
        _histograms[instrument].record(value, labels)


def _meet(provider: "MeterProvider") -> bool:
    global _known  # noqa: PLW0603 - one for the process, as the provider is
    with _lock:
        if provider is not _known[0]:  # pragma: no branch - another thread may have asked at the same moment
            real = type(provider).__name__ not in ("_ProxyMeterProvider", "NoOpMeterProvider")
            if real:
                _furnish(provider.get_meter(names.SCOPE, version("shadow-task")))
            _known = provider, real
    return _known[1]


def _furnish(meter: "Meter") -> None:
    for instrument in names.INSTRUMENTS:
        name, unit, description = instrument.name, instrument.unit, instrument.description
        match instrument.kind:
            case Kind.COUNTER:
                meter.create_observable_counter(name, [_observer(instrument)], unit, description)
            case Kind.LEVEL:
                meter.create_observable_up_down_counter(name, [_observer(instrument)], unit, description)
            case Kind.GAUGE:
                meter.create_observable_gauge(name, [_observer(instrument)], unit, description)
            case _:
                _histograms[instrument] = meter.create_histogram(
                    name, unit, description, explicit_bucket_boundaries_advisory=names.BOUNDS
                )


def _observer(instrument: Instrument) -> "Callable[[CallbackOptions], Iterable[Observation]]":
    from opentelemetry.metrics import Observation

    def observe(_: "CallbackOptions") -> "Iterable[Observation]":
        if instrument is names.STARTED:
            hand_on()
        return [
            Observation(value, labels)
            for _, labels, value in metrics.readings(instrument)
            if not isinstance(value, list)
        ]

    return observe
