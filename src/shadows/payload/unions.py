"""Adapters of unions: the value's exact class chooses a member, whose number goes along."""

from shadows.errors import EncodingError, PayloadError
from shadows.payload.adapter import Adapter, is_list, misfit, unreadable
from shadows.payload.places import Where, place
from shadows.payload.values import carries


class OptionalAdapter:
    """None, or what one adapter takes; no adapter makes None of a value."""

    def __init__(self, inner: Adapter, expects: str) -> None:
        self.expects = expects
        self._inner = inner

    def accepts(self, value: object) -> bool:
        return value is None or self._inner.accepts(value)

    def lower(self, value: object, where: Where) -> object:
        return None if value is None else self._inner.lower(value, where)

    def lift(self, value: object, where: Where) -> object:
        return None if value is None else self._inner.lift(value, where)


class UnionAdapter:
    """One of several members: `[number, lowered]`, or `[None, value]` for what needs no adapter.

    `optional` says that None is among its members, `plain` that another one is which needs no adapter, in which case
    whatever the closed set carries is taken.
    """

    def __init__(
        self, members: tuple[Adapter | None, ...], expects: str, *, optional: bool, plain: bool
    ) -> None:
        self.expects = expects
        self._members = members
        self._optional = optional
        self._plain = plain

    def accepts(self, value: object) -> bool:
        return self._takes_as_it_is(value) or any(member.accepts(value) for member in self._members if member)

    def lower(self, value: object, where: Where) -> object:
        refusal: EncodingError | None = None
        for number, member in enumerate(self._members):
            if member is not None and member.accepts(value):
                try:
                    return [number, member.lower(value, where)]
                except EncodingError as error:
                    refusal = refusal or error
        if self._takes_as_it_is(value):
            return [None, value]
        raise refusal or misfit(where, self.expects, value)

    def lift(self, value: object, where: Where) -> object:
        if not is_list(value) or len(value) != 2:
            raise unreadable(where, self.expects, value)
        number, stored = value
        if number is None and self._takes_as_it_is(stored):
            return stored
        if type(number) is int and 0 <= number < len(self._members):
            member = self._members[number]
            if member is not None:
                return member.lift(stored, where)
        raise PayloadError(
            f"{place(where)} is annotated as {self.expects}, which has no member {number!r:.100}"
        )

    def _takes_as_it_is(self, value: object) -> bool:
        return self._optional if value is None else self._plain and carries(type(value))


class LaterAdapter:
    """An alias that stands in its own definition: `target` is set once that is compiled."""

    target: Adapter

    def accepts(self, value: object) -> bool:
        return self.target.accepts(value)

    def lower(self, value: object, where: Where) -> object:
        return self.target.lower(value, where)

    def lift(self, value: object, where: Where) -> object:
        return self.target.lift(value, where)
