"""The client's batcher: calls added in one turn of the event loop, or while a request is on its way, travel together.

One request is in flight at a time. A key and the encoding of its arguments are fixed before the first sending, and a
batch keeps its number: whatever the network does to a request or its reply, sending it again is harmless.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable

from redis.exceptions import ResponseError

from shadows.errors import NotAccepted, Overloaded, QueueFull, ServerUnreachable

from .connection import Link
from .failures import Backoff, Failure, classify, needs_another_socket
from .schedule import PRODUCER_MEMORY_MS, Answer, Item, LateBatch, replicated, schedule
from .store import Store

MOST_ITEMS = 200
MOST_BYTES = 4 * 1024 * 1024
PATIENCE = 15.0
"""Seconds for which a batch is sent again before its callers are told."""
LONGEST_PAUSE = 1.0
REPLICAS_PATIENCE_MS = 5000
"""For how long replicas may take to have what was accepted."""

# Looking into an enum costs more than the look at an answer.
_BAD, _FULL = Answer.BAD, Answer.FULL


class Unreplicated(Exception):
    """A call was answered so, and too few replicas have what stands under its key."""

    def __init__(self, answer: Answer, reached: int) -> None:
        super().__init__(answer, reached)
        self.answer = answer
        self.reached = reached


type _Waiting = tuple[Item, asyncio.Future[Answer]]
"""A call, and what will say what became of it."""


class Batcher:
    """Sends calls to be accepted, many at once. Its owner runs `run` for as long as calls may be added.

    `heard` is told the version of the strikes that each batch was answered with.
    """

    def __init__(
        self,
        store: Store,
        link: Link,
        stamp: Callable[[], bytes],
        patience: float = PATIENCE,
        *,
        durable: int = 0,
        max_queue_length: int | None = None,
        heard: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._store = store
        self._link = link
        self._stamp = stamp
        self._patience = patience
        self._durable = durable
        self._longest = max_queue_length
        self._reached = 0
        self._trouble = ""
        self._producer = secrets.token_hex(8)
        self._batch = 0
        self._heard = heard
        self._remember_until = 0.0
        self._queue: deque[_Waiting] = deque()
        self._wanted = asyncio.Event()
        self._closing = False
        self._ended = False

    def post(self, item: Item) -> asyncio.Future[Answer]:
        """Have one call accepted: it travels with all others that are posted before the next request.

        A caller that is cancelled takes its call out while that is unsent; later, only its waiting ends.

        Raises:
            ServerUnreachable: it may or may not have been accepted; or nobody sends any more.
            Overloaded: the server refuses writes.
            Unreplicated: too few replicas have it.
            QueueFull: the queue holds as many tasks as it may.
            NotAccepted: the queue's key holds something else.
        """
        if self._ended:
            raise explained(_closed(), item)
        reply: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((item, reply))
        if not self._wanted.is_set():
            self._wanted.set()
        return reply

    def close(self) -> None:
        """Let `run` end once everything is sent."""
        self._closing = True
        self._wanted.set()

    async def run(self) -> None:
        """Send what is submitted, until closed."""
        try:
            while True:
                await self._wanted.wait()
                while batch := self._next():
                    await self._flush(batch)
                if self._closing:
                    return
                self._wanted.clear()
        finally:
            self._ended = True
            _fail(self._queue, _closed())

    def _next(self) -> list[_Waiting]:
        queue, batch, size = self._queue, list[_Waiting](), 0
        while queue:
            waiting = queue.popleft()
            if waiting[1].done():
                continue
            size += len(waiting[0].call)
            if batch and size > MOST_BYTES:
                queue.appendleft(waiting)
                break
            batch.append(waiting)
            if len(batch) == MOST_ITEMS:
                break
        return batch

    async def _flush(self, batch: list[_Waiting]) -> None:
        try:
            answers = await self._send([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the callers'
            _fail(batch, error)
            return
        except BaseException:  # it is being ended: those who wait for this batch have to be told
            _fail(batch, _closed())
            raise
        lacking = self._reached < self._durable
        for (item, reply), answer in zip(batch, answers, strict=True):
            if reply.done():
                continue
            if answer is _BAD:
                reply.set_exception(NotAccepted(f"the task {item.key!r} was not accepted: {self._trouble}"))
            elif answer is _FULL:
                reply.set_exception(
                    QueueFull(
                        f"queue {item.queue!r} holds max_queue_length={self._longest} tasks; the task "
                        f"{item.key!r} was not accepted: add it again later"
                    )
                )
            elif lacking:
                reply.set_exception(Unreplicated(answer, self._reached))
            else:
                reply.set_result(answer)

    async def _send(self, items: list[Item]) -> list[Answer]:
        queues = {item.queue for item in items}
        self._batch += 1
        now = time.monotonic()
        remember = now > self._remember_until
        deadline, backoff, moved = now + self._patience, Backoff(LONGEST_PAUSE), False
        while True:
            try:
                if missing := queues.difference(self._store.queues):
                    await self._store.enroll(self._link, missing)
                answers, strikes = await schedule(
                    self._store,
                    self._link,
                    self._producer,
                    self._batch,
                    items,
                    remember=remember,
                    longest=self._longest,
                    stamp=self._stamp(),
                )
                if self._durable:  # what else fails here is sent again: it may have another server then
                    self._reached = await replicated(self._link, self._durable, REPLICAS_PATIENCE_MS)
            except LateBatch:  # somebody else wrote there: what is noted under another name is our own
                self._producer, remember = secrets.token_hex(8), True
            except (ServerUnreachable, ResponseError) as error:
                failure, pause = classify(error), backoff.pause()
                again = failure in (Failure.TRANSIENT, Failure.RELOAD)
                if failure is Failure.REFUSED and needs_another_socket(error) and not moved:
                    # The server was made a replica: another socket may lead to its successor.
                    again = moved = True
                if not again or time.monotonic() + pause > deadline:
                    raise
                await asyncio.sleep(pause)
            else:
                self._heard(strikes)
                if _BAD in answers:
                    self._trouble = await self._diagnosed()
                if remember:
                    self._remember_until = now + PRODUCER_MEMORY_MS / 2000
                return answers

    async def _diagnosed(self) -> str:
        """Why calls were answered BAD, as far as it can be said."""
        try:
            return str(await self._store.diagnose(self._link))
        except (ServerUnreachable, ResponseError) as error:
            return f"a key of {self._store.keys.name!r} holds something else ({error})"


def _closed() -> ServerUnreachable:
    return ServerUnreachable("the client is closed")


def _fail(batch: Iterable[_Waiting], error: Exception) -> None:
    for item, reply in batch:
        if not reply.done():
            reply.set_exception(explained(error, item))


def explained(error: Exception, item: Item) -> Exception:
    """The error as one caller should see it."""
    if classify(error) is Failure.REFUSED:
        refused = Overloaded(
            f"the server refuses writes ({error}); the task {item.key!r} was not accepted: add it again later, or give "
            "the server more memory"
        )
        refused.__cause__ = error
        return refused
    if isinstance(error, ServerUnreachable):
        lost = ServerUnreachable(
            f"{error}. Whether the task {item.key!r} was accepted is not known: adding it again with key={item.key!r} "
            "is harmless"
        )
        lost.__cause__ = error
        return lost
    return error
