"""The strikes of a shadow, for code that runs none of its tasks."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shadows import Disposition, InvalidName, ServerUnreachable, Shadow, ShadowError, StrikeList
from tests.support.proxy import Proxy, command
from tests.support.servers import free_port
from tests.support.waiting import until


async def send(customer: int) -> None: ...


@pytest.fixture
async def strikes(name: str, url: str) -> AsyncIterator[StrikeList]:
    async with StrikeList(url=url, name=name) as strikes:
        yield strikes


async def test_it_follows_what_is_stricken_elsewhere(strikes: StrikeList, name: str, url: str) -> None:
    assert not strikes.is_stricken({"customer": 7})
    async with Shadow(name, url) as shadows:
        await shadows.strike(None, "customer", "==", 7)
        await until(lambda: strikes.is_stricken({"customer": 7, "tier": "free"}))
        assert not strikes.is_stricken({"customer": 8})
        await shadows.restore(None, "customer", "==", 7)
        await until(lambda: not strikes.is_stricken({"customer": 7}))


async def test_what_it_strikes_holds_for_clients(strikes: StrikeList, name: str, url: str) -> None:
    await strikes.strike("send", "customer", ">", 100)
    async with Shadow(name, url) as shadows:
        assert (await shadows.add(send)(101)).disposition is Disposition.STRUCK
        await strikes.restore(function="send", parameter="customer", operator=">", value=100)
        await shadows.wait_for_strikes_loaded()
        assert (await shadows.add(send)(101)).disposition is Disposition.SCHEDULED


async def test_what_is_stricken_in_one_task_is_told_of_that_task(strikes: StrikeList) -> None:
    await strikes.strike("send", "customer", "==", 7)
    await strikes.strike("bill")
    assert strikes.is_stricken({"customer": 7}, "send")
    assert strikes.is_stricken({}, "bill")
    assert not strikes.is_stricken({"customer": 7})
    await strikes.strike()
    assert strikes.is_stricken({})


async def test_it_knows_everything_that_was_stricken_before(name: str, url: str) -> None:
    strikes = StrikeList(url, name)
    async with strikes:
        await strikes.strike("send")
        assert (strikes.version, [str(strike) for strike in strikes]) == (1, ["send"])
    async with strikes:  # again
        await strikes.wait_for_strikes_loaded()
        assert len(strikes) == 1
        with pytest.raises(ShadowError, match="is open already"):
            await strikes.__aenter__()
        await strikes.strike("bill")
    assert strikes.is_stricken({}, "bill")


async def test_closed_it_changes_nothing(name: str, url: str) -> None:
    strikes = StrikeList(url, name)
    for act in (strikes.strike, strikes.restore, strikes.wait_for_strikes_loaded):
        with pytest.raises(ShadowError, match=f"<StrikeList of '{name}' on unix:.*> is not open"):
            await act()


async def test_it_is_named_by_environment_and_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHADOWS_URL", "redis://somewhere:1234/5")
    strikes = StrikeList()
    assert (strikes.name, strikes.url) == ("shadows", "redis://somewhere:1234/5")
    monkeypatch.delenv("SHADOWS_URL")
    assert StrikeList().url == "redis://localhost:6379/0"
    with pytest.raises(InvalidName):
        StrikeList(name="a b")


async def test_without_a_server_it_does_not_open(name: str) -> None:
    strikes = StrikeList(f"redis://127.0.0.1:{free_port()}", name)
    for _ in range(2):
        with pytest.raises(ServerUnreachable):
            await strikes.__aenter__()


async def test_it_goes_on_where_the_server_did_not_answer(
    name: str, url: str, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    async with StrikeList(proxy.url, name) as strikes:
        proxy.cut_before_next_request(command("EVALSHA"))
        await until(lambda: any("strikes not seen" in text for text in caplog.messages))
        async with Shadow(name, url) as shadows:
            await shadows.strike("send")
        await until(lambda: strikes.is_stricken({}, "send"))


async def test_nothing_of_it_is_left_when_it_is_closed(name: str, url: str) -> None:
    before = asyncio.all_tasks()
    async with StrikeList(url, name):
        assert len(asyncio.all_tasks() - before) == 1
    assert asyncio.all_tasks() == before
