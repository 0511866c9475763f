"""Adapters of classes: Enums, classes of named fields, and TypedDicts."""

from collections.abc import Callable, Mapping
from enum import Enum, Flag
from functools import cached_property
from typing import Any, cast

from shadows.errors import EncodingError, PayloadError
from shadows.payload.adapter import Adapter, is_dict, lift, lower, misfit, unreadable
from shadows.payload.places import ATTRIBUTE, Where, enter, place
from shadows.payload.shapes import Shape, State, shape_of

type Compile = Callable[[object], Adapter | None]


class EnumAdapter:
    """A member by its name; a member of a Flag, which may be a combination without a name, by its value."""

    def __init__(self, kind: type[Enum]) -> None:
        self.kind = kind
        self.expects = kind.__qualname__

    def accepts(self, value: object) -> bool:
        return type(value) is self.kind

    def lower(self, value: object, where: Where) -> object:
        if type(value) is not self.kind:
            raise misfit(where, self.expects, value)
        return value.value if isinstance(value, Flag) else value.name

    def lift(self, value: object, where: Where) -> object:
        if issubclass(self.kind, Flag):
            if type(value) is int:
                return _guarded(lambda: self.kind(value), where, self.expects)
        elif isinstance(value, str):
            if value in self.kind.__members__:
                return self.kind.__members__[value]
            raise PayloadError(
                f"{place(where)} is annotated as {self.expects}, which has no member {value[:100]!r}"
            )
        raise unreadable(where, self.expects, value)


class RecordAdapter:
    """An instance of a class of named fields, as a dict by field name.

    Fields are compiled when they are first needed, so that a class may hold itself.
    """

    def __init__(self, kind: type, expects: str, compiler: Callable[[Adapter], Compile]) -> None:
        self.kind = kind
        self.expects = expects
        self._compile = compiler(self)

    @cached_property
    def shape(self) -> Shape:
        return shape_of(self.kind)

    @cached_property
    def fields(self) -> Mapping[str, Adapter | None]:
        return {name: self._compile(hint) for name, hint in self.shape.hints.items()}

    def accepts(self, value: object) -> bool:
        return type(value) is self.kind

    def lower(self, value: object, where: Where) -> object:
        if type(value) is not self.kind:
            raise misfit(where, self.expects, value)
        if self.shape.refusal:
            raise EncodingError(
                f"{place(where)} is a {self.expects}, which cannot travel: {self.shape.refusal}."
            )
        enter(where)
        try:
            state = self.shape.read(value)
        except AttributeError as error:
            raise EncodingError(
                f"{place(where)} is a {self.expects} of which a field is not set: {error}."
            ) from error
        fields = self.fields
        return {name: lower(fields.get(name), item, where, name, ATTRIBUTE) for name, item in state.items()}

    def lift(self, value: object, where: Where) -> object:
        if not is_dict(value):
            raise unreadable(where, self.expects, value)
        rest = value.copy()
        state: State = {}
        for name, adapter in self.fields.items():
            if name in rest:
                state[name] = lift(adapter, rest.pop(name), where, name, ATTRIBUTE)
            elif name in self.shape.defaults:
                state[name] = _guarded(self.shape.defaults[name], where, self.expects)
            else:
                raise PayloadError(
                    f"{place(where)} is annotated as {self.expects} and is stored without {name!r}"
                )
        if not all(isinstance(name, str) for name in rest):
            raise unreadable(where, self.expects, value)
        return _guarded(lambda: self.shape.build(state, cast("State", rest)), where, self.expects)


class TypedDictAdapter:
    """A dict of which some keys have annotations; keys beyond those are carried as they are."""

    def __init__(
        self, kind: Any, expects: str, hints: Mapping[str, object], compiler: Callable[[Adapter], Compile]
    ):
        self.expects = expects
        self._hints = hints
        self._required: frozenset[str] = kind.__required_keys__
        self._compile = compiler(self)

    @cached_property
    def fields(self) -> Mapping[object, Adapter | None]:
        return {name: self._compile(hint) for name, hint in self._hints.items()}

    def accepts(self, value: object) -> bool:
        return type(value) is dict

    def lower(self, value: object, where: Where) -> object:
        if not is_dict(value):
            raise misfit(where, self.expects, value)
        missing = sorted(self._required - value.keys())
        if missing:
            raise EncodingError(
                f"{place(where)} is annotated as {self.expects} and lacks the key {missing[0]!r}."
            )
        enter(where)
        fields = self.fields
        return {key: lower(fields.get(key), item, where, key) for key, item in value.items()}

    def lift(self, value: object, where: Where) -> object:
        if not is_dict(value):
            raise unreadable(where, self.expects, value)
        missing = sorted(self._required - value.keys())
        if missing:
            raise PayloadError(
                f"{place(where)} is annotated as {self.expects} and is stored without {missing[0]!r}"
            )
        fields = self.fields
        return {key: lift(fields.get(key), item, where, key) for key, item in value.items()}


def _guarded(build: Callable[[], object], where: Where, expects: str) -> object:
    try:
        return build()
    except Exception as error:  # the code of the user's class runs here
        raise PayloadError(f"{place(where)} cannot be made a {expects} again: {error!r}") from error
