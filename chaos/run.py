"""One run: the server, the workers, the producer and the faults together, and what they leave behind."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from redis.exceptions import RedisError
from tests.support.proxy import LOOPBACK, Proxy

from chaos import effects, plan
from chaos.cluster import Cluster
from chaos.evidence import Event, Evidence, Record
from chaos.faults import Scene, strike
from chaos.fleet import Fleet
from chaos.ground import Ground
from chaos.plan import CLUSTERED, PROXIED, Fault, Job, Strike, read_log, read_refusals, write_plan
from chaos.sentinels import Guarded
from chaos.stack import ROOT, SHADOWS, Stack, ask
from chaos.versions import BREAKING, built
from shadows import Execution, Shadow, ShadowError

CLUSTER, SENTINEL = "cluster", "sentinel"
START = 60.0
"""Seconds that the first workers get to be up."""
_LOOKS = 40
"""How many records are looked at a tick, while the run goes on."""
_TICK = 0.25


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is made of."""

    seed: int = 1
    faults: tuple[Fault, ...] = ()
    tasks: int = 1000
    workers: int = 3
    concurrency: int = 10
    lease: float = 2.0
    seconds: float = 20.0
    patience: float = 90.0
    engine: str = "valkey"
    pace: float = 1.0
    stack: Stack = SHADOWS
    idle: float = 20.0
    beside: str | None = None
    """The other version that every second worker runs: a commit, or `next`; of `breaking` it is a second producer."""
    behind: str = CLUSTER
    """Who promotes a replica where a primary is killed: a `cluster`, or `sentinel`s."""

    @property
    def peer(self) -> str | None:
        """Whom it is done to, if not to shadows."""
        return None if self.stack is SHADOWS else "pydocket"

    @property
    def durable(self) -> int:
        """How many replicas have to have a call for it to count as accepted: one, where a primary dies for good."""
        return int(Fault.PRIMARY_KILL9 in self.faults)

    @property
    def command(self) -> str:
        """What repeats the run."""
        words = ["uv run python -m chaos", f"--seed {self.seed}", f"--tasks {self.tasks}"]
        if self.faults:
            words.append(f"--faults {','.join(self.faults)}")
        words += [f"--workers {self.workers}", f"--concurrency {self.concurrency}", f"--lease {self.lease:g}"]
        words += [f"--seconds {self.seconds:g}", f"--pace {self.pace:g}", f"--engine {self.engine}"]
        if self.peer:
            words.append(f"--peer {self.peer}")
        if Fault.IDLE_RESET in self.faults:
            words.append(f"--idle {self.idle:g}")
        if self.beside:
            words.append(f"--beside {self.beside}")
        if self.behind != CLUSTER:
            words.append(f"--behind {self.behind}")
        return " ".join(words)


@dataclass(slots=True)
class _Producing:
    """The producer's process, which may be killed and begins again."""

    command: list[str]
    process: asyncio.subprocess.Process | None = None
    killed: bool = False

    def kill(self) -> bool:
        """SIGKILL; false where it runs no more."""
        if self.process is None or self.process.returncode is not None:
            return False
        self.killed = True
        self.process.kill()
        return True

    async def run(self) -> None:
        """Until everything is accepted.

        Raises:
            RuntimeError: it ended by itself, with an error.
        """
        while True:
            self.killed = False
            self.process = await asyncio.create_subprocess_exec(*self.command, cwd=ROOT, process_group=0)
            try:
                code = await self.process.wait()
            finally:
                if self.process.returncode is None:
                    self.process.kill()
            if code == 0:
                return
            if not self.killed:
                raise RuntimeError(f"the producer ended with {code}: its error stands above")


@dataclass(slots=True)
class _Watching:
    """Looks at records while the run goes on: what has ended must not end otherwise later."""

    shadow: Shadow
    left: deque[str]
    seen: dict[str, tuple[float, Record]] = field(default_factory=dict[str, tuple[float, Record]])

    async def run(self) -> None:
        """Without end."""
        while True:
            await asyncio.sleep(_TICK)
            with contextlib.suppress(RedisError, OSError, ShadowError):
                for _ in range(min(_LOOKS, len(self.left))):
                    key = self.left.popleft()
                    record = await look(self.shadow, key)
                    if record.state in ("completed", "failed", "cancelled", "expired"):
                        self.seen[key] = (time.time(), record)
                    else:
                        self.left.append(key)


async def look(shadow: Shadow, key: str) -> Record:
    """What the shadow says of a key."""
    found: Execution[object] | None = await shadow.get_execution(key)
    if found is None:
        return Record("unknown")
    ended = found.completed_at
    return Record(
        found.state.value, found.worker, found.attempt, None if ended is None else ended.timestamp()
    )


async def run(settings: Settings, folder: Path) -> Evidence:
    """Do it all; logs and effects are left in the folder.

    Raises:
        RuntimeError: it could not be done: no worker came up, or the producer failed.
    """
    jobs = plan.jobs(settings.seed, settings.tasks, settings.seconds, settings.lease, settings.faults)
    strikes = plan.strikes(settings.seed, settings.seconds, settings.lease, settings.faults, settings.pace)
    write_plan(folder / "plan.json", jobs)
    stacks = [settings.stack]
    stranger = ""
    if settings.beside:
        python = await asyncio.to_thread(built, settings.beside, folder)
        if settings.beside == BREAKING:
            stranger = python
        else:
            stacks.append(SHADOWS.by(python))
    with _ground(settings, folder) as ground:
        name = ground.named(f"chaos-{settings.seed}")
        async with contextlib.AsyncExitStack() as opened:
            proxy: Proxy | None = None
            if isinstance(ground, Ground) and PROXIED.intersection(settings.faults):
                proxy = await opened.enter_async_context(Proxy((LOOPBACK, ground.port)))
            fleet = Fleet(
                folder,
                [
                    stack.command(
                        name, proxy.url if proxy else ground.url, settings.concurrency, settings.lease
                    )
                    for stack in stacks
                ],
                workers=settings.workers,
                lease=settings.lease,
                started=settings.stack.started,
            )
            return await _run(settings, folder, jobs, strikes, name, ground, proxy, fleet, stranger)


def _ground(settings: Settings, folder: Path) -> Ground | Cluster | Guarded:
    if settings.behind == SENTINEL:
        return Guarded(settings.engine, folder)
    if CLUSTERED.intersection(settings.faults):
        return Cluster(settings.engine, folder)
    return Ground(settings.engine, folder, durable=Fault.REDIS_KILL9 in settings.faults)


async def _run(
    settings: Settings,
    folder: Path,
    jobs: list[Job],
    strikes: list[Strike],
    name: str,
    ground: Ground | Cluster | Guarded,
    proxy: Proxy | None,
    fleet: Fleet,
    stranger: str,
) -> Evidence:
    strange = plan.foreign(max(1, settings.tasks // 10), settings.seconds) if stranger else []
    newcomer: tuple[int, str] | None = None
    log = folder / "producer.log"
    events: list[Event] = []
    async with fleet, Shadow(name, ground.url) as shadow:
        await _all_up(fleet, settings.workers)
        begin = time.time()
        producing = _Producing(
            [
                *(*settings.stack.producer, str(folder / "plan.json"), name),
                *(proxy.url if proxy else ground.url, str(log), str(begin)),
                *([str(settings.durable)] if settings.durable else []),
            ]
        )
        watching = _Watching(shadow, deque(job.key for job in jobs))
        scene = Scene(ground, fleet, proxy, producing.kill, settings.idle)
        async with _beside(watching), asyncio.TaskGroup() as going:
            adding = going.create_task(producing.run())
            striking = [going.create_task(_strike(scene, planned, begin, events)) for planned in strikes]
            going.create_task(
                _end_of_faults(striking, begin + settings.seconds + _called_off(settings), proxy)
            )
            if strange:
                going.create_task(_produce_strange(stranger, strange, folder, name, ground.url, log, begin))
            del adding
        letters: dict[str, str] = {}
        if settings.stack.asking is None:
            await _quiet(shadow, settings.patience)
            records, letters = await _records(shadow, jobs)
        else:
            records = await ask(settings.stack, folder / "plan.json", name, ground.url, settings.patience)
        if strange:
            newcomer = await _newcomer(
                settings.stack.command(name, ground.url, settings.concurrency, settings.lease)
            )
    events += fleet.deaths
    accepted, _ = read_log(log)
    return Evidence(
        jobs={job.key: job for job in jobs},
        accepted=accepted,
        effects=effects.read(folder),
        events=sorted([*events, *fleet.lapses(events)], key=lambda event: event.begin),
        records=records,
        early=watching.seen,
        exits=fleet.exits,
        refused=fleet.refused(),
        lease=settings.lease,
        refusals=read_refusals(log),
        foreign={job.key: letters.get(job.key) for job in strange},
        newcomer=newcomer,
    )


async def _all_up(fleet: Fleet, workers: int) -> None:
    end = time.monotonic() + START
    while len(fleet.ready()) < workers:
        if time.monotonic() > end:
            raise RuntimeError(f"only {len(fleet.ready())} of {workers} workers are up after {START:g} s")
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def _beside(watching: _Watching) -> AsyncGenerator[None]:
    task = asyncio.create_task(watching.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _strike(scene: Scene, planned: Strike, begin: float, events: list[Event]) -> None:
    await asyncio.sleep(max(0.0, begin + planned.at - time.time()))
    events += await strike(scene, planned)


def _called_off(settings: Settings) -> float:
    """Seconds after which faults that have not come to their end do not go on: failovers take their time."""
    return 60 if CLUSTERED.intersection(settings.faults) else 15


async def _end_of_faults(striking: list[asyncio.Task[None]], end: float, proxy: Proxy | None) -> None:
    """Faults that wait for a request which does not come are called off; the proxy's log is not let grow."""
    while any(not task.done() for task in striking) and time.time() < end:
        if proxy is not None:
            proxy.forget()
        await asyncio.sleep(0.2)
    for task in striking:
        task.cancel()


async def _quiet(shadow: Shadow, patience: float) -> None:
    """Until nothing is left to do, or patience ends: what is left then counts as lost."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with contextlib.suppress(RedisError, OSError):
            if (await shadow.snapshot(limit=0)).total_tasks == 0:
                return
        await asyncio.sleep(_TICK)


async def _records(shadow: Shadow, jobs: list[Job]) -> tuple[dict[str, Record], dict[str, str]]:
    """What the shadow says of each key; and of its dead letters, also of keys that are none of ours, the reasons."""
    records = {key: await look(shadow, key) for job in jobs for key in job.keys}
    letters = {letter.key: letter.reason for letter in await shadow.dead_letters(limit=10_000)}
    for key in records.keys() & letters:
        records[key] = replace(records[key], reason=letters[key])
    return records, letters


async def _produce_strange(
    python: str, jobs: list[Job], folder: Path, name: str, url: str, log: Path, begin: float
) -> None:
    """Have another version add calls, once ours are being added: afterwards the shadow is closed to who comes."""
    while not read_log(log)[0]:
        await asyncio.sleep(_TICK)
    write_plan(folder / "strange.json", jobs)
    command = [python, *SHADOWS.producer[1:], str(folder / "strange.json"), name, url]
    await _Producing([*command, str(folder / "strange.log"), str(begin)]).run()


async def _newcomer(command: list[str]) -> tuple[int, str]:
    """Start one more worker; answers what it ends with (0: it does not), and what it says."""
    process = await asyncio.create_subprocess_exec(
        *(*command, "--name", "newcomer"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(START):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return 0, ""
    return process.returncode or 0, said.decode(errors="replace")


def stamp() -> str:
    """The present, for a report."""
    return datetime.now(UTC).isoformat(timespec="seconds")
