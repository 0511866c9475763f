"""`doctor`: each check on a server that passes it, and on what a server says that does not."""

import asyncio
import json
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from shadows.cli.app import run
from shadows.protocol.connection import Link
from tests.cli.conftest import Commands
from tests.cli.test_looking import fill
from tests.support.cluster import running_cluster, slot_of
from tests.support.sentinel import watched

CHECKS = [
    "connection",
    "version",
    "mode",
    "eviction",
    "memory",
    "persistence",
    "role",
    "clock",
    "scripts",
    "shadow",
]


def statuses(found: list[dict[str, str]]) -> dict[str, str]:
    return {finding["check"]: finding["status"] for finding in found}


def test_a_sound_server_passes_every_check(commands: Commands) -> None:
    found = commands.json("doctor")
    assert [finding["check"] for finding in found] == CHECKS
    passed = statuses(found)
    assert passed.pop("persistence") == "warn"
    assert set(passed.values()) == {"ok"}
    shown = commands("doctor")
    assert "ok   scripts      allowed" in shown
    assert "warn persistence  no append-only file" in shown


def test_a_server_that_does_not_answer_fails_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "--json", "--url", f"unix://{tmp_path}/nobody.sock"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["check"], found["status"]) == ("connection", "fail")
    assert "no Redis or Valkey answers" in found["detail"]


def test_it_says_whether_there_are_several_servers(capsys: pytest.CaptureFixture[str]) -> None:
    def mode(url: str) -> dict[str, str]:
        assert run(["doctor", "--json", "--shadows", "tasks", "--url", url]) == 0
        found: list[dict[str, str]] = json.loads(capsys.readouterr().out)
        return next(one for one in found if one["check"] == "mode")

    with running_cluster(1) as nodes:
        found = mode(nodes.url)
        assert (found["status"], found["detail"]) == (
            "ok",
            f"cluster: the shadow's slot is {slot_of('tasks')}",
        )
        found = mode(nodes.servers[0].tcp_url)
        assert found["status"] == "warn"
        assert "write redis+cluster://" in found["detail"]
    with watched() as servers:
        assert mode(servers.url)["detail"] == "the primary that the sentinels name"
        assert mode(servers.primary.tcp_url)["detail"] == "one server"


def test_it_writes_nothing_into_the_server(commands: Commands) -> None:
    assert "holds nothing yet" in commands("doctor")
    assert "holds nothing yet" in commands("doctor")


def test_tasks_without_a_worker_are_a_warning(commands: Commands) -> None:
    commands.shadow(fill)
    assert "0 workers, 3 unfinished tasks, 0 dead letters: nobody runs them" in commands("doctor")
    commands("pause")
    with commands.worker():
        assert statuses(commands.json("doctor"))["shadow"] == "ok"


@pytest.mark.parametrize(
    ("said", "check", "status", "words"),
    [
        (
            {"redis_version": "5.0.14", "valkey_version": None},
            "version",
            "fail",
            "Redis 5.0.14: shadows needs",
        ),
        ({"redis_version": "7.2.4", "valkey_version": None}, "version", "ok", "Redis 7.2.4"),
        ({"maxmemory_policy": "allkeys-lru"}, "eviction", "fail", "set maxmemory-policy noeviction"),
        ({"maxmemory": "1000", "used_memory": "950"}, "memory", "warn", "refused"),
        ({"maxmemory": "1000000000"}, "memory", "ok", "of 954 MiB"),
        ({"loading": "1"}, "persistence", "fail", "loading"),
        ({"rdb_last_bgsave_status": "err"}, "persistence", "fail", "to disk"),
        ({"aof_last_write_status": "err"}, "persistence", "fail", "to disk"),
        ({"aof_enabled": "1"}, "persistence", "ok", "append-only file"),
        ({"role": "slave"}, "role", "fail", "a replica"),
    ],
)
def test_what_a_server_says_of_itself_is_judged(
    said: dict[str, str | None],
    check: str,
    status: str,
    words: str,
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = Link.request

    async def answer(self: Link, *command: str, timeout: float | None = None) -> object:
        answered = await request(self, *command, timeout=timeout)
        if command[0] != "INFO":
            return answered
        lines = [line for line in answered.decode().splitlines() if line.partition(":")[0] not in said]
        lines += [f"{name}:{value}" for name, value in said.items() if value is not None]
        return "\r\n".join(lines).encode()

    monkeypatch.setattr(Link, "request", answer)
    (found,) = [one for one in commands.json("doctor", code=int(status == "fail")) if one["check"] == check]
    assert found["status"] == status
    assert words in found["detail"]


def test_a_slow_server_a_wrong_clock_and_forbidden_scripts_are_told(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Link.request

    async def answer(self: Link, *command: str, timeout: float | None = None) -> object:
        if command[0] == "EVAL":
            raise ResponseError("NOPERM this user has no permissions to run the 'eval' command")
        if command[0] == "TIME":
            return [b"1000000000", b"0"]
        if command[0] == "PING":
            await asyncio.sleep(0.03)  # what is tested is how slowness is told
        return await request(self, *command, timeout=timeout)

    monkeypatch.setattr(Link, "request", answer)
    found = {one["check"]: one for one in commands.json("doctor", code=1)}
    assert found["connection"]["status"] == "warn"
    assert found["clock"]["status"] == "warn"
    assert "s off this machine's" in found["clock"]["detail"]
    assert found["scripts"]["status"] == "fail"
    assert "allow EVAL" in found["scripts"]["detail"]
