"""The plan of a task: what its signature asks for, worked out once, so that the hot path only follows it."""

import inspect
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

from shadows.dependencies.arguments import Argument
from shadows.errors import EncodingError, InvalidTask
from shadows.payload.adapter import Adapter
from shadows.payload.call import decode_arguments, encode_arguments
from shadows.payload.typed import adapter_for

from .annotations import dependencies_of, hints_of, logged_marks
from .function import Function, runs_async

_Kind = inspect.Parameter
_POSITIONAL = (_Kind.POSITIONAL_ONLY, _Kind.POSITIONAL_OR_KEYWORD)
_BY_NAME = (_Kind.POSITIONAL_OR_KEYWORD, _Kind.KEYWORD_ONLY)


class Plan:
    """How one task is called: which arguments it takes, how they travel, and what is injected."""

    __slots__ = (
        "_adapters", "_defaults", "_most", "_named", "_needed", "_positional", "_rest", "_simple", "_spread", "automatic",
        "behaviours", "function", "injected", "injects", "is_async", "logged", "name", "offered", "queue", "result_adapter",
        "signature", "wrapping",
    )  # fmt: skip

    def __init__(self, function: Function, name: str, queue: str) -> None:
        self.function = function
        self.name = name
        self.queue = queue
        self.is_async = runs_async(function)
        self.signature = inspect.signature(function)
        hints = hints_of(function)
        asked = dependencies_of(function, name, hints)
        self.injected, self.wrapping, self.behaviours = asked.injected, asked.wrapping, asked.behaviours()
        self.injects = bool(self.injected or self.wrapping)
        self.automatic = any(one.starts_us(0) is not None for _, one in self.behaviours)
        parameters = self.signature.parameters
        self._adapters: dict[str, Adapter] = {
            parameter: adapter
            for parameter in parameters
            if parameter in hints and parameter not in self.injected
            for adapter in [adapter_for(hints[parameter])]
            if adapter is not None
        }
        self.result_adapter = adapter_for(hints["return"]) if "return" in hints else None
        self.logged = {parameter: mark for parameter, hint in hints.items() for mark in logged_marks(hint)}
        for parameter in self.injected:
            if parameters[parameter].kind is _Kind.POSITIONAL_ONLY:
                raise InvalidTask(
                    f"{name}: the injected parameter {parameter!r} is positional-only: move the / before it"
                )
        self.offered = _offered(self.signature, self.injected)
        self._check_dependencies()
        offered = self.offered.parameters.values()
        own = [p for p in offered if p.kind in _POSITIONAL]
        self._positional = tuple(p.name for p in own)
        self._named = {p.name for p in offered if p.kind in _BY_NAME}
        self._spread = next((p.name for p in offered if p.kind is _Kind.VAR_POSITIONAL), "")
        self._rest = next((p.name for p in offered if p.kind is _Kind.VAR_KEYWORD), "")
        self._defaults = {p.name: p.default for p in offered if p.default is not _Kind.empty}
        if self._spread:
            self._defaults[self._spread] = ()
        self._most = len(own)
        self._needed = sum(p.default is _Kind.empty for p in own)
        self._simple = not any(p.kind is _Kind.KEYWORD_ONLY and p.default is _Kind.empty for p in offered)

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """The arguments as they travel.

        Raises:
            TypeError: they do not fit the signature, or one is injected (and so not the caller's to pass).
            EncodingError: one cannot travel; the message names it.
        """
        if kwargs or not self._simple or not self._needed <= len(args) <= self._most:
            self._check(args, kwargs)
        if self._adapters:
            args, kwargs = self._lower(args, kwargs)
        try:
            return encode_arguments(args, kwargs, self._positional)
        except EncodingError as error:
            raise EncodingError(f"{self.name}: {error}") from error

    def decode(self, data: bytes) -> tuple[Sequence[Any], dict[str, Any]]:
        """The arguments that `encode` wrote, of the same types.

        Raises:
            PayloadError: the bytes are damaged, or do not fit the annotations.
        """
        args, kwargs = decode_arguments(data)
        if not self._adapters:
            return args, kwargs
        lifted = [
            adapter.lift(value, f"parameter {name!r}") if (adapter := self._adapters.get(name)) else value
            for name, value in zip(self._names(len(args)), args, strict=True)
        ]
        return lifted, {
            name: adapter.lift(value, f"parameter {name!r}") if (adapter := self._adapter(name)) else value
            for name, value in kwargs.items()
        }

    def bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by the names of their parameters; those that are injected or missing are left out.

        Raises:
            TypeError: they do not fit.
        """
        if not kwargs and len(args) <= self._most:
            return dict(zip(self._positional, args, strict=False))
        return dict(self.signature.bind_partial(*args, **kwargs).arguments)

    def named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by name, defaults included; those that only `**` takes by their own names.

        Raises:
            TypeError: they do not fit.
        """
        if not kwargs and self._simple and self._needed <= len(args) <= self._most:
            return {**self._defaults, **dict(zip(self._positional, args, strict=False))}
        given = self.offered.bind(*args, **kwargs)
        given.apply_defaults()
        named = dict(given.arguments)
        return {**named.pop(self._rest, {}), **named}

    def starts_us(self, now_us: int) -> int | None:
        """When workers are to start the task of their own accord, in microseconds; None: never."""
        starts = [start for _, one in self.behaviours if (start := one.starts_us(now_us)) is not None]
        return min(starts, default=None)

    def shown(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """The arguments for a log line: only those that are annotated `Logged`."""
        if not self.logged:
            return "…" if args or kwargs else ""
        try:
            given = self.bound(args, kwargs)
        except TypeError:
            return "…"
        return ", ".join(
            f"{name}={mark.show(given[name]) if (mark := self.logged.get(name)) else '…'}" for name in given
        )

    def _check_dependencies(self) -> None:
        seen: dict[Hashable, str] = {}
        for parameter, behaviour in self.behaviours:
            try:
                behaviour.check(self.offered)
            except ValueError as error:
                raise InvalidTask(f"{self.name}: the parameter {parameter!r}: {error}") from None
            identity = behaviour.identity()
            if identity is not None and identity in seen:
                raise InvalidTask(
                    f"{self.name}: {seen[identity]!r} and {parameter!r} are the same {type(behaviour).__name__} twice: "
                    "remove one"
                )
            seen[identity] = parameter
        for parameter, dependency in self.injected.items():
            if isinstance(dependency, Argument) and dependency.name is None:
                raise InvalidTask(
                    f"{self.name}: TaskArgument() as the default of {parameter!r} stands for itself: name the argument, or "
                    "use it in a function that the task depends on"
                )

    def _check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        positional = [p.name for p in self.signature.parameters.values() if p.kind in _POSITIONAL]
        if passed := self.injected.keys() & {*positional[: len(args)], *kwargs}:
            raise TypeError(
                f"{self.name}: {', '.join(map(repr, sorted(passed)))} is injected where the task runs: leave it out "
                "(arguments behind it are passed by name)"
            )
        try:
            self.offered.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}; its signature is {self.name}{self.offered}") from None

    def _lower(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        try:
            lowered = tuple(
                adapter.lower(value, f"parameter {name!r}")
                if (adapter := self._adapters.get(name))
                else value
                for name, value in zip(self._names(len(args)), args, strict=True)
            )
            return lowered, {
                name: adapter.lower(value, f"parameter {name!r}")
                if (adapter := self._adapter(name))
                else value
                for name, value in kwargs.items()
            }
        except EncodingError as error:
            raise EncodingError(f"{self.name}: {error}") from error

    def _names(self, count: int) -> Sequence[str]:
        surplus = count - len(self._positional)
        return (*self._positional[:count], *[self._spread] * surplus)

    def _adapter(self, name: str) -> Adapter | None:
        """The adapter of a named argument; what no parameter is named for goes to the `**` one."""
        return self._adapters.get(name if name in self._named else self._rest)


def _offered(signature: inspect.Signature, injected: Collection[str]) -> inspect.Signature:
    """The signature that callers see: without what is injected, and what stands behind it only by name."""
    parameters = list(signature.parameters.values())
    first = next((i for i, p in enumerate(parameters) if p.name in injected), len(parameters))
    behind = [
        p.replace(kind=_Kind.KEYWORD_ONLY) if p.kind in _POSITIONAL else p
        for p in parameters[first:]
        if p.name not in injected and p.kind is not _Kind.VAR_POSITIONAL
    ]
    return signature.replace(parameters=[*parameters[:first], *behind])
