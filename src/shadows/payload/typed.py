"""From an annotation to its adapter, compiled once when a function is registered.

The identity of a class comes from here alone: a payload says what fields hold, never what class they belong to.
"""

import collections.abc as abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    NewType,
    NotRequired,
    Required,
    Self,
    TypeAliasType,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    is_typeddict,
)

from shadows.payload.adapter import Adapter
from shadows.payload.classes import EnumAdapter, RecordAdapter, TypedDictAdapter
from shadows.payload.containers import DictAdapter, EachAdapter, TupleAdapter
from shadows.payload.hints import hints_of
from shadows.payload.shapes import is_record
from shadows.payload.unions import LaterAdapter, OptionalAdapter, UnionAdapter

_EACH: Final[Mapping[object, tuple[Callable[[list[object]], Any], ...]]] = {
    list: (list,),
    set: (set,),
    frozenset: (frozenset,),
    abc.Sequence: (list, tuple),
    abc.MutableSequence: (list,),
    abc.Set: (set, frozenset),
    abc.MutableSet: (set,),
    abc.Reversible: (list, tuple),
    abc.Collection: (list, tuple, set, frozenset),
    abc.Iterable: (list, tuple, set, frozenset),
    abc.Container: (list, tuple, set, frozenset),
}
_DICTS: Final[frozenset[object]] = frozenset({dict, abc.Mapping, abc.MutableMapping})
_WRAPPERS: Final[frozenset[object]] = frozenset({Annotated, Required, NotRequired, Final, ClassVar})
_UNIONS: Final[frozenset[object]] = frozenset({Union, UnionType})


@dataclass(frozen=True, slots=True)
class _Scope:
    """What names mean where an annotation stands.

    `known` are the adapters of classes met so far, `variables` what type variables stand for, and where, `owner` is
    `Self`, `aliases` are those being compiled.
    """

    known: dict[type, Adapter] = field(default_factory=dict[type, Adapter])
    variables: "Mapping[object, tuple[object, _Scope]]" = field(
        default_factory=dict[object, "tuple[object, _Scope]"]
    )
    owner: Adapter | None = None
    aliases: Mapping[object, Adapter | None] = field(default_factory=dict[object, Adapter | None])


def adapter_for(annotation: object) -> Adapter | None:
    """The adapter of an annotation (of a parameter, or a return), or None where it needs none.

    None is the answer for whatever the closed set carries as it is, and also for annotations that are not resolved
    or not understood: there, too, nothing but the closed set passes.
    """
    try:
        return _compile(annotation, _Scope())
    except (TypeError, RecursionError):  # unhashable or endless parameters
        return None


def _compile(annotation: object, scope: _Scope) -> Adapter | None:
    if isinstance(annotation, TypeVar):
        return _variable(annotation, scope)
    if annotation is Self:
        return scope.owner
    if isinstance(annotation, NewType):
        return _compile(annotation.__supertype__, scope)
    if isinstance(annotation, TypeAliasType):
        return _alias(annotation, annotation, scope)
    origin = get_origin(annotation)
    if origin is not None:
        return _compile_parametrised(annotation, origin, get_args(annotation), scope)
    return _class(annotation, scope) if isinstance(annotation, type) else None


def _compile_parametrised(
    annotation: object, origin: object, args: tuple[object, ...], scope: _Scope
) -> Adapter | None:
    text = _text(annotation)
    if origin in _WRAPPERS:
        return _compile(args[0], scope)
    if origin in _UNIONS:
        return _union(args, text, scope)
    if origin is Literal:
        return _union(tuple(dict.fromkeys(map(_literal, args))), text, scope)
    if isinstance(origin, TypeAliasType):
        return _alias(
            annotation, origin, replace(scope, variables=_bind(origin.__type_params__, args, scope))
        )
    if origin is tuple:
        return _tuple(args, text, scope)
    if origin in _EACH:
        item = _compile(args[0], scope)
        return item and EachAdapter(_EACH[origin], item, text)
    if origin in _DICTS:
        key, item = _compile(args[0], scope), _compile(args[1], scope)
        return DictAdapter(key, item, text) if key or item else None
    if isinstance(origin, type):
        parameters: tuple[object, ...] = getattr(origin, "__parameters__", ())
        return _record(origin, text, replace(scope, variables=_bind(parameters, args, scope)))
    return None


def _variable(variable: TypeVar, scope: _Scope) -> Adapter | None:
    if variable not in scope.variables:
        return None
    annotation, outer = scope.variables[variable]
    return _compile(annotation, outer)


def _bind(
    parameters: tuple[object, ...], args: tuple[object, ...], scope: _Scope
) -> Mapping[object, tuple[object, _Scope]]:
    return {parameter: (arg, scope) for parameter, arg in zip(parameters, args, strict=False)}


def _alias(key: object, alias: TypeAliasType, scope: _Scope) -> Adapter | None:
    """An alias may stand in its own definition, and needs an adapter if there is a class elsewhere in it."""
    if key in scope.aliases:
        return scope.aliases[key]
    if _compile(alias.__value__, replace(scope, aliases={**scope.aliases, key: None})) is None:
        return None
    later = LaterAdapter()
    adapter = _compile(alias.__value__, replace(scope, aliases={**scope.aliases, key: later}))
    assert adapter is not None  # noqa: S101 - with more adapters known, not less
    later.target = adapter
    return adapter


def _class(kind: Any, scope: _Scope) -> Adapter | None:
    if issubclass(kind, Enum):
        return EnumAdapter(kind)
    if kind not in scope.known:
        adapter = _record(kind, kind.__qualname__, replace(scope, variables={}))
        if adapter is None:
            return None
        scope.known[kind] = adapter
    return scope.known[kind]


def _record(kind: type, text: str, scope: _Scope) -> Adapter | None:
    def compiler(owner: Adapter) -> Callable[[object], Adapter | None]:
        inner = replace(scope, owner=owner, aliases={})
        return lambda annotation: _compile(annotation, inner)

    if is_typeddict(kind):
        return TypedDictAdapter(kind, text, hints_of(kind), compiler)
    return RecordAdapter(kind, text, compiler) if is_record(kind) else None


def _tuple(args: tuple[object, ...], text: str, scope: _Scope) -> Adapter | None:
    if len(args) == 2 and args[1] is ...:
        item = _compile(args[0], scope)
        return item and EachAdapter((tuple,), item, text)
    if any(get_origin(arg) is Unpack or getattr(arg, "__unpacked__", False) for arg in args):
        return None
    items = tuple(_compile(arg, scope) for arg in args)
    return TupleAdapter(items, text) if any(items) else None


def _literal(value: object) -> object:
    return type(value) if isinstance(value, Enum) else object if value is not None else None


def _union(members: tuple[object, ...], text: str, scope: _Scope) -> Adapter | None:
    adapters = tuple(_compile(member, scope) for member in members)
    needed = tuple(adapter for adapter in adapters if adapter)
    if len(needed) == len(members) == 1:
        return needed[0]
    optional = None in members or type(None) in members
    plain = len(members) - len(needed) - optional
    if optional and len(needed) == 1 and not plain:
        return OptionalAdapter(needed[0], text)
    return UnionAdapter(adapters, text, optional=optional, plain=plain > 0) if needed else None


def _text(annotation: object) -> str:
    return str(annotation).replace("typing.", "")
