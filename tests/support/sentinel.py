"""A primary, its replica and the sentinels that watch over them, on loopback."""

import subprocess
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import (
    LOOPBACK,
    VALKEY,
    Server,
    _answers,
    _guarded,
    _stop,
    find,
    free_port,
    running,
)
from tests.support.waiting import until_sync

PRIMARY = "main"


@dataclass(frozen=True, slots=True)
class Watched:
    """What runs: sentinels fail over within a second or two."""

    primary: Server
    replica: Server
    sentinels: list[Server]

    @property
    def url(self) -> str:
        """With every sentinel in it."""
        hosts = ",".join(f"{LOOPBACK}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{PRIMARY}"

    def named(self) -> int:
        """The port of the primary, as the first sentinel says."""
        _, port = self.sentinels[0].call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY)
        return int(port)


@contextmanager
def watched(engine: str = VALKEY.name) -> Generator[Watched]:
    """A primary with a replica, and one sentinel that decides alone."""
    with ExitStack() as stack:
        primary = stack.enter_context(running(engine))
        replica = stack.enter_context(running(engine, "--replicaof", LOOPBACK, str(primary.port)))
        until_sync(lambda: b"state=online" in primary.call("INFO", "replication"), 20, what="a replica")
        sentinel = stack.enter_context(watching(engine, primary.port))
        until_sync(lambda: sentinel.call("SENTINEL", "REPLICAS", PRIMARY), 20, what="a replica that is known")
        yield Watched(primary, replica, [sentinel])


@contextmanager
def watching(engine: str, port: int) -> Generator[Server]:
    """A sentinel that watches over the primary at a port."""
    with tempfile.TemporaryDirectory(prefix="shadows-", ignore_cleanup_errors=True) as folder:
        path, own = Path(folder) / "sentinel.sock", free_port()
        lines = (
            *(f"port {own}", f"bind {LOOPBACK}", f"unixsocket {path}", f"dir {folder}"),
            f"sentinel monitor {PRIMARY} {LOOPBACK} {port} 1",
            f"sentinel down-after-milliseconds {PRIMARY} 500",
            f"sentinel failover-timeout {PRIMARY} 5000",
        )
        config = Path(folder) / "sentinel.conf"
        config.write_text("\n".join(lines))
        process = subprocess.Popen(
            [find(engine), config, "--sentinel"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        server = Server(engine, process, path, own)
        try:
            with _guarded(process):
                until_sync(lambda: _answers(server), 20, what="an answer from the sentinel")
                yield server
        finally:
            _stop(process)
