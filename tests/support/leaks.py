"""What a shadow may leave in Redis: a fixed set of keys, and none that expires."""

from collections.abc import Iterator

from tests.support.servers import Server

PARTS = frozenset(
    {
        *(
            "queues",
            "meta",
            "wake",
            "due",
            "parked",
            "live",
            "permits",
            "held",
            "waiting",
            "windows",
            "leases",
        ),
        *("workers", "controls", "strikes", "ended", "ended:at", "dead", "dead:at", "producers", "progress"),
    }
)


def leaks(server: Server, name: str) -> list[str]:
    """What stands in database 0 under `name` and must not, a sentence each."""
    return list(_leaks(server, name))


def _leaks(server: Server, name: str) -> Iterator[str]:
    prefix = f"{{{name}}}:".encode()
    allowed = {prefix + part.encode() for part in PARTS} | _streams(server, prefix)
    for key in keys(server, name):
        if key not in allowed:
            yield f"{key!r} is not among the keys of a shadow"
        if (remaining := server.call("PTTL", key)) >= 0:
            yield f"{key!r} expires, in {remaining} ms"


def _streams(server: Server, prefix: bytes) -> set[bytes]:
    if server.call("TYPE", prefix + b"queues") != b"set":
        return set()
    return {prefix + b"ready:" + queue for queue in server.call("SMEMBERS", prefix + b"queues")}


def keys(server: Server, name: str) -> list[bytes]:
    """All keys of database 0 whose name contains `name`, in order."""
    return sorted(key for key in server.call("KEYS", "*") if name.encode() in key)


def remove(server: Server, name: str) -> None:
    """Delete every key whose name contains `name`."""
    if found := keys(server, name):
        server.call("UNLINK", *found)


def leftovers(server: Server) -> list[str]:
    """What stands in the server at all, a sentence for each database that is not empty."""
    return [
        f"{line}: {sorted(server.call('KEYS', '*'))[:20]!r}" if line.startswith("db0:") else line
        for line in server.call("INFO", "keyspace").decode().splitlines()
        if line.startswith("db")
    ]
