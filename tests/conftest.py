"""Which servers the tests run on, and what each test must leave behind: nothing.

`--engine` chooses the engines, may be repeated, and `all` means every one; every test that uses `server` runs once
on each, and so does every test that takes an `engine` to start servers of its own. Each xdist worker has a server of its own for each engine, and runs its tests one after the other, so a test
has the whole server to itself. A test that stops, configures or overloads a server starts its own: `running`.
"""

import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.support.canary import CANARY
from tests.support.fleet import Fleet
from tests.support.leaks import leaks, leftovers, remove
from tests.support.proxy import Authority, Proxy
from tests.support.servers import ENGINES, VALKEY, EngineMissing, Server, find, running, version_of


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        action="append",
        choices=[*ENGINES, "all"],
        help=f"a server to test on ({VALKEY.name} unless told); may be repeated; `all`: every one",
    )


def pytest_configure(config: pytest.Config) -> None:
    for name in _engines(config):
        try:
            find(name)
        except EngineMissing as missing:
            raise pytest.UsageError(str(missing)) from None


def pytest_report_header(config: pytest.Config) -> str:
    return "engines: " + ", ".join(f"{name} ({version_of(find(name))})" for name in _engines(config))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        metafunc.parametrize("server", _engines(metafunc.config), indirect=True)
    elif "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", _engines(metafunc.config))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail every test of whose output the canary is a part: no password may be written anywhere."""
    report = yield
    if any(CANARY in text for _, text in report.sections):
        report.outcome = "failed"
        report.longrepr = f"the password {CANARY!r} was written to the output or the logs"
    return report


def _engines(config: pytest.Config) -> list[str]:
    chosen: list[str] = config.getoption("--engine") or [VALKEY.name]
    return [name for name in ENGINES if name in chosen or "all" in chosen]


class Pool:
    """The servers of one xdist worker, each started at its first use; one that died is started anew."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[str, Server] = {}

    def __getitem__(self, name: str) -> Server:
        server = self._running.get(name)
        if server is None or server.process.poll() is not None:
            server = self._running[name] = self._stack.enter_context(running(name))
        return server


@pytest.fixture(scope="session")
def servers() -> Iterator[Pool]:
    """Every engine by its name; what most tests need is `server`."""
    with ExitStack() as stack:
        yield Pool(stack)


@pytest.fixture
def server(request: pytest.FixtureRequest, servers: Pool) -> Iterator[Server]:
    """A server of each chosen engine, empty; the test fails if it leaves anything there."""
    server = servers[request.param]
    yield server
    if left := leftovers(server):
        server.call("FLUSHALL")
        pytest.fail("left behind in the server: " + "; ".join(left), pytrace=False)


@pytest.fixture
def url(server: Server) -> str:
    """The server's URL, through its Unix socket."""
    return server.url


_numbers = itertools.count(1)


@pytest.fixture
def fresh_name(request: pytest.FixtureRequest, server: Server) -> Iterator[Callable[[], str]]:
    """Gives a shadow's name at each call, for tests of several shadows; each is checked as `name` is."""
    stem = hashlib.blake2s(request.node.nodeid.encode(), digest_size=3).hexdigest()
    names: list[str] = []

    def fresh() -> str:
        names.append(f"t{stem}-{next(_numbers)}x")
        return names[-1]

    yield fresh
    found = [leak for name in names for leak in leaks(server, name)]
    for name in names:
        remove(server, name)
    if found:
        pytest.fail("keys that a shadow must not leave: " + "; ".join(found), pytrace=False)


@pytest.fixture
def name(fresh_name: Callable[[], str]) -> str:
    """A shadow's name for this test alone.

    After the test, only the keys of a shadow may stand under it, none of them with an expiry; they are deleted then.
    """
    return fresh_name()


@pytest.fixture
async def redis(server: Server) -> AsyncIterator[Redis]:
    """A client on the server that answers in bytes and sends nothing a second time."""
    client = Redis(unix_socket_path=str(server.socket), retry=Retry(NoBackoff(), 0))
    async with client:
        yield client


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    """In front of the server, with faults at the test's command; its address is `proxy.url`."""
    async with Proxy(server.socket) as proxy:
        yield proxy


@pytest.fixture
def fleet(name: str, url: str, tmp_path: Path) -> Iterator[Fleet]:
    """Worker processes of the test's shadow; none outlives it."""
    with Fleet(name, url, tmp_path) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority for loopback, and its CA file."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def tls_proxy(server: Server, authority: Authority) -> AsyncIterator[Proxy]:
    """The same with TLS in front; its `url` begins with `rediss://` and names the CA file."""
    async with Proxy(server.socket, authority=authority) as proxy:
        yield proxy
