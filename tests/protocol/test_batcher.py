"""Calls that are added together travel together, and each caller gets his own answer."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError, TryAgainError

from shadows.errors import NotAccepted, Overloaded, ServerUnreachable, ServerUnsupported
from shadows.protocol import batcher as module
from shadows.protocol.batcher import Batcher
from shadows.protocol.connection import Address, Link
from shadows.protocol.schedule import Answer, Item, Mode
from shadows.protocol.scripts import load
from shadows.protocol.store import Store
from tests.protocol.bench import Bench
from tests.support.proxy import Proxy, command
from tests.support.waiting import until


def item(key: str, queue: str = "default", call: bytes = b"x", mode: Mode = Mode.ADD) -> Item:
    return Item(key, queue, 0, call, mode)


async def submit(batcher: Batcher, item: Item) -> Answer:
    """Have one call accepted, and wait for it."""
    return await batcher.post(item)


@asynccontextmanager
async def sending(bench: Bench, proxy: Proxy, patience: float = 5) -> AsyncGenerator[Batcher]:
    """A batcher at work, through the proxy."""
    store = Store(bench.store.keys.name, Address(proxy.url))
    link = Link(store.address)
    batcher = Batcher(store, link, lambda: b"", patience)
    async with asyncio.TaskGroup() as group:
        group.create_task(batcher.run())
        try:
            yield batcher
        finally:
            batcher.close()
    await link.close()


def requests(proxy: Proxy) -> list[int]:
    """How many calls each request to schedule carried, where all of them are one run."""
    sha = load("schedule").sha
    found = [
        request.words for request in proxy.requests if len(request.words) > 1 and request.words[1] == sha
    ]
    return [int(words[3 + int(words[2]) + 7]) for words in found]


async def warm(batcher: Batcher, proxy: Proxy) -> None:
    """Let it enrol its queue and load its script."""
    await submit(batcher, item("first"))
    proxy.forget()


async def test_each_caller_gets_his_own_answer(bench: Bench, proxy: Proxy) -> None:
    async with sending(bench, proxy) as batcher:
        answers = await asyncio.gather(*map(batcher.post, [item("a"), item("a"), item("b")]))
        assert answers == [Answer.ACCEPTED, Answer.EXISTS, Answer.ACCEPTED]
        assert await submit(batcher, item("a", mode=Mode.REPLACE)) is Answer.ACCEPTED
    assert sorted(bench.ask("HKEYS", "live")) == ["a", "b"]


async def test_calls_of_one_turn_of_the_loop_are_one_request(bench: Bench, proxy: Proxy) -> None:
    async with sending(bench, proxy) as batcher:
        await warm(batcher, proxy)
        await asyncio.gather(*[submit(batcher, item(f"k{number}")) for number in range(50)])
    assert requests(proxy) == [50]
    assert proxy.commands == ["EVALSHA"]


async def test_what_is_added_while_a_request_is_on_its_way_travels_next(bench: Bench, proxy: Proxy) -> None:
    async with sending(bench, proxy) as batcher:
        await warm(batcher, proxy)
        proxy.hang_replies()
        first = asyncio.create_task(submit(batcher, item("a")))
        await until(lambda: proxy.requests)
        rest = [asyncio.create_task(submit(batcher, item(key))) for key in "bcd"]
        await until(lambda: len(batcher._queue) == 3)
        proxy.resume()
        await asyncio.gather(first, *rest)
    assert requests(proxy) == [1, 3]


async def test_a_request_carries_no_more_calls_than_a_script_may_take(bench: Bench, proxy: Proxy) -> None:
    async with sending(bench, proxy) as batcher:
        await warm(batcher, proxy)
        await asyncio.gather(*[submit(batcher, item(f"k{number}")) for number in range(450)])
    assert requests(proxy) == [200, 200, 50]


async def test_a_request_carries_no_more_bytes_than_wanted_but_always_one_call(
    bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    async with sending(bench, proxy) as batcher:
        await warm(batcher, proxy)
        calls = [b"x" * size for size in (4, 6, 1, 30, 5, 5, 1)]
        await asyncio.gather(*[submit(batcher, item(f"k{n}", call=call)) for n, call in enumerate(calls)])
    assert requests(proxy) == [2, 1, 1, 2, 1]


async def test_a_cancelled_caller_takes_his_call_out_while_it_is_unsent(bench: Bench, proxy: Proxy) -> None:
    async with sending(bench, proxy) as batcher:
        await warm(batcher, proxy)
        proxy.hang_replies()
        sent = asyncio.create_task(submit(batcher, item("sent")))
        await until(lambda: proxy.requests)
        unsent, other = [asyncio.create_task(submit(batcher, item(key))) for key in ("unsent", "other")]
        await asyncio.sleep(0)
        sent.cancel()
        unsent.cancel()
        proxy.resume()
        assert await other is Answer.ACCEPTED
        for caller in (sent, unsent):
            with pytest.raises(asyncio.CancelledError):
                await caller
    assert sorted(bench.ask("HKEYS", "live")) == ["first", "other", "sent"]


async def test_where_all_callers_are_gone_nothing_is_sent(bench: Bench, proxy: Proxy) -> None:
    async with sending(bench, proxy) as batcher:
        await warm(batcher, proxy)
        caller = asyncio.create_task(submit(batcher, item("a")))
        await asyncio.sleep(0)
        caller.cancel()
        await until(lambda: not batcher._queue)
        assert await submit(batcher, item("b")) is Answer.ACCEPTED
    assert requests(proxy) == [1]


@pytest.mark.parametrize("fault", ["drop_next_reply", "cut_before_next_request"])
async def test_a_request_is_sent_again_and_counts_once(bench: Bench, proxy: Proxy, fault: str) -> None:
    async with sending(bench, proxy) as batcher:
        await warm(batcher, proxy)
        struck: asyncio.Event = getattr(proxy, fault)(command("EVALSHA"))
        answers = await asyncio.gather(*[submit(batcher, item(key)) for key in "aab"])
        assert struck.is_set()
    assert answers == [Answer.ACCEPTED, Answer.EXISTS, Answer.ACCEPTED]
    assert requests(proxy) == [3, 3]
    assert bench.ask("XLEN", "ready:default") == 3


async def test_a_queue_is_enrolled_before_its_first_call_however_often_that_takes(
    bench: Bench, proxy: Proxy
) -> None:
    async with sending(bench, proxy) as batcher:
        proxy.cut_before_next_request(command("EVALSHA"))
        assert await submit(batcher, item("a", "mail")) is Answer.ACCEPTED
    assert sorted(bench.ask("SMEMBERS", "queues")) == ["default", "mail"]


async def test_patience_ends_with_an_error_that_holds_the_key(bench: Bench, proxy: Proxy) -> None:
    async with sending(bench, proxy, patience=0.2) as batcher:
        await warm(batcher, proxy)
        port, proxy.upstream = proxy.port, ("127.0.0.1", 1)
        proxy.cut_all()
        before = batcher._batch
        gone = asyncio.create_task(submit(batcher, item("gone")))
        told = asyncio.create_task(submit(batcher, item("a")))
        await until(lambda: batcher._batch > before)
        gone.cancel()
        with pytest.raises(
            ServerUnreachable, match=r"the task 'a' was accepted is not known.*key='a' is"
        ) as caught:
            await told
        assert isinstance(caught.value.__cause__, ServerUnreachable)
        proxy.upstream = bench_socket(bench)
        assert port == proxy.port
        assert await submit(batcher, item("b")) is Answer.ACCEPTED


def bench_socket(bench: Bench) -> Path:
    return Path(bench.store.address.locate().removeprefix("unix://").partition("?")[0])


async def test_a_full_server_is_an_overload(bench: Bench, proxy: Proxy) -> None:
    async with sending(bench, proxy) as batcher:
        await warm(batcher, proxy)
        with bench.full():
            for queue in ("default", "new"):
                with pytest.raises(
                    Overloaded, match=r"the server refuses writes .*'a' was not accepted"
                ) as caught:
                    await submit(batcher, item("a", queue))
                assert isinstance(caught.value.__cause__, ResponseError)
        assert await submit(batcher, item("a")) is Answer.ACCEPTED


async def test_a_queue_that_is_something_else_is_told_to_its_caller_alone(bench: Bench, proxy: Proxy) -> None:
    async with sending(bench, proxy) as batcher:
        bench.enroll("broken")
        bench.ask("DEL", "ready:broken")
        bench.ask("SET", "ready:broken", "x")
        bad, good = await asyncio.gather(
            submit(batcher, item("a", "broken")), submit(batcher, item("b")), return_exceptions=True
        )
    assert isinstance(bad, NotAccepted)
    assert (
        f"the key '{{{bench.store.keys.name}}}:ready:broken' holds a string where shadows keeps a stream"
        in str(bad)
    )
    assert good is Answer.ACCEPTED


async def test_a_broken_queue_is_told_of_where_nobody_answers_what_is_wrong(
    bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "diagnose", AsyncMock(side_effect=ServerUnreachable("gone")))
    async with sending(bench, proxy) as batcher:
        bench.enroll("broken")
        bench.ask("DEL", "ready:broken")
        bench.ask("SET", "ready:broken", "x")
        with pytest.raises(NotAccepted, match=r"'a' was not accepted: a key of '.*' holds .* else \(gone\)"):
            await submit(batcher, item("a", "broken"))


async def test_a_key_that_was_mended_before_it_was_looked_at_is_to_be_tried_again(
    bench: Bench, proxy: Proxy
) -> None:
    link = Link(Address(proxy.url))
    bench.add("a")
    assert "held something else, and does so no more: try again" in str(await bench.store.diagnose(link))
    await link.close()


async def test_what_cannot_be_read_is_told_to_every_caller(bench: Bench, proxy: Proxy) -> None:
    bench.ask("HSET", "meta", "least", 9)
    async with sending(bench, proxy) as batcher:
        answers = await asyncio.gather(*[submit(batcher, item(key)) for key in "ab"], return_exceptions=True)
    assert [type(answer) for answer in answers] == [ServerUnsupported] * 2


type Schedule = Callable[..., Awaitable[tuple[list[Answer], int]]]


def answering(*errors: Exception) -> Schedule:
    """In the place of `schedule`: these errors first, then acceptance."""
    left = list(errors)

    async def schedule(
        store: Store, link: Link, producer: str, batch: int, items: list[Item], **_: object
    ) -> tuple[list[Answer], int]:
        if left:
            raise left.pop(0)
        return [Answer.ACCEPTED] * len(items), 0

    return schedule


@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (ResponseError("MISCONF Redis is configured to save RDB snapshots"), Overloaded),
        (ResponseError("NOREPLICAS Not enough good replicas to write."), Overloaded),
        (
            ResponseError("Error running script (call to f_1): @user_script:3: -OOM command not allowed"),
            Overloaded,
        ),
        (ResponseError("NOPERM no permissions"), ResponseError),
        (ValueError("a bug"), ValueError),
    ],
)
async def test_other_errors_are_told_at_once(
    bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, error: Exception, becomes: type[Exception]
) -> None:
    async with sending(bench, proxy) as batcher:
        monkeypatch.setattr(module, "schedule", answering(error))
        with pytest.raises(becomes) as caught:
            await submit(batcher, item("a"))
        assert caught.type is becomes
        assert await submit(batcher, item("a")) is Answer.ACCEPTED


async def test_what_somebody_else_noted_of_a_producer_is_no_answer_to_it(
    bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sending(bench, proxy) as batcher:
        odd = ["9999999999 A", "{} AAA", "{} ", "{} ZZ", "x A", "", "9" * 400 + " A"]
        assert await submit(batcher, item("a")) is Answer.ACCEPTED
        for batch, noted in enumerate(odd, 2):
            for producer in bench.hash("producers"):
                bench.ask("HSET", "producers", producer, noted.format(batch))
            assert await submit(batcher, item(f"after {batch}")) is Answer.ACCEPTED
        assert bench.ask("XLEN", "ready:default") == 1 + len(odd)


async def test_what_passes_by_itself_is_waited_for(
    bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sending(bench, proxy) as batcher:
        errors = TryAgainError("x"), ResponseError("BUSY x"), NoScriptError("x")
        monkeypatch.setattr(module, "schedule", answering(*errors))
        assert await submit(batcher, item("a")) is Answer.ACCEPTED


async def test_a_server_that_was_made_a_replica_is_looked_for_once_more(
    bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = ReadOnlyError("You can't write against a read only replica.")
    async with sending(bench, proxy) as batcher:
        monkeypatch.setattr(module, "schedule", answering(replica))
        assert await submit(batcher, item("a")) is Answer.ACCEPTED
        monkeypatch.setattr(module, "schedule", answering(replica, replica))
        with pytest.raises(Overloaded):
            await submit(batcher, item("a"))


async def test_the_server_is_asked_to_remember_a_producer_once_in_a_while(
    bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PRODUCER_MEMORY_MS", 200)
    async with sending(bench, proxy) as batcher:
        for _ in range(2):
            await submit(batcher, item("a"))
        batcher._remember_until = 0.0
        await submit(batcher, item("a"))
    sha = load("schedule").sha
    found = [
        request.words for request in proxy.requests if len(request.words) > 1 and request.words[1] == sha
    ]
    asked = [words[3 + int(words[2]) + 3] for words in found]
    assert asked[-3:] == [b"3600000", b"", b"3600000"]


async def test_closing_sends_what_is_left(bench: Bench, proxy: Proxy) -> None:
    async with sending(bench, proxy) as batcher:
        callers = [asyncio.create_task(submit(batcher, item(key))) for key in "abc"]
        await asyncio.sleep(0)
    assert [await caller for caller in callers] == [Answer.ACCEPTED] * 3
    with pytest.raises(ServerUnreachable, match=r"the client is closed.*'d'"):
        await submit(batcher, item("d"))


async def test_nobody_waits_for_a_batcher_that_was_ended(bench: Bench, proxy: Proxy) -> None:
    store = Store(bench.store.keys.name, Address(proxy.url))
    link = Link(store.address)
    batcher = Batcher(store, link, lambda: b"")
    running = asyncio.create_task(batcher.run())
    await warm(batcher, proxy)
    proxy.hang_replies()
    flying = asyncio.create_task(submit(batcher, item("flying")))
    await until(lambda: proxy.requests)
    queued = asyncio.create_task(submit(batcher, item("queued")))
    await asyncio.sleep(0)
    running.cancel()
    answers = await asyncio.gather(running, flying, queued, return_exceptions=True)
    assert [type(answer) for answer in answers] == [
        asyncio.CancelledError,
        ServerUnreachable,
        ServerUnreachable,
    ]
    assert "'flying'" in str(answers[1])
    await link.close()
