"""`shadows doctor`: whether a server can be relied on, and what to mend where it cannot."""

import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import typer

from .options import AsJson, Name, Url, UrlFile, server_url

if TYPE_CHECKING:
    from shadows.protocol.connection import Address, Link

SLOW_MS = 20.0
APART_S = 1.0
FULL = 0.9


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: its status is ok, warn or fail."""

    check: str
    status: str
    detail: str


def doctor(
    shadows: Name = "shadows", url: Url = None, url_file: UrlFile = None, as_json: AsJson = False
) -> None:
    """Check the server: connection, version, mode, eviction, memory, persistence, role, clock, scripts, and the shadow itself.

    Ends with 1 where a check fails; warnings end with 0.
    """
    import asyncio

    from .output import console, plain, write_json

    found = asyncio.run(_examine(shadows, server_url(url, url_file)))
    if as_json:
        write_json([asdict(finding) for finding in found])
    else:
        colours = {"ok": "green", "warn": "yellow", "fail": "red"}
        out = console()
        for finding in found:
            from rich.text import Text

            line = Text.assemble(
                (f"{finding.status:<5}", colours[finding.status]),
                f"{finding.check:<12} ",
                plain(finding.detail),
            )
            out.print(line, soft_wrap=True)
    raise typer.Exit(int(any(finding.status == "fail" for finding in found)))


async def _examine(name: str, url: str | None) -> list[Finding]:
    from shadows.protocol.connection import Address, Link, url_or_default
    from shadows.protocol.keys import Keys

    keys = Keys(name)
    address = Address(url_or_default(url), name=keys.name)
    link = Link(address)
    try:
        return [finding async for finding in _checks(address, link, keys.name)]
    finally:
        await link.close()


async def _checks(address: "Address", link: "Link", name: str) -> AsyncIterator[Finding]:
    from redis.exceptions import RedisError

    try:
        facts = await _facts(link)
        yield await _connection(link)
    except RedisError as error:
        yield Finding("connection", "fail", str(error))
        return
    yield _version(facts)
    yield _mode(facts, address.mode, name)
    yield _eviction(facts)
    yield _memory(facts)
    yield _persistence(facts)
    yield _role(facts)
    yield await _clock(link)
    yield await _scripts(link, name)
    yield await _shadow(link, name)


async def _facts(link: "Link") -> dict[str, str]:
    facts: dict[str, str] = {}
    for section in ("server", "memory", "persistence", "replication"):
        said: bytes = await link.request("INFO", section)
        facts |= {
            name: value for name, _, value in (line.partition(":") for line in said.decode().splitlines())
        }
    return facts


async def _connection(link: "Link") -> Finding:
    times: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        await link.request("PING")
        times.append((time.perf_counter() - began) * 1000)
    typical = sorted(times)[2]
    detail = f"answers in {typical:.1f} ms"
    if typical > SLOW_MS:
        return Finding("connection", "warn", f"{detail}: run workers nearer to the server")
    return Finding("connection", "ok", detail)


def _version(facts: dict[str, str]) -> Finding:
    redis = facts.get("redis_version", "0")
    valkey = facts.get("valkey_version")
    shown = f"Valkey {valkey}" if valkey else f"Redis {redis}"
    if tuple(int(part) for part in redis.split(".")[:2]) < (6, 0):
        return Finding("version", "fail", f"{shown}: shadows needs Redis 6.0 or newer, or any Valkey")
    return Finding("version", "ok", shown)


def _mode(facts: dict[str, str], named: str, name: str) -> Finding:
    from redis.crc import key_slot

    if "cluster" in (facts.get("redis_mode"), facts.get("server_mode")):  # as Redis and as Valkey say it
        detail = f"cluster: the shadow's slot is {key_slot(f'{{{name}}}'.encode())}"
        if named != "cluster":
            return Finding(
                "mode",
                "warn",
                f"{detail}, but the URL names one node: write redis+cluster://, which finds the slot wherever it moves",
            )
        return Finding("mode", "ok", detail)
    return Finding(
        "mode", "ok", "the primary that the sentinels name" if named == "sentinel" else "one server"
    )


def _eviction(facts: dict[str, str]) -> Finding:
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys"):
        return Finding(
            "eviction",
            "fail",
            f"{policy}: tasks would be lost when the memory is full; set maxmemory-policy noeviction",
        )
    return Finding("eviction", "ok", policy)


def _memory(facts: dict[str, str]) -> Finding:
    used, most = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
    shown = f"{used / 1024**2:,.0f} MiB used"
    if not most:
        return Finding("memory", "ok", f"{shown}, no limit")
    detail = f"{shown} of {most / 1024**2:,.0f} MiB"
    if used > most * FULL:
        return Finding("memory", "warn", f"{detail}: adds will soon be refused (Overloaded)")
    return Finding("memory", "ok", detail)


def _persistence(facts: dict[str, str]) -> Finding:
    if facts.get("loading") == "1":
        return Finding("persistence", "fail", "the server is still loading its data")
    if facts.get("rdb_last_bgsave_status") == "err" or facts.get("aof_last_write_status") == "err":
        return Finding(
            "persistence",
            "fail",
            "the server cannot write its data to disk, and may refuse writes: see its log",
        )
    if facts.get("aof_enabled") == "1":
        return Finding("persistence", "ok", "append-only file")
    return Finding(
        "persistence",
        "warn",
        "no append-only file: what came after the last dump is lost when the server stops",
    )


def _role(facts: dict[str, str]) -> Finding:
    if facts.get("role") == "slave":
        return Finding("role", "fail", "a replica, which takes no writes: connect to its primary")
    return Finding("role", "ok", f"primary with {facts.get('connected_slaves', '0')} replicas")


async def _clock(link: "Link") -> Finding:
    before = time.time()
    seconds, microseconds = await link.request("TIME")
    here = (before + time.time()) / 2
    apart = int(seconds) + int(microseconds) / 1_000_000 - here
    if abs(apart) > APART_S:
        return Finding(
            "clock", "warn", f"the server's is {apart:+.1f} s off this machine's: synchronise both (NTP)"
        )
    return Finding("clock", "ok", f"{apart * 1000:+.0f} ms from this machine's")


async def _scripts(link: "Link", name: str) -> Finding:
    from redis.exceptions import ResponseError

    try:
        await link.request("EVAL", "return redis.call('EXISTS', KEYS[1])", 1, f"{{{name}}}:meta")
    except ResponseError as error:
        return Finding(
            "scripts",
            "fail",
            f"refused ({error}): allow EVAL, EVALSHA and SCRIPT LOAD on the keys {{{name}}}:*",
        )
    return Finding("scripts", "ok", "allowed")


async def _shadow(link: "Link", name: str) -> Finding:
    key = f"{{{name}}}:"
    if not await link.request("EXISTS", f"{key}meta"):
        return Finding("shadow", "ok", f"{name!r} holds nothing yet")
    dead = int(await link.request("ZCARD", f"{key}dead:at"))
    unfinished = int(await link.request("HLEN", f"{key}live"))
    seconds, _ = await link.request("TIME")
    alive = int(await link.request("ZCOUNT", f"{key}leases", int(seconds) * 1000, "+inf"))
    detail = f"{name!r} has {alive} workers, {unfinished:,} unfinished tasks, {dead:,} dead letters"
    if unfinished and not alive:
        return Finding("shadow", "warn", f"{detail}: nobody runs them; start a worker")
    if dead:
        return Finding("shadow", "warn", f"{detail}: see `shadows dead ls`")
    return Finding("shadow", "ok", detail)
