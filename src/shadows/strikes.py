"""What is not to be run: strikes, and how an execution's arguments are held against them."""

import enum
import inspect
import logging
import operator as operators
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, cast

from shadows.errors import PayloadError
from shadows.payload.adapter import is_list
from shadows.payload.values import decode_value, encode_value

logger = logging.getLogger("shadows.strikes")

MOST_BYTES = 1024
"""What one strike may take: it is held against every call."""


class Operator(enum.StrEnum):
    """How an argument is compared with a strike's value."""

    EQUAL = "=="
    NOT_EQUAL = "!="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    BETWEEN = "between"
    """Within two values, both of them included."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One strike: a task (empty: all), or those of its executions of which an argument compares so with a value."""

    function: str
    parameter: str
    operator: Operator
    value: Any

    def __str__(self) -> str:
        task = self.function or "every task"
        return f"{task} where {self.parameter} {self.operator} {self.value!r}" if self.parameter else task

    @classmethod
    def of(
        cls,
        function: str | None = None,
        parameter: str | None = None,
        operator: str = "==",
        value: object = None,
    ) -> Self:
        """A strike, checked.

        Raises:
            ValueError: an unknown operator, a value or operator without a parameter, or a value that cannot be compared so.
            EncodingError: a value that cannot travel.
        """
        try:
            checked = Operator(operator)
        except ValueError:
            known = " ".join(Operator)
            raise ValueError(f"operator={operator!r}: one of {known}") from None
        if not parameter and (value is not None or checked is not Operator.EQUAL):
            raise ValueError(
                f"operator={checked.value!r}, value={value!r} without a parameter: name the parameter that is compared, "
                "or leave all three out to strike the whole task"
            )
        if checked is Operator.BETWEEN:
            value = _range(value)
        elif checked not in (Operator.EQUAL, Operator.NOT_EQUAL) and value is None:
            raise ValueError(f"value=None with operator={checked.value!r}: nothing is more or less than None")
        strike = cls(function or "", parameter or "", checked, _plain(value))
        if len(strike.field) > MOST_BYTES:
            raise ValueError(
                f"value: a strike may take {MOST_BYTES:,} bytes, this one has {len(strike.field):,}: strike a shorter value"
            )
        return strike

    @property
    def field(self) -> bytes:
        """The strike as it is stored."""
        return encode_value(
            [self.function, self.parameter, self.operator.value, self.value], "the value of the strike"
        )

    @classmethod
    def read(cls, field: bytes) -> Self:
        """The strike that was stored.

        Raises:
            PayloadError: something else was.
        """
        found = decode_value(field)
        if is_list(found) and len(found) == 4:
            function, parameter, operator, value = found
            if (
                isinstance(function, str)
                and isinstance(parameter, str)
                and isinstance(operator, str)
                and operator in Operator
            ):
                return cls(function, parameter, Operator(operator), value)
        raise PayloadError("the stored strike is of no kind that this version knows")

    def matches(self, argument: object) -> bool:
        """Whether an argument is what is stricken; whatever its comparison raises means that it is not."""
        return bool(_COMPARE[self.operator](argument, self.value))


def _between(argument: Any, value: Any) -> bool:
    least, greatest = value
    return bool(least <= argument <= greatest)


_COMPARE: Mapping[Operator, Callable[[Any, Any], object]] = {
    Operator.EQUAL: operators.eq,
    Operator.NOT_EQUAL: operators.ne,
    Operator.GREATER: operators.gt,
    Operator.GREATER_OR_EQUAL: operators.ge,
    Operator.LESS: operators.lt,
    Operator.LESS_OR_EQUAL: operators.le,
    Operator.BETWEEN: _between,
}


def _range(value: object) -> list[object]:
    if not isinstance(value, list | tuple) or len(both := list(cast("Sequence[object]", value))) != 2:
        raise ValueError(
            f"value={value!r} with operator='between': two values, the least and the greatest, as (1, 10)"
        )
    least, greatest = map(_plain, both)
    try:
        sound = bool(cast("Any", least) <= greatest)
    except TypeError:
        sound = False
    if not sound:
        raise ValueError(
            f"value={value!r} with operator='between': the least comes first, and both are of one kind"
        )
    return [least, greatest]


def _plain(value: object) -> object:
    """What a member of an Enum stands for: so it can be stricken by hand, and travels."""
    return value.value if isinstance(value, enum.Enum) else value


class Rules:
    """All strikes in effect, arranged so that a call is held against few of them."""

    __slots__ = ("_all", "_everything", "_tasks", "_where")

    def __init__(self, strikes: Iterable[Strike] = ()) -> None:
        self._all = tuple(strikes)
        self._everything = any(not (strike.function or strike.parameter) for strike in self._all)
        self._tasks = {strike.function for strike in self._all if strike.function and not strike.parameter}
        self._where: dict[str, dict[str, _Comparisons]] = {}
        for strike in self._all:
            if strike.parameter:
                parameters = self._where.setdefault(strike.function, {})
                parameters.setdefault(strike.parameter, _Comparisons()).add(strike)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Strike]:
        return iter(self._all)

    def strike(self, function: str, arguments: Callable[[], Mapping[str, Any]]) -> bool:
        """Whether a call of a task is stricken; its arguments by name are asked for only where they matter."""
        if self._everything or function in self._tasks:
            return True
        chosen = [rules for name in {function, ""} if (rules := self._where.get(name))]
        if not chosen:
            return False
        given = arguments()
        return any(
            comparisons.match(_plain(given[parameter]))
            for rules in chosen
            for parameter, comparisons in rules.items()
            if parameter in given
        )


class _Comparisons:
    """The strikes of one parameter: those of equality are looked up, all others asked one by one."""

    __slots__ = ("_equal", "_others", "_told")

    def __init__(self) -> None:
        self._equal: dict[Any, Strike] = {}
        self._others: list[Strike] = []
        self._told: set[int] = set()

    def add(self, strike: Strike) -> None:
        """Take one in."""
        if strike.operator is Operator.EQUAL:
            with suppress(
                TypeError
            ):  # a tuple with a list in it, and Decimal("sNaN"), only look as if they had a hash
                self._equal[strike.value] = strike
                return
        self._others.append(strike)

    def match(self, argument: object) -> bool:
        """Whether any of them matches."""
        try:
            if argument in self._equal:
                return True
            asked = self._others
        except Exception:  # noqa: BLE001 - an argument without a hash, or one whose own comparison fails
            asked = [*self._equal.values(), *self._others]
        return any(self._asked(strike, argument) for strike in asked)

    def _asked(self, strike: Strike, argument: object) -> bool:
        try:
            return strike.matches(argument)
        except Exception:  # noqa: BLE001 - whatever a comparison raises, it has no answer
            if id(strike) not in self._told:
                self._told.add(id(strike))
                logger.warning(
                    "strike cannot be compared task=%s parameter=%s operator=%s value=%s argument=%s: such calls are run",
                    strike.function or "*",
                    strike.parameter,
                    strike.operator.value,
                    type(strike.value).__name__,
                    type(argument).__name__,
                )
            return False


def check_parameter(
    function: str, signature: inspect.Signature, injected: Collection[str], parameter: str | None
) -> None:
    """Refuse a parameter that no call of a task can have.

    Raises:
        ValueError: it is not there, or injected.
    """
    parameters = signature.parameters
    if not parameter or any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return
    offered = [name for name in parameters if name not in injected]
    if parameter not in offered:
        raise ValueError(
            f"parameter={parameter!r}: {function} has the parameters {', '.join(offered) or '(none)'}; where another "
            "version of it has that one, give its name instead of the function"
        )


def arguments_of(
    signature: inspect.Signature, injected: Collection[str], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """A call's arguments by the names of their parameters: defaults among them, what is injected not.

    What was passed by a name that no parameter has stands under that name.
    """
    try:
        bound = signature.bind_partial(*args, **kwargs)
    except TypeError:  # of another version of the task: what has a name is compared
        return dict(kwargs)
    bound.apply_defaults()
    found: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            found |= value
        elif name not in injected:
            found[name] = value
    return found
