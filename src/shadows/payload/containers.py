"""Adapters of containers whose members need adapters: their members are carried as a list."""

from collections.abc import Callable
from itertools import batched
from typing import Any, Final, cast

from shadows.errors import PayloadError
from shadows.payload.adapter import Adapter, is_dict, is_list, lift, lower, misfit, unreadable
from shadows.payload.places import INDEX, KEY, MEMBER, Where, below, enter, place
from shadows.payload.unpacking import crowded
from shadows.payload.values import refuse_crowd

type Members = list[object]

_ORDERED: Final[frozenset[object]] = frozenset({list, tuple})


class EachAdapter:
    """A container of members of one annotation.

    `kinds` are the classes it may be of; of several, such as for `Sequence`, the number of its class goes along.
    """

    def __init__(self, kinds: tuple[Callable[[Members], Any], ...], item: Adapter, expects: str) -> None:
        self.expects = expects
        self._kinds = kinds
        self._item = item

    def accepts(self, value: object) -> bool:
        return type(value) in self._kinds

    def lower(self, value: object, where: Where) -> object:
        if type(value) not in self._kinds:
            raise misfit(where, self.expects, value)
        enter(where)
        members = cast("Members", value)
        if type(value) not in _ORDERED:
            refuse_crowd(members, len(members), where)
        form = INDEX if type(value) in _ORDERED else MEMBER
        items = [self._item.lower(item, below(where, index, form)) for index, item in enumerate(members)]
        return items if len(self._kinds) == 1 else [self._kinds.index(type(value)), items]

    def lift(self, value: object, where: Where) -> object:
        kind, items = self._kinds[0], value
        if len(self._kinds) > 1:
            kind, items = self._split(value, where)
        if not is_list(items):
            raise unreadable(where, self.expects, items)
        members = [self._item.lift(item, below(where, at)) for at, item in enumerate(items)]
        return kind(members) if kind in _ORDERED else _build(kind, members, members, where)

    def _split(self, value: object, where: Where) -> tuple[Callable[[Members], Any], object]:
        if is_list(value) and len(value) == 2:
            number, items = value
            if type(number) is int and 0 <= number < len(self._kinds):
                return self._kinds[number], items
        raise unreadable(where, self.expects, value)


class TupleAdapter:
    """A tuple with an annotation for each of its places."""

    def __init__(self, items: tuple[Adapter | None, ...], expects: str) -> None:
        self.expects = expects
        self._items = items

    def accepts(self, value: object) -> bool:
        return type(value) is tuple and len(cast("tuple[object, ...]", value)) == len(self._items)

    def lower(self, value: object, where: Where) -> object:
        if not self.accepts(value):
            raise misfit(where, self.expects, value)
        enter(where)
        members = cast("tuple[object, ...]", value)
        return [
            lower(item, member, where, index)
            for index, (item, member) in enumerate(zip(self._items, members, strict=True))
        ]

    def lift(self, value: object, where: Where) -> object:
        if not is_list(value) or len(value) != len(self._items):
            raise unreadable(where, self.expects, value)
        return tuple(
            lift(item, member, where, index)
            for index, (item, member) in enumerate(zip(self._items, value, strict=True))
        )


class DictAdapter:
    """A dict of which keys or items need adapters: its keys and items in turn."""

    def __init__(self, key: Adapter | None, item: Adapter | None, expects: str) -> None:
        self.expects = expects
        self._key = key
        self._item = item

    def accepts(self, value: object) -> bool:
        return type(value) is dict

    def lower(self, value: object, where: Where) -> object:
        if not is_dict(value):
            raise misfit(where, self.expects, value)
        enter(where)
        refuse_crowd(value, len(value), where)
        pairs: Members = []
        for key, item in value.items():
            pairs.append(lower(self._key, key, where, key, KEY))
            pairs.append(lower(self._item, item, where, key))
        return pairs

    def lift(self, value: object, where: Where) -> object:
        if not is_list(value) or len(value) % 2:
            raise unreadable(where, self.expects, value)
        pairs = [
            (lift(self._key, key, where, index, KEY), lift(self._item, item, where, index))
            for index, (key, item) in enumerate(batched(value, 2))
        ]
        return _build(dict, pairs, [key for key, _ in pairs], where)


def _build(kind: Callable[[Any], Any], members: list[Any], keys: list[Any], where: Where) -> object:
    try:
        if not crowded(keys, len(keys)):
            return kind(members)
    except Exception as error:  # the hashes and comparisons of the user's classes run here
        raise PayloadError(f"{place(where)} cannot be built again: {error!r}") from error
    raise PayloadError(f"{place(where)} cannot be built again: too many of its keys share a hash")
