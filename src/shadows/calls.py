"""Calls of tasks before they are accepted: checked, and made into what travels."""

from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol, overload

from shadows.checks import check_duration
from shadows.clock import Clock, as_datetime, as_instant_us
from shadows.execution import Disposition, Execution, ExecutionState, Source, answered
from shadows.payload.call import decode_call, encode_call, encode_first
from shadows.protocol.schedule import Item, Mode
from shadows.tasks.plan import Plan

MAX_CALL_BYTES = 1024 * 1024
LONGEST = timedelta(days=3650)

type Span = timedelta | None
"""For how long a key stays taken after the end; None: not at all."""
type End = datetime | timedelta | None
"""By when a call must have started, or how long after it is due; None: whenever."""


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


class Prepared(NamedTuple):
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
        return self._replace(item=self.item._replace(call=call))

    def execution(self, source: Source, disposition: Disposition, state: ExecutionState) -> Execution[Any]:
        """The execution that it asked for, and what became of that."""
        item = self.item
        return answered(
            source,
            item.key,
            self.plan.name,
            self.args,
            self.kwargs.copy() if self.kwargs else {},
            item.queue,
            self.due_us,
            disposition,
            state,
            as_datetime(self.expires_us) if self.expires_us else None,
        )


class _Facts(NamedTuple):
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    key: str
    when: datetime
    function_name: str
    queue: str | None
    unique_for: timedelta | None
    expires: datetime | timedelta | None


class TaskCall:
    """One call of a task, to be accepted together with others: `shadows.call(greet, key="k")("Jane")` makes it.

    One that was made so says what it is where it is asked: most of a million are not.
    """

    __slots__ = ("_facts", "_told", "prepared")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        key: str,
        when: datetime,
        function_name: str = "",
        queue: str | None = None,
        unique_for: Span = None,
        expires: End = None,
    ) -> None:
        self._facts: _Facts | None = _Facts(
            function, args, kwargs, key, when, function_name, queue, unique_for, expires
        )
        self._told: tuple[Span, End] = unique_for, expires
        self.prepared: Prepared | None = None
        """What travels; None for one that was made by hand, whose arguments nobody has looked at."""

    @staticmethod
    def of(prepared: Prepared, told: tuple[Span, End]) -> "TaskCall":
        """One of what travels, and of the `unique_for` and `expires` that it was made with."""
        call = object.__new__(TaskCall)
        call.prepared = prepared
        call._told = told
        call._facts = None
        return call

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self._all()._asdict().items())
        return f"TaskCall({said})"

    def __eq__(self, other: object) -> bool:
        return self._all() == other._all() if isinstance(other, TaskCall) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its arguments may have none

    @property
    def function(self) -> Callable[..., Any]:
        """The task."""
        return self._all().function

    @property
    def function_name(self) -> str:
        """The task's name."""
        return self._all().function_name

    @property
    def args(self) -> tuple[Any, ...]:
        """Its arguments by position."""
        return self._all().args

    @property
    def kwargs(self) -> dict[str, Any]:
        """Its arguments by name."""
        return self._all().kwargs

    @property
    def key(self) -> str:
        """The idempotency key, so that handing the same call over twice is harmless."""
        return self._all().key

    @property
    def when(self) -> datetime:
        """The instant that it is to run at."""
        return self._all().when

    @property
    def queue(self) -> str | None:
        """The queue it goes through; None: the task's own."""
        return self._all().queue

    @property
    def unique_for(self) -> Span:
        """As of `Shadow.add`."""
        return self._told[0]

    @property
    def expires(self) -> End:
        """As of `Shadow.add`."""
        return self._told[1]

    def _all(self) -> _Facts:
        facts, ready = self._facts, self.prepared
        if facts is None:
            assert ready is not None  # noqa: S101 - it has one of them
            plan, item = ready.plan, ready.item
            facts = self._facts = _Facts(
                plan.function, ready.args, ready.kwargs, item.key, as_datetime(ready.due_us), plan.name, item.queue, *self._told
            )  # fmt: skip
        return facts


def unique_ms(unique_for: Span) -> int:
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


def check_expires(expires: End, when_us: int | None) -> None:
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


def preparer(
    plan: Plan,
    clock: Clock,
    when_us: int | None,
    queue: str,
    mode: Mode,
    unique: int,
    expires: End,
) -> Callable[[str, tuple[Any, ...], dict[str, Any]], Prepared]:
    """What makes calls of a task, all alike but for their keys and arguments.

    It raises:
        TypeError: arguments that do not fit, are injected, or cannot travel (EncodingError).
        ValueError: they are too large.
    """
    encode, name = plan.encode, plan.name
    instant_ms = 0 if when_us is None else -(-when_us // 1000)

    def prepare(key: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Prepared:
        arguments = encode(args, kwargs)
        due_us = clock.now_us() if when_us is None else when_us
        expires_us = 0
        if expires is not None:
            expires_us = _expires_us(expires, due_us if when_us is None else max(due_us, clock.now_us()))
        call = encode_first(name, arguments, due_us, expires_us)
        if len(call) > MAX_CALL_BYTES:
            check_size(name, call)
        item = tuple.__new__(Item, (key, queue, instant_ms, call, mode, unique))
        return tuple.__new__(Prepared, (plan, item, args, kwargs, due_us, expires_us))

    return prepare


def _expires_us(expires: datetime | timedelta, due_us: int) -> int:
    if isinstance(expires, timedelta):
        return due_us + expires // timedelta(microseconds=1)
    return max(as_instant_us(expires), 1)  # (0 is never)


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
