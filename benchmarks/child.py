"""A contender's process, as the suite sees it."""

import json
import os
import select
import subprocess
import time
from typing import Any

from benchmarks.harness import Order, Reading
from benchmarks.roster import HERE, Entrant

PATIENCE = 180.0
"""Seconds that an order may take (the first answer has to wait for an installation, too)."""


class Unanswered(RuntimeError):
    """The contender failed at an order, ended, or took too long; the message says which."""


class Child:
    """One running contender; `hello` is what it said of itself: `name`, `version`, `note`, `does`."""

    def __init__(self, entrant: Entrant, url: str) -> None:
        self.entrant = entrant
        self._rest = b""
        self.process = subprocess.Popen(
            entrant.command(url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": str(HERE.parent), "PYTHONSAFEPATH": "1"},
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
        try:
            self.process.stdin.write(json.dumps(words).encode() + b"\n")
        except BrokenPipeError:
            raise Unanswered(f"{self.entrant.name} has ended before {do!r}") from None

    def receive(self) -> Reading:
        """The reading of the order that was given."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self._rest:
            if not select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise Unanswered(f"{self.entrant.name}: no answer within {PATIENCE:.0f} s")
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            if not data:
                raise Unanswered(f"{self.entrant.name} has ended")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        reading: Reading = json.loads(line)
        if "error" in reading:
            raise Unanswered(f"{self.entrant.name}: {reading['error']}")
        return reading

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
