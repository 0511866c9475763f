"""The meter: what the server has counted, and which requests came to it."""

import threading
import time
from typing import Any, Self

from redis import Redis

type Figures = dict[str, float]
END = "benchmarks: end"
ASIDE = ("MONITOR", "INFO", "HELLO", "CLIENT SETNAME", "CLIENT SETINFO")
"""What the suite itself asks while it looks, and by what client libraries introduce a connection."""


def counters(redis: Any) -> Figures:
    """Commands (inside scripts too), bytes, memory and processor seconds of the server, as of now; itself one command."""
    info = redis.info()
    return {
        "commands": info["total_commands_processed"],
        "sent": info["total_net_input_bytes"],
        "received": info["total_net_output_bytes"],
        "kept": info["used_memory"],
        "redis_cpu": info["used_cpu_sys"] + info["used_cpu_user"],
    }


def engine(redis: Any) -> str:
    """The server's name and version."""
    info = redis.info("server")
    return f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info['redis_version']}"


def round_trip_ms(redis: Any, times: int = 200) -> float:
    """The median time of a bare PING over a blocking connection, in milliseconds."""
    taken: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        redis.ping()
        taken.append(time.perf_counter() - start)
    return 1e3 * sorted(taken)[times // 2]


class Requests:
    """Counts the requests that come to the server within the block, calls inside scripts left out: `counted`."""

    def __init__(self, url: str) -> None:
        client: Any = Redis
        self._redis: Any = client.from_url(url)
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self.counted = 0

    def _listen(self) -> None:
        with self._redis.monitor() as monitor:
            self._listening.set()
            for seen in monitor.listen():
                if END in seen["command"]:
                    return
                ours = seen["command"].startswith(ASIDE)
                self.counted += seen["client_type"] != "lua" and not ours

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(self, *exc: object) -> None:
        self._redis.echo(END)
        self._thread.join()
        self._redis.close()
