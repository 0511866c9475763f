"""The worker processes of a run: kept at their number, struck by signals, and remembered."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from chaos.effects import FOLDER
from chaos.evidence import Event, Exit
from chaos.lapses import lapses, taken_back
from chaos.plan import Fault
from chaos.stack import ROOT

_LOOK = 0.05
"""Seconds between two looks at who has died."""
_POISONED = 9
"""What a worker that took a pill ends with."""
_REFUSED = "late outcome refused"


@dataclass(slots=True)
class Member:
    """One worker process."""

    name: str
    slot: int
    process: subprocess.Popen[bytes]
    log: Path
    begun: float
    up: bool = False
    stopped: bool = False
    asked: float | None = None
    killed: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def idle(self) -> bool:
        """Whether it may be struck: it runs, and nothing has been done to it."""
        return (
            self.up
            and not self.stopped
            and self.asked is None
            and not self.killed
            and self.process.poll() is None
        )


class Fleet:
    """So many workers, each dead one replaced at once: `async with Fleet(…) as fleet: …`.

    Args:
        commands: what runs one; its name is added. Of several, each worker that starts takes the next.
        started: what it logs once it is up.
    """

    def __init__(
        self, folder: Path, commands: Sequence[list[str]], *, workers: int, lease: float, started: str
    ) -> None:
        self._folder = folder
        self._commands = commands
        self._started = started
        self._slots = workers
        self._lease = lease
        self._count = 0
        self.members: list[Member] = []
        self.exits: list[Exit] = []
        self.deaths: list[Event] = []
        """Workers that died of a pill."""

    def start(self, slot: int) -> Member:
        """Start one more worker."""
        self._count += 1
        name = f"w{slot}-{self._count}"
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*self._commands[self._count % len(self._commands)], "--name", name],
                cwd=ROOT,
                env={**os.environ, FOLDER: str(self._folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        member = Member(name, slot, process, log, time.time())
        self.members.append(member)
        return member

    def struck_by(self, pick: int) -> Member | None:
        """The one that a number chooses among those that nothing has been done to; None where it would be the last.

        Somebody has to be there to take over, or what is measured is how fast a worker starts.
        """
        ready = self.ready()
        return ready[pick % len(ready)] if len(ready) > 1 else None

    def ready(self) -> list[Member]:
        """Those that run, and that nothing has been done to."""
        return [member for member in self.members if member.idle]

    def kill(self, member: Member) -> None:
        """SIGKILL."""
        member.killed = True
        member.process.kill()

    def stop(self, member: Member) -> None:
        """SIGSTOP."""
        member.stopped = True
        member.process.send_signal(signal.SIGSTOP)

    def go_on(self, member: Member) -> None:
        """SIGCONT."""
        member.process.send_signal(signal.SIGCONT)
        member.stopped = False

    def ask(self, member: Member) -> None:
        """SIGTERM."""
        member.asked = time.time()
        member.process.terminate()

    async def __aenter__(self) -> Self:
        for slot in range(self._slots):
            self.start(slot)
        self._tending = asyncio.create_task(self._tend())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._tending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._tending
        for member in list(self.members):
            if member.process.poll() is None:
                member.process.send_signal(signal.SIGCONT)
                if not member.up:  # it cannot hear of it yet
                    self.kill(member)
                elif member.asked is None:
                    self.ask(member)
        end = time.monotonic() + 40
        while self.members and time.monotonic() < end:
            self._bury()
            await asyncio.sleep(_LOOK)
        for member in self.members:
            member.process.kill()
        for member in self.members:
            member.process.wait()
        self._bury()

    async def _tend(self) -> None:
        while True:
            for member in self.members:
                member.up = member.up or self._started in member.log.read_text("utf-8", "replace")
            for slot in self._bury():
                self.start(slot)
            await asyncio.sleep(_LOOK)

    def _bury(self) -> list[int]:
        """Note who has ended; answers their slots."""
        gone = [member for member in self.members if member.process.poll() is not None]
        for member in gone:
            self.members.remove(member)
            code = member.process.returncode
            ended = time.time()
            self.exits.append(
                Exit(
                    member.name,
                    member.pid,
                    code,
                    member.asked or member.begun,
                    ended,
                    asked=member.asked is not None,
                    killed=member.killed,
                    up=member.up,
                )
            )
            if code == _POISONED and not member.killed:
                self.deaths.append(Event(Fault.POISON, ended, ended, frozenset({member.pid})))
        return [member.slot for member in gone]

    def refused(self) -> int:
        """How many late outcomes the workers say were refused."""
        return sum(log.read_text("utf-8", "replace").count(_REFUSED) for log in self._folder.glob("w*.log"))

    def lapses(self, faults: list[Event]) -> list[Event]:
        """Leases that ran out though no fault had them run out."""
        pids = {ended.name: ended.pid for ended in self.exits}
        pids |= {member.name: member.pid for member in self.members}
        logs = [log.read_text("utf-8", "replace") for log in self._folder.glob("w*.log")]
        return lapses([(pids[name], at) for log in logs for name, at in taken_back(log)], faults, self._lease)
