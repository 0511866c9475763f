"""Values of the closed set, at random, and a comparison that tells classes apart."""

from collections.abc import Iterable
from datetime import timedelta, timezone
from pathlib import PosixPath, PurePosixPath, PureWindowsPath
from typing import cast

from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"]))
offsets = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).map(timezone)
named = st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)), texts)
zones = st.none() | offsets | named | st.timezones()
paths = st.lists(texts.filter(lambda text: "\0" not in text), max_size=4)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**200), max_value=2**200),
    st.floats(),
    texts,
    st.binary(),
    st.dates(),
    st.times(timezones=zones),
    st.datetimes(timezones=zones, allow_imaginary=True),
    st.timedeltas(),
    st.uuids(),
    st.decimals(allow_nan=True),
    paths.map(lambda parts: PurePosixPath(*parts)),
    paths.map(lambda parts: PureWindowsPath(*parts)),
    paths.map(lambda parts: PosixPath(*parts)),
    st.ip_addresses(),
)
hashables = st.recursive(
    scalars.filter(lambda value: "sNaN" not in repr(value)),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
values = st.recursive(
    scalars | st.binary().map(bytearray),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(hashables, inner, max_size=5),
        st.dictionaries(texts, inner, max_size=5),
        st.sets(hashables, max_size=5),
        st.frozensets(hashables, max_size=5),
    ),
    max_leaves=20,
)


def exactly(value: object) -> object:
    """A form that is equal for two values only if they are equal and of the same classes throughout."""
    kind = type(value).__qualname__
    match value:
        case list() | tuple():
            return kind, [exactly(item) for item in cast("Iterable[object]", value)]
        case set() | frozenset():
            return kind, sorted(repr(exactly(item)) for item in cast("Iterable[object]", value))
        case dict():
            pairs = cast("dict[object, object]", value).items()
            return kind, [(exactly(key), exactly(item)) for key, item in pairs]
        case _:
            return kind, repr(value)


def nested(depth: int) -> list[object]:
    """So many lists within one another."""
    value: list[object] = []
    for _ in range(depth - 1):
        value = [value]
    return value
