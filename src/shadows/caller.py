"""Caller: the part of the client that hands calls over, one or many, now or later."""

from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from typing import Any, overload

from shadows.calls import Adding, Prepared, TaskCall, check_expires, preparer, unique_ms
from shadows.clock import Clock, as_instant_us
from shadows.delivery import Delivery
from shadows.execution import Disposition, Execution
from shadows.protocol.batcher import MOST_ITEMS
from shadows.protocol.keys import check_key, check_queue, random_key
from shadows.protocol.schedule import Mode
from shadows.tasks.collections import load_collection
from shadows.tasks.function import check_function, name_of
from shadows.tasks.plan import Plan
from shadows.tasks.registry import Registry


class Caller:
    """What of a `Shadow` takes calls; what becomes of them is its `Delivery`'s."""

    clock: Clock
    tasks: Registry
    _delivery: Delivery

    def register(
        self, function: Callable[..., Any], names: Iterable[str] | None = None, queue: str | None = None
    ) -> None:
        """Make a task known to this shadow's workers, under its own name or under others.

        Args:
            function: a sync or async function, method, partial or callable object.
            names: the names it goes by. Default: its `__name__`.
            queue: the queue that its executions go through unless `add` names another. Default "default".

        Raises:
            InvalidTask: it cannot be a task, its dependencies conflict, or another task has the name.
        """
        self.tasks.register(function, names, queue)

    def register_collection(self, path: str, queue: str | None = None) -> None:
        """Make all tasks known that `module:member` holds: a task, an iterable of them, or a mapping of names to them.

        Raises:
            InvalidTask: it cannot be imported, or holds something that is not a task.
        """
        for function, names in load_collection(path):
            self.tasks.register(function, names, queue)

    @overload
    def add[**P, R](
        self,
        function: Callable[P, R],
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Adding[P, R]: ...
    @overload
    def add(
        self,
        function: str,
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[..., Coroutine[Any, Any, Execution[Any]]]: ...
    def add(
        self,
        function: Callable[..., Any] | str,
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[..., Coroutine[Any, Any, Execution[Any]]]:
        """Have a task run, now or later: `await shadows.add(greet, when=…)("Jane")`.

        Args:
            function: the task, or the name of one that is registered (its arguments are then not checked by types).
            when: an aware datetime; in the past, or None: at once. Never earlier.
            key: the idempotency key: while an execution with it is unfinished, adding another changes nothing, and answers
                the one that stands. Default: a random one.
            queue: the queue it goes through. Default: the task's own.
            unique_for: how long the key stays taken after the end, too. Default: free at once.
            expires: the instant, or how long after it is due, by which it must have started: else it ends as expired.
                Default: never.

        Returns:
            A function that takes the task's arguments and, awaited, answers once the call is accepted: from then on it
            will run. Where it is stricken it will not: the answer's disposition is STRUCK, and the call is kept among the
            dead letters.

        Raises:
            InvalidTask, KeyError: it cannot be a task; no task has the name.
            InvalidName: a key or queue that cannot be used.
            ValueError: an instant without a timezone, or a duration that makes no sense.
            TypeError: arguments that do not fit, are injected, or cannot travel (EncodingError).
            Overloaded: the server refuses writes; nothing was accepted.
            QueueFull: the queue holds `max_queue_length` tasks; nothing was accepted.
            NotReplicated: accepted, but fewer replicas than `durable` have it: do not add it again.
            ServerUnreachable: no answer; adding again with the same key (the message has it) is harmless.
        """
        if key is not None:
            check_key(key)
        build = self._builder(function, when, queue, Mode.ADD, unique_for, expires)
        return lambda *args, **kwargs: self._delivery.accept(build(key or random_key(), args, kwargs))

    @overload
    def replace[**P, R](
        self,
        function: Callable[P, R],
        when: datetime | None,
        key: str,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Adding[P, R]: ...
    @overload
    def replace(
        self,
        function: str,
        when: datetime | None,
        key: str,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[..., Coroutine[Any, Any, Execution[Any]]]: ...
    def replace(
        self,
        function: Callable[..., Any] | str,
        when: datetime | None,
        key: str,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[..., Coroutine[Any, Any, Execution[Any]]]:
        """Have a task run instead of what stands under the key, in one step; where nothing does, it is added.

        What waits under the key never runs. What runs goes on to its end, which no longer counts as the key's. Where the
        call is stricken, nothing is replaced.

        Args and Raises: as `add`; `when=None` is at once.
        """
        check_key(key)
        build = self._builder(function, when, queue, Mode.REPLACE, unique_for, expires)
        return lambda *args, **kwargs: self._delivery.accept(build(key, args, kwargs))

    @overload
    def call[**P](
        self,
        function: Callable[P, Any],
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[P, TaskCall]: ...
    @overload
    def call(
        self,
        function: str,
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[..., TaskCall]: ...
    def call(
        self,
        function: Callable[..., Any] | str,
        when: datetime | None = None,
        key: str | None = None,
        *,
        queue: str | None = None,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[..., TaskCall]:
        """Make a call for `add_many` or `replace_many`: `shadows.call(greet, key="k")("Jane")`. Nothing is sent.

        Args and Raises: as `add`; the arguments are checked here.
        """
        if key is not None:
            check_key(key)
        build = self._builder(function, when, queue, Mode.ADD, unique_for, expires)

        told = unique_for, expires
        return lambda *args, **kwargs: TaskCall.of(build(key or random_key(), args, kwargs), told)

    async def add_many(
        self, calls: Iterable[TaskCall], *, chunk_size: int = MOST_ITEMS
    ) -> list[Execution[Any]]:
        """Have many calls accepted, a chunk a request, the next on its way while the last one's answers are read.

        Each call stands by itself, as if it were added alone; of equal keys the first wins.

        Args:
            calls: what `call` made; an iterable is only drawn from as fast as its calls are accepted.
            chunk_size: how many to hand over at a time; the server takes 200 of them a request.

        Returns:
            An execution a call, in order.

        Raises:
            ValueError: a `chunk_size` below 1.
            TypeError: something that `call` did not make.
            NotAccepted, NotReplicated, Overloaded, QueueFull, ServerUnreachable: as `add`; a note on it says how many were accepted. Handing all of
                them over again is harmless: they keep their keys.
        """
        return await self._delivery.accept_many(map(self._prepared, calls), chunk_size, Mode.ADD)

    async def replace_many(
        self, calls: Iterable[TaskCall], *, chunk_size: int = MOST_ITEMS
    ) -> list[Execution[Any]]:
        """Have many calls accepted instead of what stands under their keys; of equal keys the last wins.

        Args, Returns and Raises: as `add_many`.
        """
        return await self._delivery.accept_many(map(self._prepared, calls), chunk_size, Mode.REPLACE)

    async def schedule(self, execution: Execution[Any]) -> Execution[Any]:
        """Have an execution accepted that was made by hand, with the key, task, arguments, queue and instants it names.

        Returns:
            The same; its disposition and state say what became of it.

        Raises:
            KeyError: no task has its name.
            As `add`.
        """
        build = self._builder(
            execution.function_name,
            execution.when,
            execution.queue or None,
            Mode.ADD,
            expires=execution.expires,
        )
        ready = build(check_key(execution.key), execution.args, execution.kwargs)
        answered = await self._delivery.accept(ready)
        execution.disposition, execution.state = answered.disposition, answered.state
        execution.queue, execution.when = answered.queue, answered.when
        return await execution.sync() if answered.disposition is Disposition.ALREADY_SCHEDULED else execution

    def names_of(self, function: Callable[..., Any]) -> list[str]:
        """The names that a task goes by here; where it is not known, the one that it would have.

        Raises:
            InvalidTask: it cannot be a task.
        """
        known = [plan.name for plan in self.plans() if plan.function == function]
        return known or [name_of(check_function(function))]

    def plan(self, function_name: str) -> Plan | None:
        """The plan of the task with that name; None where this shadow does not know it."""
        return self.tasks.find(function_name)

    def plans(self) -> list[Plan]:
        """The plans of all known tasks."""
        return [plan for name in self.tasks if (plan := self.tasks.find(name))]

    def _builder(
        self,
        function: Callable[..., Any] | str,
        when: datetime | None,
        queue: str | None,
        mode: Mode,
        unique_for: timedelta | None = None,
        expires: datetime | timedelta | None = None,
    ) -> Callable[[str, tuple[Any, ...], dict[str, Any]], Prepared]:
        """Check everything but the arguments; the answer makes calls of these, under a key."""
        plan = self._plan(function)
        when_us = None if when is None else as_instant_us(when)
        target = plan.queue if queue is None else check_queue(queue)
        unique = unique_ms(unique_for)
        check_expires(expires, when_us)
        return preparer(plan, self.clock, when_us, target, mode, unique, expires)

    def preparer(
        self, function: Callable[..., Any] | str, when: datetime | None, key: str | None, queue: str | None
    ) -> Callable[..., Prepared]:
        """What takes a task's arguments and makes what travels, to be sent by another way than `add`."""
        chosen = random_key() if key is None else check_key(key)
        build = self._builder(function, when, queue, Mode.ADD)
        return lambda *args, **kwargs: build(chosen, args, kwargs)

    def _prepared(self, call: TaskCall) -> Prepared:
        """A call as it travels; one that was made by hand is checked here."""
        if not isinstance(call, TaskCall):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without a type checker
            raise TypeError(f"{call!r} is not a TaskCall: make it with shadows.call(function)(…)")
        if call.prepared is not None:
            return call.prepared
        build = self._builder(
            call.function_name or call.function,
            call.when,
            call.queue,
            Mode.ADD,
            call.unique_for,
            call.expires,
        )
        return build(check_key(call.key), call.args, call.kwargs)

    def _plan(self, function: Callable[..., Any] | str) -> Plan:
        if not isinstance(function, str):
            return self.tasks.add(function)
        plan = self.tasks.find(function)
        if plan is None:
            raise KeyError(
                f"no task is called {function!r}: register it first, with register(…) or register_collection(…)"
            )
        return plan
