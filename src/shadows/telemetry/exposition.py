"""Prometheus' side of the metrics: the counts in its own text formats, behind whatever else the process exposes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from . import metrics, names
from .names import BOUNDS, Instrument, Kind

if TYPE_CHECKING:
    from prometheus_client import Metric


def expose(snapshot: metrics.Snapshot, accept: str = "") -> tuple[bytes, str]:
    """The snapshot, and the metrics that the application keeps with prometheus-client, as text; and its content type.

    `accept` is what the scraper says that it reads.
    """
    from prometheus_client import REGISTRY
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.registry import Collector

    class Everything(Collector):
        def collect(self) -> "Iterator[Metric]":
            yield from _families(snapshot)
            yield from REGISTRY.collect()

    encode, content_type = choose_encoder(accept)
    return encode(Everything()), content_type


def _families(snapshot: metrics.Snapshot) -> "Iterator[Metric]":
    grouped: dict[str, list[tuple[Mapping[str, str], metrics.Value]]] = {}
    for name, labels, value in snapshot:
        grouped.setdefault(name, []).append((labels, value))
    for instrument in names.INSTRUMENTS:
        if series := grouped.get(instrument.name):
            yield _family(instrument, series)


def _family(instrument: Instrument, series: "Iterable[tuple[Mapping[str, str], metrics.Value]]") -> "Metric":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    name = f"{instrument.name}_seconds" if instrument.unit == "s" else instrument.name
    labels = sorted({label for labelled, _ in series for label in labelled})
    shown = [label.replace(".", "_") for label in labels]
    counter = CounterMetricFamily(name, instrument.description, labels=shown)
    gauge = GaugeMetricFamily(name, instrument.description, labels=shown)
    histogram = HistogramMetricFamily(name, instrument.description, labels=shown)
    for labelled, value in series:
        own = [labelled.get(label, "") for label in labels]
        if isinstance(value, list):
            histogram.add_metric(own, _cumulated(value), value[-1])
        else:
            (counter if instrument.kind is Kind.COUNTER else gauge).add_metric(own, value)
    return {Kind.COUNTER: counter, Kind.HISTOGRAM: histogram}.get(instrument.kind, gauge)


def _cumulated(value: list[float]) -> list[tuple[str, float]]:
    buckets: list[tuple[str, float]] = []
    total = 0.0
    for bound, count in zip([*map(str, BOUNDS), "+Inf"], value, strict=False):
        total += count
        buckets.append((bound, total))
    return buckets
