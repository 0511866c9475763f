"""What errors of a server mean, in the words of servers old and new, and through their own mouths."""

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shadows.errors import EmbeddedUnavailable, ServerUnreachable, ServerUnsupported
from shadows.protocol import failures
from shadows.protocol.connection import Address, Link
from shadows.protocol.failures import Backoff, Failure, classify, jittered, needs_another_socket
from tests.support.servers import Server, running

SAID = {
    Failure.TRANSIENT: [
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "MOVED 3999 127.0.0.1:6381",
        "ASK 3999 127.0.0.1:6381",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "ERR max number of clients reached",
        "ERR Error running script (call to f_1): @user_script:3: @user_script: 3: -CLUSTERDOWN The cluster is down",
    ],
    Failure.RELOAD: [
        "NOSCRIPT No matching script. Please use EVAL.",
        "NOGROUP No such key 'x' or consumer group 'g' in XREADGROUP with GROUP option",
        "UNBLOCKED the stream key no longer exists",
        "ERR Error running script (call to f_1): @user_script:3: -NOGROUP No such key 'x' or consumer group",
        "ERR Error running script (call to f_1): @user_script:3: NOGROUP No such key 'x' or consumer group",
    ],
    Failure.REFUSED: [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "OOM command not allowed when used memory > 'maxmemory'. script: f1, on @user_script:3.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "NOREPLICAS Not enough good replicas to write.",
        "READONLY You can't write against a read only replica.",
        "ERR Error running script (call to f_1): @user_script:3: -OOM command not allowed when used memory",
        "ERR Error running script (call to f_1): @user_script:3: @user_script: 3: -READONLY You can't write",
    ],
    Failure.BROKEN: [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR Error running script (call to f_1): @user_script:3: -WRONGTYPE Operation against a key holding",
        "ERR Error running script (call to f_1): @user_script:3: WRONGTYPE Operation against a key holding",
    ],
    Failure.FATAL: [
        "NOPERM User u has no permissions to run the 'evalsha' command",
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "BUSYGROUP Consumer Group name already exists",
        "ERR unknown command 'XADD'",
        "ERR Error running script (call to f_1): @user_script:3: attempt to index a nil value",
        "CROSSSLOT Keys in request don't hash to the same slot",
    ],
}


@pytest.mark.parametrize(("words", "failure"), [(words, kind) for kind in SAID for words in SAID[kind]])
def test_what_a_server_says_is_of_one_class(words: str, failure: Failure) -> None:
    error = BaseParser.parse_error(words)  # type: ignore[no-untyped-call]
    assert classify(error) is failure
    assert needs_another_socket(error) is any(word in words for word in ("READONLY", "MOVED"))


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ServerUnreachable("x"), Failure.TRANSIENT),
        (EmbeddedUnavailable("x"), Failure.TRANSIENT),
        (ConnectionResetError("x"), Failure.TRANSIENT),
        (RedisTimeoutError("x"), Failure.TRANSIENT),
        (ServerUnsupported("READONLY x"), Failure.FATAL),
        (ValueError("a bug"), Failure.FATAL),
    ],
)
def test_what_is_no_answer_is_of_one_class_too(error: Exception, failure: Failure) -> None:
    assert classify(error) is failure


async def test_a_server_says_these_itself(server: Server) -> None:
    link = Link(Address(server.url))

    async def said(*words: str | int, link: Link = link) -> Failure:
        with pytest.raises(RedisError) as caught:
            await link.request(*words)
        return classify(caught.value)

    script = "return redis.call('SET', KEYS[1], 'x')"
    assert await said("EVALSHA", "0" * 40, 0) is Failure.RELOAD
    assert await said("XREADGROUP", "GROUP", "g", "w", "STREAMS", "nowhere", ">") is Failure.RELOAD
    group = "return redis.call('XREADGROUP', 'GROUP', 'g', 'w', 'STREAMS', 'nowhere', '>')"
    assert await said("EVAL", group, 0) is Failure.RELOAD
    server.call("SET", "text", "x")
    assert await said("XLEN", "text") is Failure.BROKEN
    server.call("DEL", "text")
    with running(server.name, port=None) as own:
        other = Link(Address(own.url))
        for name, value, back in (("maxmemory", "1", "0"), ("min-replicas-to-write", "3", "0")):
            own.call("CONFIG", "SET", name, value)
            assert await said("SET", "k", "x", link=other) is Failure.REFUSED
            assert await said("EVAL", script, 1, "k", link=other) is Failure.REFUSED
            own.call("CONFIG", "SET", name, back)
        own.call("REPLICAOF", "127.0.0.1", "1")
        assert await said("SET", "k", "x", link=other) is Failure.REFUSED
        assert await said("EVAL", script, 1, "k", link=other) is Failure.REFUSED
        own.call("CONFIG", "SET", "replica-serve-stale-data", "no")
        assert await said("GET", "k", link=other) is Failure.TRANSIENT
        own.call("REPLICAOF", "NO", "ONE")
        await other.close()
    await link.close()


def test_pauses_double_up_to_the_longest_and_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "jittered", float)
    backoff = Backoff(0.3)
    assert [backoff.pause() for _ in range(5)] == [0.05, 0.1, 0.2, 0.3, 0.3]
    backoff.reset()
    assert backoff.pause() == 0.05
    impatient = Backoff(0)
    assert [impatient.pause() for _ in range(2)] == [0.05, 0.05], "never without a pause"


def test_no_two_wait_equally_long() -> None:
    pauses = {jittered(8) for _ in range(100)}
    assert len(pauses) > 50
    assert 4 <= min(pauses) <= max(pauses) <= 8
