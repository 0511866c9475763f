"""What asks a process how it is: one request, one answer."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: str

    def json(self) -> Any:
        return json.loads(self.body)

    def metrics(self) -> dict[str, Metric]:
        """The metric families, as Prometheus' own parser reads them, by name."""
        return {family.name: family for family in text_string_to_metric_families(self.body)}

    def value(self, sample: str, **labels: str) -> float | None:
        """The value of the one sample of that name with these labels; None where there is none."""
        found = [
            one.value
            for family in self.metrics().values()
            for one in family.samples
            if one.name == sample and labels.items() <= one.labels.items()
        ]
        assert len(found) < 2, found
        return found[0] if found else None


async def ask(
    port: int | None, path: str, *, method: str = "GET", headers: str = "", host: str = "127.0.0.1"
) -> Answered:
    """Ask a port of this machine."""
    return await send(port, f"{method} {path} HTTP/1.1\r\nHost: here\r\n{headers}\r\n".encode(), host)


async def send(port: int | None, data: bytes, host: str = "127.0.0.1") -> Answered:
    """Send bytes that may be a request."""
    assert port is not None
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(data)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        return Answered(
            int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body.decode()
        )
    finally:
        writer.close()
