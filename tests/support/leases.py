"""What the server holds of the workers' leases: evidence, by its clock, that one has gone on."""

from tests.support.servers import Server
from tests.support.waiting import until


def holder(server: Server, name: str) -> bytes:
    """The only worker that has a lease on this shadow."""
    found: bytes
    (found,) = server.call("ZRANGE", f"{{{name}}}:leases", 0, -1)
    return found


def expires_ms(server: Server, name: str, worker: bytes) -> float | None:
    """The instant at which a worker's lease ends unless it is renewed; none where it has none."""
    score = server.call("ZSCORE", f"{{{name}}}:leases", worker)
    return None if score is None else float(score)


async def outlive(server: Server, name: str, worker: bytes, lease: float, times: int = 2) -> None:
    """Wait until a lease of `lease` seconds has been renewed for `times` its length; fails where it is lost."""
    first = expires_ms(server, name, worker)
    assert first is not None, f"{worker!r} has no lease"

    def outlived() -> bool:
        expires = expires_ms(server, name, worker)
        assert expires is not None, f"{worker!r} has lost its lease"
        return expires > first + times * lease * 1000

    await until(outlived, 30 + 2 * times * lease)
