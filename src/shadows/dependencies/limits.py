"""Limits: what every kind of them has in common. They are claimed before anything of the task is entered.

A limit is of one function, or of one value of one of its arguments: each value has its own. With `scope=` all functions
that name the same scope share it.
"""

import copy
import hashlib
import inspect
from abc import abstractmethod
from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any, ClassVar, cast

from shadows.checks import check_duration
from shadows.protocol.acquire import Claim

from .behaviour import Asking, Behaviour

_MOST_BYTES = 200
_MISSING: Any = object()


class Limit[T](Behaviour[T]):
    """The base of limits.

    Attributes:
        argument_name: the argument whose values are limited apart; None: the function as a whole.
        scope: what is shared with other functions; None: nothing.
    """

    again: ClassVar[bool] = True
    """Whether a run that started once before comes under it again when it is tried again."""

    def __init__(self, argument_name: str | None, scope: str | None) -> None:
        if scope is not None and (not scope or not scope.isprintable()):
            raise ValueError(f"scope={scope!r}: printable text, or leave it out")
        self.argument_name = argument_name
        self.scope = scope

    @abstractmethod
    def claim(self, name: str) -> Claim:
        """The claim, under a name."""

    def bind_to_parameter(self, name: str, value: Any) -> "Limit[T]":  # noqa: ARG002 - the value is found by name
        if self.argument_name is not None:
            return self
        bound = copy.copy(self)
        bound.argument_name = name
        return bound

    def check(self, offered: inspect.Signature) -> None:
        named = self.argument_name
        kinds = {parameter.kind for parameter in offered.parameters.values()}
        if named is None or named in offered.parameters or inspect.Parameter.VAR_KEYWORD in kinds:
            return
        raise ValueError(
            f"{type(self).__name__}({named!r}, …) names no argument that callers pass: it has "
            f"{', '.join(map(repr, offered.parameters)) or 'none'}"
        )

    def identity(self) -> Hashable:
        return type(self), self.scope, self.argument_name

    def claims(self, asking: Asking) -> Sequence[Claim]:
        if not self.again and asking.begun:
            return ()
        name = f"scope/{self.scope}" if self.scope is not None else f"function/{asking.task}"
        if self.argument_name is not None:
            value = asking.arguments.get(self.argument_name, _MISSING)
            if value is _MISSING:
                raise ValueError(
                    f"{type(self).__name__}({self.argument_name!r}, …) of {asking.task}: the call has no such argument"
                )
            name = f"{name}/{self.argument_name}/{_text(value)}"
        return (self.claim(_short(name)),)


def window_ms(parameter: str, window: timedelta) -> int:
    """A window in milliseconds, rounded up.

    Raises:
        TypeError, ValueError: not a duration, or none above nothing.
    """
    check_duration(parameter, window)
    if window <= timedelta(0):
        raise ValueError(f"{parameter}={window!r}: a duration above nothing")
    return -(-window // timedelta(milliseconds=1))


def _text(value: object) -> str:
    """An argument's value as a part of a name: the same in every process."""
    if isinstance(value, AbstractSet):
        return ",".join(sorted(map(_text, cast("AbstractSet[object]", value))))
    return str(value)


def _short(name: str) -> str:
    """The name where it is printable text of a modest size, else its beginning and a hash of it."""
    data = name.encode(errors="surrogatepass")
    if len(data) <= _MOST_BYTES and name.isprintable():
        return name
    begun = "".join(letter for letter in name[:40] if letter.isprintable())
    return f"{begun}#{hashlib.blake2b(data, digest_size=16).hexdigest()}"
