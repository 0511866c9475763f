"""A contender's process, as the suite sees it."""

import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.harness import Order, Reading
from benchmarks.roster import HERE, Entrant

INSTALLATION = 180.0
"""Seconds until the first answer, which may have to wait for an installation."""
PATIENCE = 45.0
"""Seconds that an order may take, and one more for every LEAST tasks of it."""
LEAST = 1_000
TAIL = 4_096


class Unanswered(RuntimeError):
    """The contender failed at an order, ended, or took too long; the message says which."""


class Child:
    """One running contender; `hello` is what it said of itself: `name`, `version`, `note`, `less`, `does`."""

    def __init__(self, entrant: Entrant, url: str, environment: Mapping[str, str]) -> None:
        self.entrant = entrant
        self._rest = b""
        self._patience = INSTALLATION
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it is open as long as the process runs
        self.process = subprocess.Popen(
            entrant.command(url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            env={**environment, "PYTHONPATH": str(HERE.parent), "PYTHONSAFEPATH": "1"},
        )
        try:
            self.hello = self.receive()
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **details: Any) -> Reading:
        """Give an order and wait for its reading.

        Raises:
            Unanswered: there is none.
        """
        self.send(do, **details)
        return self.receive()

    def send(self, do: str, **details: Any) -> None:
        """Give an order; its reading is to be received."""
        order = Order(do, **details)
        words = {name: getattr(order, name) for name in Order.__slots__}
        assert self.process.stdin is not None
        self._patience = PATIENCE + order.n / LEAST
        try:
            self.process.stdin.write(json.dumps(words).encode() + b"\n")
        except BrokenPipeError:
            raise Unanswered(f"it has ended before {do!r}{self._last_words()}") from None

    def answered(self, seconds: float) -> bool:
        """Whether an answer has come, or comes within so many seconds."""
        assert self.process.stdout is not None
        return bool(self._rest) or bool(select.select([self.process.stdout], [], [], seconds)[0])

    def receive(self) -> Reading:
        """The reading of the order that was given."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + self._patience
        while b"\n" not in self._rest:
            if not select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise Unanswered(f"no answer within {self._patience:.0f} s{self._last_words()}")
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            if not data:
                raise Unanswered(f"it has ended{self._last_words()}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        reading: Reading = json.loads(line)
        if "error" in reading:
            raise Unanswered(reading["error"])
        return reading

    def _last_words(self) -> str:
        """The last line of its stderr."""
        size = os.fstat(self._errors.fileno()).st_size
        lines = (
            os.pread(self._errors.fileno(), TAIL, max(0, size - TAIL)).decode(errors="replace").split("\n")
        )
        said = [line.strip() for line in lines if line.strip()]
        return f": {said[-1]}" if said else ""

    def close(self) -> None:
        """End it: by closing its stdin, else by force."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self._errors.close()
