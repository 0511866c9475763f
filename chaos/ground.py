"""The server of a run: it may be killed, and comes back at the same port with what it had written."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.servers import Server, running


class Ground:
    """A server that outlives its processes: `with Ground("valkey", folder, durable=True) as ground: …`.

    Args:
        engine: which one, by the name that the tests know it by.
        folder: where it keeps its files.
        durable: whether it writes every command to disk before it answers.
        options: more of the server's own.
    """

    def __init__(
        self, engine: str, folder: Path, *, durable: bool = False, options: Sequence[str] = ()
    ) -> None:
        self._engine = engine
        self._options = ["--dir", str(folder), *options]
        if durable:
            self._options += ["--appendonly", "yes", "--appendfsync", "always"]
        self._port: int | None = None
        self._life: AbstractContextManager[Server] | None = None
        self._server: Server | None = None

    @property
    def server(self) -> Server:
        """The present process."""
        if self._server is None:
            raise RuntimeError("no server runs: use the ground by `with`")
        return self._server

    @property
    def port(self) -> int:
        """The same for each of its processes."""
        return self.server.port

    @property
    def url(self) -> str:
        return self.server.tcp_url

    def named(self, name: str) -> str:
        """What a shadow has to be called to be here: anything will do."""
        return name

    def kill(self) -> float:
        """SIGKILL; answers when."""
        self.server.process.kill()
        at = time.time()
        self.server.process.wait()
        self._end()
        return at

    def start(self, *options: str) -> float:
        """Start a process with what the last one had written, and options of its own; answers when it answered first."""
        self._life = running(self._engine, *self._options, *options, port=self._port)
        self._server = self._life.__enter__()
        self._port = self._server.port
        return time.time()

    def _end(self) -> None:
        if self._life is not None:
            self._life.__exit__(None, None, None)
            self._life = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()
