"""Wire: an open socket as the loop knows it, on which one request at a time goes out and its reply ends a future.

The client library opens the connection and says its first words; from then on what arrives is read here. A coroutine and a
timer for each reply cost more than the reply: one timer watches over all of a socket's requests.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse

_INCOMPLETE = object()
_CLOSED = "Connection closed by server."
GRACE = 0.05
"""Seconds beyond a deadline: a loop that a task has blocked calls timers before it reads what has come meanwhile."""


class Wire(asyncio.Protocol):
    """Takes over a connection that is open. Not for two requests at once, and not for use after an error.

    Args:
        transport: the connection.
        as_error: makes an exception of the words of a reply that is an error.
        ended: whether the server has said already that nothing more will come.
    """

    __slots__ = (
        "_deadline", "_due", "_former", "_graced", "_loop", "_lost", "_reader", "_timer", "_transport", "_waiting",
    )  # fmt: skip

    def __init__(
        self, transport: asyncio.Transport, as_error: Callable[[str], Exception], *, ended: bool = False
    ) -> None:
        self._transport = transport
        self._former = transport.get_protocol()
        """Whose it was: it is told of the end, too."""
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=as_error, notEnoughData=_INCOMPLETE
        )
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[Any] | None = None
        self._lost: Exception | None = RedisConnectionError(_CLOSED) if ended else None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        """When the timer goes off: no later than the deadline of the request that is out."""
        self._graced = False
        transport.set_protocol(self)

    def ask(self, request: bytes, limit: float) -> asyncio.Future[Any]:
        """Send a packed command. The future gets the reply, which may be an exception that the server answered.

        It fails with:
            TimeoutError: no reply within `limit` seconds.
            RedisError: the connection is lost, or what came is no reply.
        """
        self._waiting = waiting = self._loop.create_future()
        if self._lost is not None:
            waiting.set_exception(self._lost)
            return waiting
        self._transport.write(request)
        self._deadline = deadline = self._loop.time() + limit
        self._graced = False
        if self._timer is None:
            self._watch_until(deadline)
        elif deadline < self._due:
            self._timer.cancel()
            self._watch_until(deadline)
        return waiting

    def close(self) -> None:
        """Ask nothing more; the connection is its opener's to close. What waits for a reply is told in time."""
        if self._timer is not None and (self._waiting is None or self._waiting.done()):
            self._timer.cancel()
            self._timer = None

    def data_received(self, data: bytes) -> None:
        """The loop has read something."""
        self._reader.feed(data)
        try:
            reply = self._reader.gets()
        except InvalidResponse as error:
            self._fail(error)
            return
        if reply is _INCOMPLETE:
            return
        waiting, self._waiting = self._waiting, None
        if waiting is None or self._reader.has_data():  # from here on no reply is sure to be its request's
            self._lost = RedisConnectionError("the server said more than it was asked for")
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """The loop has closed the connection, from whichever side."""
        self._fail(RedisConnectionError(_CLOSED if exc is None else str(exc)))
        self.close()
        self._former.connection_lost(exc)

    def _fail(self, error: Exception) -> None:
        self._lost = error
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)

    def _watch_until(self, instant: float) -> None:
        self._due = instant
        self._timer = self._loop.call_at(instant, self._look)

    def _look(self) -> None:
        """The timer has gone off: for the request that is out, or for one that had its reply long ago."""
        self._timer = None
        if self._waiting is None:
            return
        now = self._loop.time()
        if now < self._deadline:
            self._watch_until(self._deadline)
        elif not self._graced:
            self._graced = True
            self._watch_until(now + GRACE)
        else:
            self._fail(TimeoutError())


def take_over(connection: Any) -> Wire:
    """The wire of a connection that the client library has opened: it has no public name for what is needed of it."""
    stream, transport = connection._reader, connection._writer.transport  # noqa: SLF001
    return Wire(
        transport,
        connection._parser.parse_error,  # noqa: SLF001
        ended=stream.at_eof() or transport.is_closing(),
    )
