"""What a class of named fields looks like from outside: its fields, how its state is read, how it is built again.

No constructor runs when an instance is built again, so what went in comes out, whatever a validator or
`__post_init__` would make of it a day later; msgspec.Struct, which can be built in no other way, has its fields set
once more afterwards. attrs and pydantic are known by their marks, and never imported.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, InitVar, dataclass
from functools import cached_property
from typing import Any, Final, cast

import msgspec

from shadows.payload.hints import hints_of

type State = dict[str, object]

_HASH: Final = "_attrs_cached_hash"
_FIELDS_SET: Final = "*fields_set"
_EXTRA: Final = "*extra"
_PRIVATE: Final = "*private"


@dataclass(frozen=True, slots=True)
class Shape:
    """A class of named fields.

    `hints` are its fields' annotations, in order; `defaults` makes the value of a field that a stored instance lacks.
    `read` answers an instance's state: its fields, and beyond them what else belongs to it. `build` makes an instance
    of fields and of that rest. `refusal` says why instances cannot travel, if so.
    """

    hints: Mapping[str, object]
    defaults: Mapping[str, Callable[[], object]]
    read: Callable[[Any], State]
    build: Callable[[State, State], object]
    refusal: str = ""


def is_record(kind: type) -> bool:
    """Whether a class is one whose shape is known."""
    return any(matches(kind) for matches, _ in _KINDS)


def shape_of(kind: type) -> Shape:
    """The shape of a class that `is_record`."""
    return next(describe(kind) for matches, describe in _KINDS if matches(kind))


def _is_named_tuple(kind: Any) -> bool:
    return hasattr(kind, "_fields") and hasattr(kind, "_make") and issubclass(kind, tuple)


def _named_tuple(kind: Any) -> Shape:
    def read(value: Any) -> State:
        return dict(zip(kind._fields, value, strict=True))

    def build(fields: State, _rest: State) -> object:
        return kind._make(fields.values())

    hints = hints_of(kind)
    return Shape(
        hints={name: hints.get(name) for name in kind._fields},
        defaults={name: _constant(value) for name, value in kind._field_defaults.items()},
        read=read,
        build=build,
    )


def _is_pydantic(kind: type) -> bool:
    return hasattr(kind, "model_validate") and isinstance(getattr(kind, "model_fields", None), dict)


def _pydantic(kind: Any) -> Shape:
    fields: Mapping[str, Any] = kind.model_fields

    def read(value: Any) -> State:
        state: State = value.__getstate__()
        content = cast("State", state["__dict__"])
        return {name: content[name] for name in fields if name in content} | {
            _FIELDS_SET: sorted(cast("Iterable[str]", state["__pydantic_fields_set__"])),
            _EXTRA: state.get("__pydantic_extra__"),
            _PRIVATE: state.get("__pydantic_private__"),
        }

    def build(content: State, rest: State) -> object:
        instance = kind.__new__(kind)
        instance.__setstate__(
            {
                "__dict__": content,
                "__pydantic_fields_set__": set(cast("Iterable[str]", rest[_FIELDS_SET])),
                "__pydantic_extra__": rest[_EXTRA],
                "__pydantic_private__": rest[_PRIVATE],
            }
        )
        return instance

    return Shape(
        hints={name: field.annotation for name, field in fields.items()},
        defaults={
            name: _pydantic_default(field) for name, field in fields.items() if not field.is_required()
        },
        read=read,
        build=build,
    )


def _pydantic_default(field: Any) -> Callable[[], object]:
    return lambda: field.get_default(call_default_factory=True)


def _is_struct(kind: type) -> bool:
    return issubclass(kind, msgspec.Struct)


def _struct(kind: Any) -> Shape:
    names: tuple[str, ...] = kind.__struct_fields__

    def build(fields: State, rest: State) -> object:
        instance = kind(**fields)
        for name, value in fields.items():
            msgspec.structs.force_setattr(instance, name, value)
        _restore(instance, rest)
        return instance

    hints = hints_of(kind)
    defaults: dict[str, Callable[[], object]] = {}
    for field in msgspec.structs.fields(kind):
        if field.default_factory is not msgspec.NODEFAULT:
            defaults[field.name] = field.default_factory
        elif field.default is not msgspec.NODEFAULT:
            defaults[field.name] = _constant(field.default)
    return Shape({name: hints.get(name) for name in names}, defaults, _reader(names), build)


def _is_attrs(kind: type) -> bool:
    return hasattr(kind, "__attrs_attrs__")


def _attrs(kind: Any) -> Shape:
    hints = hints_of(kind)
    defaults: dict[str, Callable[[], object]] = {}
    for field in kind.__attrs_attrs__:
        factory = getattr(field.default, "factory", None)
        if factory is None:
            if type(field.default).__name__ != "_Nothing":
                defaults[field.name] = _constant(field.default)
        elif not field.default.takes_self:
            defaults[field.name] = factory
    return _plain(kind, {field.name: hints.get(field.name) for field in kind.__attrs_attrs__}, defaults)


def _dataclass(kind: Any) -> Shape:
    hints = hints_of(kind)
    defaults: dict[str, Callable[[], object]] = {}
    for field in dataclasses.fields(kind):
        if field.default_factory is not MISSING:
            defaults[field.name] = field.default_factory
        elif field.default is not MISSING:
            defaults[field.name] = _constant(field.default)
    refusal = ""
    if any(hint is InitVar or isinstance(hint, InitVar) for hint in hints.values()):
        refusal = "it has an InitVar, whose value its instances do not keep"
    return _plain(
        kind, {field.name: hints.get(field.name) for field in dataclasses.fields(kind)}, defaults, refusal
    )


def _plain(
    kind: Any, hints: Mapping[str, object], defaults: Mapping[str, Callable[[], object]], refusal: str = ""
) -> Shape:
    def build(fields: State, rest: State) -> object:
        instance = object.__new__(kind)
        for name, value in fields.items():
            object.__setattr__(instance, name, value)
        if rest.pop(_HASH, MISSING) is None:
            object.__setattr__(instance, _HASH, None)
        _restore(instance, rest)
        return instance

    if kind.__new__ is not object.__new__:
        refusal = "its instances are made by a __new__ of its own"
    return Shape(hints, defaults, _reader(tuple(hints)), build, refusal)


def _reader(names: tuple[str, ...]) -> Callable[[Any], State]:
    """Reads fields and, from instances that have a `__dict__`, what else is kept there but can not be computed again."""

    def read(value: Any) -> State:
        state: State = {name: getattr(value, name) for name in names}
        for name, item in getattr(value, "__dict__", {}).items():
            if name not in state and not isinstance(getattr(value.__class__, name, None), cached_property):
                state[name] = item
        if hasattr(value, _HASH):
            state[_HASH] = None  # a hash of texts holds in one process only
        return state

    return read


def _restore(instance: Any, rest: State) -> None:
    if rest:
        getattr(instance, "__dict__", {}).update(rest)


def _constant(value: object) -> Callable[[], object]:
    return lambda: value


_KINDS: Final[tuple[tuple[Callable[[type], bool], Callable[[type], Shape]], ...]] = (
    (_is_named_tuple, _named_tuple),
    (_is_pydantic, _pydantic),
    (_is_struct, _struct),
    (_is_attrs, _attrs),
    (dataclasses.is_dataclass, _dataclass),
)
