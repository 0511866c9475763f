"""The client's life: what it is made of, how it opens and closes, and what it knows."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shadows import (
    EmbeddedUnavailable,
    ExecutionState,
    InvalidName,
    InvalidTask,
    ServerUnreachable,
    ServerUnsupported,
    Shadow,
    ShadowError,
    Worker,
)
from shadows.protocol.keys import FIXED
from shadows.tasks import standard_tasks
from tests.support.proxy import Proxy, command
from tests.support.servers import Server, free_port, running
from tests.support.waiting import until


async def greet(name: str) -> str:
    return f"hello {name}"


async def other_greet(name: str) -> str:
    return f"good morning {name}"


other_greet.__name__ = "greet"


def own(shadows: Shadow) -> dict[str, Callable[..., Any]]:
    """What it knows beside the built-in tasks."""
    return {name: function for name, function in shadows.tasks.items() if function not in standard_tasks}


class TestMaking:
    def test_the_url_is_the_given_one_then_the_environments_then_the_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SHADOWS_URL", raising=False)
        assert Shadow().url == "redis://localhost:6379/0"
        monkeypatch.setenv("SHADOWS_URL", "redis://elsewhere/1")
        assert Shadow().url == "redis://elsewhere/1"
        assert Shadow(url="unix:///run/redis.sock").url == "unix:///run/redis.sock"

    def test_its_name_and_server_are_shown_without_the_password(self) -> None:
        shadows = Shadow("orders", "redis://me:secret@host/0")
        assert repr(shadows) == "<Shadow 'orders' on redis://me:***@host/0>"

    @pytest.mark.parametrize("name", ["", "a b", "{x}", "-x", "x" * 129, "ü", None, 3])
    def test_an_invalid_name_is_refused(self, name: Any) -> None:
        with pytest.raises(InvalidName, match=r"name=.*a shadow's name is 1 to 128 letters, digits"):
            Shadow(name)

    @pytest.mark.parametrize(
        "url",
        [
            "localhost",
            "http://localhost",
            "redis:/x",
            "redis://",
            "redis://host:port",
            "redis://host/x",
            "unix://",
        ],
    )
    def test_an_invalid_url_is_refused_with_what_to_write(self, url: str) -> None:
        with pytest.raises(InvalidName, match=r"url=.*(must be one of redis://|cannot be read: write )"):
            Shadow(url=url)

    @pytest.mark.parametrize(
        ("setting", "reason"),
        [
            ({"heartbeat_interval": timedelta(0)}, "heartbeat_interval="),
            ({"missed_heartbeats": 0}, "missed_heartbeats=0: at least 1"),
            ({"execution_ttl": timedelta(seconds=-1)}, "execution_ttl="),
            ({"max_ended": 0}, "max_ended=0"),
            ({"max_dead": 0}, "max_dead=0"),
        ],
    )
    def test_settings_that_make_no_sense_are_refused(self, setting: dict[str, Any], reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            Shadow(**setting)


class TestRegistering:
    def test_tasks_are_registered_under_names_and_queues(self, fresh_unserved: str) -> None:
        shadows = Shadow(fresh_unserved)
        shadows.register(greet)
        shadows.register(greet, names=["hello"], queue="mail")
        assert own(shadows) == {"greet": greet, "hello": greet}
        plan = shadows.plan("hello")
        assert plan is not None
        assert plan.queue == "mail"
        assert [plan.name for plan in shadows.plans()][:2] == ["greet", "hello"]
        assert shadows.plan("nothing") is None

    def test_a_collection_is_registered_by_its_path(self, fresh_unserved: str) -> None:
        shadows = Shadow(fresh_unserved)
        shadows.register_collection(f"{__name__}:COLLECTION", queue="mail")
        assert own(shadows) == {"hello": greet, "morning": other_greet}
        assert {plan.queue for plan in shadows.plans() if plan.name in own(shadows)} == {"mail"}

    def test_a_collection_that_cannot_be_used_is_refused(self, fresh_unserved: str) -> None:
        shadows = Shadow(fresh_unserved)
        with pytest.raises(InvalidTask, match="holds something that is not a task: 3 is not callable"):
            shadows.register_collection(f"{__name__}:WRONG")
        assert not own(shadows)

    async def test_what_one_adds_another_of_the_name_in_this_process_runs(self, name: str, url: str) -> None:
        async with Shadow(name, url) as adding:
            execution = await adding.add(greet)("Jane")
        async with Shadow(name, url) as running, Worker(running) as worker:
            await worker.run_until_finished()
            found = await running.get_execution(execution.key)
            assert found is not None
            assert await found.get_result(timeout=5) == "hello Jane"

    async def test_what_is_registered_wins_over_what_was_added(self, name: str, url: str) -> None:
        async with Shadow(name, url) as adding:
            execution = await adding.add(greet)("Jane")
        async with Shadow(name, url) as running, Worker(running) as worker:
            running.register(other_greet)
            await worker.run_until_finished()
            found = await running.get_execution(execution.key)
            assert found is not None
            assert await found.get_result(timeout=5) == "good morning Jane"


COLLECTION = {"hello": greet, "morning": other_greet}
WRONG = [greet, 3]


@pytest.fixture
def fresh_unserved(request: pytest.FixtureRequest) -> str:
    """A name that no other test has, without a server."""
    return f"unserved-{id(request):x}"


class TestOpening:
    async def test_it_opens_closes_and_opens_again(self, name: str, url: str) -> None:
        shadows = Shadow(name, url)
        for _ in range(2):
            async with shadows as opened:
                assert opened is shadows
                await shadows.add(greet, key="k")("Jane")
                assert await shadows.cancel("k")

    async def test_opening_it_twice_at_once_is_refused(self, name: str, url: str) -> None:
        async with Shadow(name, url) as shadows:
            with pytest.raises(ShadowError, match="is open already: open it once, and share it"):
                await shadows.__aenter__()
            await shadows.add(greet)("Jane")

    async def test_unopened_it_does_nothing_and_says_what_to_do(self, name: str, url: str) -> None:
        shadows = Shadow(name, url)
        for act in (
            lambda: shadows.add(greet)("Jane"),
            lambda: shadows.cancel("k"),
            lambda: shadows.get_execution("k"),
        ):
            with pytest.raises(ShadowError, match="is not open: use it inside `async with`"):
                await act()

    async def test_no_server_is_an_error_with_the_ways_out(self) -> None:
        port = free_port()
        with pytest.raises(
            ServerUnreachable,
            match=f"no Redis or Valkey answers at redis://localhost:{port}.*set SHADOWS_URL",
        ) as caught:
            async with Shadow(url=f"redis://localhost:{port}"):
                pytest.fail("it opened")
        assert isinstance(caught.value, RedisError)

    async def test_no_embedded_server_is_an_error_too(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(EmbeddedUnavailable):
            async with Shadow(url=f"embedded://{tmp_path}/file/below"):
                pytest.fail("it opened")

    async def test_a_server_that_evicts_keys_is_refused(self, name: str) -> None:
        with running("valkey", "--maxmemory-policy", "allkeys-lru") as server:
            with pytest.raises(ServerUnsupported, match=r"evicts any key.*set it to noeviction"):
                async with Shadow(name, server.url):
                    pytest.fail("it opened")
            assert server.call("DBSIZE") == 0

    async def test_a_server_that_is_too_old_is_refused(
        self, name: str, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shadows.protocol.connection.OLDEST", (99, 0))
        with pytest.raises(
            ServerUnsupported, match=r"this server is Redis .*, shadows needs .* or newer.*upgrade"
        ):
            async with Shadow(name, server.url):
                pytest.fail("it opened")
        assert server.call("DBSIZE") == 0

    async def test_a_shadow_of_a_newer_version_is_refused(self, name: str, url: str, redis: Redis) -> None:
        async with Shadow(name, url):
            pass
        meta = f"{{{name}}}:meta"
        fields = await redis.hgetall(meta)
        await redis.hset(meta, mapping=dict.fromkeys(fields, 99))
        with pytest.raises(ServerUnsupported, match=r"written by a newer shadows.*upgrade shadow-task here"):
            async with Shadow(name, url):
                pytest.fail("it opened")

    async def test_a_failed_opening_leaves_it_closed_and_able_to_open(self, name: str, proxy: Proxy) -> None:
        shadows = Shadow(name, proxy.url)
        proxy.cut_before_next_request(command("EVALSHA"))
        with pytest.raises(ServerUnreachable):
            async with shadows:
                pytest.fail("it opened")
        await until(lambda: proxy.open_connections == 0)
        async with shadows:
            await shadows.add(greet)("Jane")

    async def test_it_keeps_to_its_own_keys(self, name: str, url: str, server: Server) -> None:
        async with Shadow(name, url) as shadows:
            await shadows.add(greet)("Jane")
        roles = {key.decode().partition("}:")[2] for key in server.call("KEYS", "*")}
        assert roles <= {*FIXED, "ready:default"}


class TestLoops:
    async def test_another_loop_is_pointed_to_sync_shadow(self, name: str, url: str) -> None:
        async with Shadow(name, url) as shadows:

            def elsewhere() -> None:
                async def use() -> None:
                    await shadows.add(greet)("Jane")

                with pytest.raises(ShadowError, match="opened on another event loop: use SyncShadow"):
                    asyncio.run(use())

            await asyncio.to_thread(elsewhere)
            assert await shadows.cancel("nothing") is False

    def test_it_may_be_opened_on_one_loop_after_another(self, name: str, url: str) -> None:
        shadows = Shadow(name, url)

        async def use(key: str) -> None:
            async with shadows:
                await shadows.add(greet, key=key)("Jane")

        asyncio.run(use("a"))
        thread = threading.Thread(target=lambda: asyncio.run(use("b")))
        thread.start()
        thread.join()


class TestClosing:
    async def test_leaving_sends_what_was_added(
        self, name: str, url: str, fresh_name: Callable[[], str]
    ) -> None:
        async with Shadow(name, url) as shadows:
            adding = [asyncio.create_task(shadows.add(greet, key=str(i))("Jane")) for i in range(500)]
            await asyncio.sleep(0)
        assert all(execution.key == str(i) for i, execution in enumerate(await asyncio.gather(*adding)))
        async with Shadow(name, url) as shadows:
            found = await shadows.get_execution("499")
            assert found is not None
            assert found.state is ExecutionState.QUEUED

    async def test_what_is_added_while_it_closes_is_refused_and_never_left_hanging(
        self, name: str, proxy: Proxy
    ) -> None:
        shadows = Shadow(name, proxy.url)
        await shadows.__aenter__()
        proxy.hang_replies()
        first = asyncio.create_task(shadows.add(greet, key="first")("Jane"))
        await until(lambda: any(request.command == "EVALSHA" for request in proxy.requests[-1:]))
        closing = asyncio.create_task(shadows.__aexit__(None, None, None))
        await asyncio.sleep(0)
        with pytest.raises(ShadowError, match="is not open"):
            await shadows.add(greet, key="late")("Jane")
        proxy.resume()
        await closing
        assert (await first).key == "first"

    async def test_an_adder_that_is_cancelled_takes_back_what_is_unsent(
        self, name: str, proxy: Proxy
    ) -> None:
        async with Shadow(name, proxy.url) as shadows:
            await shadows.add(greet, key="warm")("Jane")
            proxy.hang_replies()
            sent = asyncio.create_task(shadows.add(greet, key="sent")("Jane"))
            await until(lambda: b"sent" in proxy.requests[-1].words)
            unsent = asyncio.create_task(shadows.add(greet, key="unsent")("Jane"))
            await asyncio.sleep(0)
            for task in (sent, unsent):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            proxy.resume()
            assert await shadows.get_execution("sent") is not None
            await shadows.add(greet, key="more")("Jane")
            assert await shadows.get_execution("unsent") is None
