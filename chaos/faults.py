"""The faults: a function each, which does it, waits for as long as it lasts, and says what was done to whom."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import hiredis
from tests.support.proxy import Proxy, command

from chaos.cluster import Cluster
from chaos.evidence import Event
from chaos.fleet import Fleet, Member
from chaos.ground import Ground
from chaos.plan import Fault, Strike
from chaos.sentinels import Guarded

PATIENCE = 5.0
"""Seconds to wait for a worker that can be struck."""
LATENCY = 0.05
"""Seconds by which each delivery is late."""
_ALL = 3
"""Of so many rounds of SIGTERM one is for all workers at once."""


@dataclass(slots=True)
class Scene:
    """What faults can reach. Server faults exclude each other, and so do those of the proxy."""

    ground: Ground | Cluster | Guarded
    fleet: Fleet
    proxy: Proxy | None
    kill_producer: Callable[[], bool]
    idle: float = 20.0
    """Seconds after which an idle connection is cut."""
    server_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    proxy_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def wire(self) -> Proxy:
        """The proxy."""
        if self.proxy is None:
            raise RuntimeError("this fault needs the proxy")
        return self.proxy

    @property
    def single(self) -> Ground:
        """The one server."""
        if not isinstance(self.ground, Ground):
            raise TypeError("this fault needs a single server")
        return self.ground

    @property
    def cluster(self) -> Cluster:
        """The cluster."""
        if not isinstance(self.ground, Cluster):
            raise TypeError("this fault needs a cluster")
        return self.ground

    @property
    def replicated(self) -> Cluster | Guarded:
        """The servers of which one has a replica."""
        if isinstance(self.ground, Ground):
            raise TypeError("this fault needs a replica")
        return self.ground


async def strike(scene: Scene, planned: Strike) -> list[Event]:
    """Do it; answers what happened (nothing, where there was nobody to do it to)."""
    return await _DEEDS[planned.fault](scene, planned)


async def _kill9(scene: Scene, planned: Strike) -> list[Event]:
    if (victim := await _victim(scene, planned)) is None:
        return []
    scene.fleet.kill(victim)
    now = time.time()
    return [Event(planned.fault, now, now, frozenset({victim.pid}))]


async def _sigstop(scene: Scene, planned: Strike) -> list[Event]:
    if (victim := await _victim(scene, planned)) is None:
        return []
    scene.fleet.stop(victim)
    begin = time.time()
    try:
        await asyncio.sleep(planned.seconds)
    finally:
        scene.fleet.go_on(victim)
    return [Event(planned.fault, begin, time.time(), frozenset({victim.pid}))]


async def _sigterm(scene: Scene, planned: Strike) -> list[Event]:
    if (victim := await _victim(scene, planned)) is None:
        return []
    victims = [victim] if planned.pick % _ALL else scene.fleet.ready()
    begin = time.time()
    for victim in victims:
        scene.fleet.ask(victim)
    return [Event(planned.fault, begin, begin, frozenset(victim.pid for victim in victims))]


async def _victim(scene: Scene, planned: Strike) -> Member | None:
    end = time.monotonic() + PATIENCE
    while (victim := scene.fleet.struck_by(planned.pick)) is None and time.monotonic() < end:
        await asyncio.sleep(0.05)
    return victim


async def _producer_kill9(scene: Scene, planned: Strike) -> list[Event]:
    now = time.time()
    return [Event(planned.fault, now, now, frozenset())] if scene.kill_producer() else []


async def _redis_kill9(scene: Scene, planned: Strike) -> list[Event]:
    async with scene.server_lock:
        begin = await asyncio.to_thread(scene.single.kill)
        await asyncio.sleep(planned.seconds)
        end = await asyncio.to_thread(scene.single.start)
    return [Event(planned.fault, begin, end)]


async def _cut(scene: Scene, planned: Strike) -> list[Event]:
    now = time.time()
    scene.wire.cut_all()
    return [Event(planned.fault, now, now)]


async def _cut_before(scene: Scene, planned: Strike) -> list[Event]:
    return await _met(planned, scene.wire.cut_before_next_request(command("EVALSHA", "XREADGROUP")))


async def _drop_reply(scene: Scene, planned: Strike) -> list[Event]:
    return await _met(planned, scene.wire.drop_next_reply(command("EVALSHA", "XREADGROUP")))


async def _met(planned: Strike, struck: asyncio.Event) -> list[Event]:
    begin = time.time()
    await struck.wait()
    return [Event(planned.fault, begin, time.time())]


async def _hang_reply(scene: Scene, planned: Strike) -> list[Event]:
    async with scene.proxy_lock:
        begin = time.time()
        scene.wire.hang_replies()
        try:
            await asyncio.sleep(planned.seconds)
        finally:
            scene.wire.resume()
        return [Event(planned.fault, begin, time.time())]


async def _bytes(scene: Scene, planned: Strike) -> list[Event]:
    async with scene.proxy_lock:
        begin = time.time()
        scene.wire.byte_by_byte = True
        try:
            await asyncio.sleep(planned.seconds)
        finally:
            scene.wire.byte_by_byte = False
        return [Event(planned.fault, begin, time.time())]


async def _latency(scene: Scene, planned: Strike) -> list[Event]:
    async with scene.proxy_lock:
        begin = time.time()
        scene.wire.latency = LATENCY
        try:
            await asyncio.sleep(planned.seconds)
        finally:
            scene.wire.latency = 0.0
        return [Event(planned.fault, begin, time.time())]


async def _idle_reset(scene: Scene, planned: Strike) -> list[Event]:
    resets: list[Event] = []
    end = time.monotonic() + planned.seconds
    while time.monotonic() < end:
        now = time.time()
        resets += [Event(planned.fault, now, now)] * scene.wire.cut_idle(scene.idle)
        await asyncio.sleep(min(0.1, scene.idle / 2))
    return resets


async def _failover(scene: Scene, planned: Strike) -> list[Event]:
    async with scene.server_lock:
        begin = time.time()
        await asyncio.to_thread(scene.cluster.fail_over)
        return [Event(planned.fault, begin, time.time())]


async def _migrate(scene: Scene, planned: Strike) -> list[Event]:
    async with scene.server_lock:
        begin = time.time()
        await asyncio.to_thread(scene.cluster.move_away_and_back, planned.pick)
        return [Event(planned.fault, begin, time.time())]


async def _primary_kill9(scene: Scene, planned: Strike) -> list[Event]:
    async with scene.server_lock:
        fall = await asyncio.to_thread(scene.replicated.kill_primary, planned.seconds)
        return [Event(planned.fault, fall.killed, fall.promoted, lag=fall.killed - fall.cut)]


async def _flushall(scene: Scene, planned: Strike) -> list[Event]:
    async with scene.server_lock:
        begin = time.time()
        scene.single.server.call("FLUSHALL")
        return [Event(planned.fault, begin, time.time())]


async def _script_flush(scene: Scene, planned: Strike) -> list[Event]:
    async with scene.server_lock:
        begin = time.time()
        scene.single.server.call("SCRIPT", "FLUSH")
        return [Event(planned.fault, begin, time.time())]


async def _oom(scene: Scene, planned: Strike) -> list[Event]:
    async with scene.server_lock:
        server = scene.single.server
        begin = time.time()
        server.call("CONFIG", "SET", "maxmemory", "1mb")
        try:
            await asyncio.sleep(planned.seconds)
        finally:
            with suppress(OSError, hiredis.ReplyError):
                server.call("CONFIG", "SET", "maxmemory", "0")
        return [Event(planned.fault, begin, time.time())]


_DEEDS: dict[Fault, Callable[[Scene, Strike], Awaitable[list[Event]]]] = {
    Fault.KILL9: _kill9,
    Fault.SIGSTOP: _sigstop,
    Fault.SIGTERM: _sigterm,
    Fault.PRODUCER_KILL9: _producer_kill9,
    Fault.REDIS_KILL9: _redis_kill9,
    Fault.CUT: _cut,
    Fault.CUT_BEFORE: _cut_before,
    Fault.DROP_REPLY: _drop_reply,
    Fault.HANG_REPLY: _hang_reply,
    Fault.PARTITION: _hang_reply,
    Fault.BYTES: _bytes,
    Fault.LATENCY: _latency,
    Fault.IDLE_RESET: _idle_reset,
    Fault.FAILOVER: _failover,
    Fault.MIGRATE: _migrate,
    Fault.PRIMARY_KILL9: _primary_kill9,
    Fault.FLUSHALL: _flushall,
    Fault.SCRIPT_FLUSH: _script_flush,
    Fault.OOM: _oom,
}
