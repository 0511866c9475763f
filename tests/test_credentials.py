"""Credentials from a provider, at each connection, and never in anything that is shown."""

import logging
import traceback
from collections.abc import Iterator

import pytest
from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from shadows import ServerUnreachable, ServerUnsupported, Shadow, StrikeList, SyncShadow, Worker
from tests.support.servers import Server, running

SECRET = "s3cret-word"


class Provider(CredentialProvider):
    """Gives what it is told to give, and counts how often it is asked."""

    def __init__(self, *given: str, error: Exception | None = None) -> None:
        self.given = given
        self.error = error
        self.asked = 0

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        name, *password = self.given
        return (name, password[0]) if password else (name,)


class AsyncProvider(Provider):
    """The same for those that ask without blocking."""

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()


@pytest.fixture
def guarded() -> Iterator[Server]:
    """A server that lets `someone` in with the secret word, and nobody without."""
    with running("valkey") as server:
        server.call("ACL", "SETUSER", "someone", "on", f">{SECRET}", "~*", "&*", "+@all")
        server.call("ACL", "SETUSER", "default", "-@all", "+ping", "+acl", "+hello", "+client")
        yield server


async def greet(name: str) -> str:
    return f"hello {name}"


@pytest.mark.parametrize("kind", [Provider, AsyncProvider])
async def test_every_connection_asks_for_them(
    kind: type[Provider], name: str, guarded: Server, caplog: pytest.LogCaptureFixture
) -> None:
    provider = kind("someone", SECRET)
    async with Shadow(name, guarded.url, credential_provider=provider) as shadows:
        execution = await shadows.add(greet)("Jane")
        async with Worker(shadows) as worker:
            await worker.run_until_finished()
        assert await execution.get_result(timeout=5) == "hello Jane"
        await shadows.strike("other")
    assert provider.asked > 3
    async with StrikeList(guarded.url, name, credential_provider=provider) as strikes:
        assert strikes.is_stricken({}, "other")
    assert not caplog.records


async def test_sync_code_takes_them_too(name: str, guarded: Server) -> None:
    sync = SyncShadow(name, guarded.url, credential_provider=Provider("someone", SECRET))
    with sync:
        assert sync.cancel("k") is False


async def test_what_they_become_holds_from_the_next_connection_on(name: str, guarded: Server) -> None:
    provider = Provider("someone", "outdated")
    shadows = Shadow(name, guarded.url, credential_provider=provider)
    with pytest.raises(ServerUnsupported, match="refuses these credentials"):
        await shadows.__aenter__()
    provider.given = ("someone", SECRET)
    async with shadows:
        assert await shadows.cancel("k") is False


@pytest.mark.parametrize("kind", [Provider, AsyncProvider])
async def test_a_provider_that_fails_is_a_connection_that_fails(
    kind: type[Provider], name: str, guarded: Server
) -> None:
    provider = kind(error=LookupError("the vault is shut"))
    shadows = Shadow(name, guarded.url, credential_provider=provider)
    with pytest.raises(ServerUnreachable, match=r"its credential_provider failed with LookupError"):
        await shadows.__aenter__()


async def test_a_lease_is_taken_when_its_provider_works_again(name: str, guarded: Server) -> None:
    provider = Provider("someone", SECRET)
    async with Shadow(name, guarded.url, credential_provider=provider) as shadows:
        provider.error = LookupError("the vault is shut")
        worker = Worker(shadows)
        with pytest.raises(RedisError, match="its credential_provider failed with LookupError"):
            await worker.__aenter__()
        provider.error = None
        async with worker:
            execution = await shadows.add(greet)("Jane")
            await worker.run_until_finished()
        assert await execution.get_result(timeout=5) == "hello Jane"


async def test_nothing_shows_the_password(
    name: str, guarded: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for provider in (Provider("someone", SECRET), Provider("nobody", SECRET)):
        shadows = Shadow(name, guarded.url, credential_provider=provider)
        shown = [repr(shadows), repr(shadows.store.address), shadows.url]
        try:
            async with shadows:
                guarded.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await shadows.add(greet)("Jane")
        except ServerUnsupported as error:
            shown += traceback.format_exception(error)
        assert SECRET not in "".join([*shown, caplog.text])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (
            "redis://someone:s3cret-word@host",
            r"url='redis://someone:\*\*\*@host': the credentials come from one place",
        ),
        ("redis://someone@host", "leave them out of the URL"),
        ("redis://host?password=s3cret-word", r"password=\*\*\*'"),
        ("unix:///socket?username=someone", "leave them out of the URL"),
        ("memory://", "an embedded server has no credentials"),
    ],
)
def test_credentials_from_two_places_are_refused(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        Shadow("orders", url, credential_provider=Provider("someone", SECRET))
    assert SECRET not in str(caught.value)
