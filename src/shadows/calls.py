"""Calls of tasks before they are accepted: checked, and made into what travels."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, overload

from shadows.checks import check_duration
from shadows.clock import as_datetime, as_instant_us
from shadows.execution import Disposition, Execution, ExecutionState, Source
from shadows.payload.call import Call, decode_call, encode_call
from shadows.protocol.schedule import Item, Mode
from shadows.tasks.plan import Plan

MAX_CALL_BYTES = 1024 * 1024
LONGEST = timedelta(days=3650)


class Adding[**P, R](Protocol):
    """What `add` and `replace` answer: to be called with the task's own arguments, and awaited.

    The result's type is found here and not by overloads of `add`: among these, mypy gives up where a task has `Any` in
    its signature.
    """

    @overload
    def __call__[T](
        self: "Adding[P, Awaitable[T]]", *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, Execution[T]]: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, Execution[R]]: ...


@dataclass(slots=True)
class Prepared:
    """A call that was checked and encoded; what is done to its arguments from here on does not change it."""

    plan: Plan
    item: Item
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    due_us: int
    expires_us: int = 0

    def bearing(self, headers: dict[str, str] | None) -> "Prepared":
        """The same with headers that travel with it: of a trace."""
        if not headers:
            return self
        call = encode_call(decode_call(self.item.call)._replace(headers=headers))
        return replace(self, item=self.item._replace(call=call))

    def execution(self, source: Source, disposition: Disposition, state: ExecutionState) -> Execution[Any]:
        """The execution that it asked for, and what became of that."""
        return Execution(
            source,
            self.item.key,
            self.plan.name,
            args=self.args,
            kwargs=self.kwargs,
            queue=self.item.queue,
            when_us=self.due_us,
            disposition=disposition,
            state=state,
            expires=as_datetime(self.expires_us) if self.expires_us else None,
        )


@dataclass(frozen=True, slots=True)
class TaskCall:
    """One call of a task, to be accepted together with others: `shadows.call(greet, key="k")("Jane")` makes it.

    Attributes:
        function, function_name: the task, and its name.
        args, kwargs: its arguments.
        key: the idempotency key, so that handing the same call over twice is harmless.
        when: the instant that it is to run at.
        queue: the queue it goes through; None: the task's own.
        unique_for, expires: as of `Shadow.add`.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    key: str
    when: datetime
    function_name: str = ""
    queue: str | None = None
    unique_for: timedelta | None = None
    expires: datetime | timedelta | None = None
    prepared: Prepared | None = field(default=None, repr=False, compare=False)


def unique_ms(unique_for: timedelta | None) -> int:
    """For how long a key stays taken after the end.

    Raises:
        ValueError: nothing, or more than ten years.
    """
    if unique_for is None:
        return 0
    check_duration("unique_for", unique_for)
    if not timedelta(0) < unique_for <= LONGEST:
        raise ValueError(
            f"unique_for={unique_for!r}: how long the key stays taken after the end; more than nothing and ten years at "
            "most, or leave it out"
        )
    return -(-unique_for // timedelta(milliseconds=1))


def check_expires(expires: datetime | timedelta | None, when_us: int | None) -> None:
    """Refuse an expiry that no run could precede.

    Raises:
        ValueError: a delta of nothing, an instant without a timezone, or one that is not after the instant it is due.
        TypeError: neither an instant nor a delta.
    """
    if isinstance(expires, timedelta):
        if not timedelta(0) < expires <= LONGEST:
            raise ValueError(
                f"expires={expires!r}: how long after it is due it may still start; more than nothing and ten years at "
                "most, or leave it out"
            )
    elif expires is not None and as_instant_us(expires) <= (when_us or 0):
        raise ValueError(
            f"expires={expires.isoformat()} is not after the instant it is due, so it would never run"
        )


def prepare(
    plan: Plan,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    now_us: int,
    when_us: int | None,
    key: str,
    queue: str,
    mode: Mode = Mode.ADD,
    unique: int = 0,
    expires: datetime | timedelta | None = None,
) -> Prepared:
    """Check a call's arguments and fix what travels.

    Raises:
        TypeError: arguments that do not fit, are injected, or cannot travel (EncodingError).
        ValueError: they are too large.
    """
    arguments = plan.encode(args, kwargs)
    due_us = now_us if when_us is None else when_us
    expires_us = 0
    if isinstance(expires, timedelta):
        expires_us = max(due_us, now_us) + expires // timedelta(microseconds=1)
    elif expires is not None:
        expires_us = max(as_instant_us(expires), 1)  # (0 is never)
    call = check_size(plan.name, encode_call(Call(plan.name, arguments, due_us, expires_us=expires_us)))
    instant_ms = 0 if when_us is None else -(-when_us // 1000)
    item = Item(key, queue, instant_ms, call, mode, unique)
    return Prepared(plan, item, args, kwargs, due_us, expires_us)


def check_size(task: str, call: bytes) -> bytes:
    """The encoded call, if it is not too large.

    Raises:
        ValueError: where it is.
    """
    if len(call) > MAX_CALL_BYTES:
        raise ValueError(
            f"{task}: its arguments take {len(call):,} bytes, a call may have {MAX_CALL_BYTES:,}: store the data elsewhere "
            "and pass a reference to it"
        )
    return call
