"""Annotated classes: what goes in comes out equal, of the same class, and only the annotation says which."""

import collections
import contextlib
import enum
import typing
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
)
from collections.abc import Set as AbstractSet
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from inspect import Parameter
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Required,
    Self,
    TypedDict,
    TypeVar,
    Union,
)
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadows.errors import EncodingError, PayloadError
from shadows.payload.adapter import Adapter
from shadows.payload.places import MAX_DEPTH
from shadows.payload.typed import adapter_for
from shadows.payload.values import decode_value, encode_value
from tests.payload.support import values

WHERE = "parameter 'x'"


class Color(enum.Enum):
    RED = 1
    BLUE = 1j
    CRIMSON = 1  # noqa: PIE796


class Level(enum.IntEnum):
    HIGH = 3


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Point(NamedTuple):
    x: int
    color: Color = Color.RED


Pair = collections.namedtuple("Pair", ["left", "right"])  # noqa: PYI024  # pyright: ignore[reportUntypedNamedTuple]


class Movie(TypedDict):
    title: str
    color: NotRequired[Color]


class Partial(TypedDict, total=False):
    title: Required[str]
    colors: list[Color]


@dataclass
class Address:
    city: str
    color: Color = Color.RED
    tags: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True, order=True)
class Money:
    amount: Decimal
    currency: str


@dataclass
class Person:
    name: str
    address: Address | None
    loud: str = field(init=False)
    count: ClassVar[int] = 0

    def __post_init__(self) -> None:
        self.loud = self.name.upper()
        self.name = self.name + "!"
        self.seen = {"at": datetime(2024, 1, 1, tzinfo=UTC)}

    @cached_property
    def greeting(self) -> object:
        return object()


@dataclass
class Node:
    value: int
    next: Self | None = None
    children: "list[Node]" = field(default_factory=list["Node"])


@dataclass
class Secret:
    seed: InitVar[int]
    value: int = 0


@dataclass
class Halfway:
    value: int = field(init=False)


@dataclass
class Sub(Address):
    pass


@dataclass
class Made:
    value: int

    def __new__(cls, *_args: object) -> Self:
        return super().__new__(cls)


@dataclass(frozen=True)
class Flat:
    value: int

    def __hash__(self) -> int:
        return 1


T = TypeVar("T")


@dataclass
class Box(Generic[T]):  # noqa: UP046
    item: T
    more: list[T]


@dataclass
class Tree[V]:
    value: V
    left: "Tree[V] | None" = None


@dataclass
class Loose:
    known: Color
    unknown: "Missing"  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


def doubled(car: "Car") -> int:
    return car.wheels * 2


def split(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


@attrs.define
class Car:
    wheels: int
    color: Color = Color.RED
    _serial: str = "x"
    parts: list[Color] = attrs.Factory(list[Color])
    double: int = attrs.Factory(doubled, takes_self=True)


@attrs.frozen(cache_hash=True)
class Plate:
    text: str
    parts: tuple[str, ...] = attrs.field(converter=split)


@attrs.define(slots=False, eq=True, unsafe_hash=True, cache_hash=True)
class OpenPlate:
    text: str


class Job(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    color: Color = Color.RED
    tags: list[str] = []


class Raw(msgspec.Struct, dict=True):
    name: str

    def __post_init__(self) -> None:
        self.name += "!"


class User(pydantic.BaseModel):
    id: UUID
    color: Color
    born: datetime | None = None
    nick: str = pydantic.Field(default="anon", alias="Nick")
    tags: list[Money] = pydantic.Field(default_factory=list[Money])
    _token: str = pydantic.PrivateAttr(default="none")

    @pydantic.field_validator("born")
    @classmethod
    def not_in_the_future(cls, born: datetime | None) -> datetime | None:
        return born


class Anything(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    x: int


class Colors(pydantic.RootModel[list[Color]]):
    pass


class Wrapped[V](pydantic.BaseModel):
    item: V


UserId = NewType("UserId", int)
Shade = NewType("Shade", Color)
type Json = dict[str, Json] | list[Json] | str | int | None
type Paint = Color | str
type Deep = list[Deep] | Color
type Mine = list[Mine] | Color | None
type Mixed = list[Mixed | Level] | Color
type Many[V] = list[V]
type Twice[V] = tuple[V, V]
type Ping = list[Pong]
type Pong = list[Ping] | Money


def adapter(annotation: object) -> Adapter:
    found = adapter_for(annotation)
    assert found is not None
    return found


def carried(annotation: object, value: object) -> object:
    its = adapter(annotation)
    return its.lift(decode_value(encode_value(its.lower(value, WHERE), WHERE)), WHERE)


def refused(annotation: object, value: object) -> str:
    with pytest.raises(EncodingError) as caught:
        encode_value(adapter(annotation).lower(value, WHERE), WHERE)
    return str(caught.value)


def unread(annotation: object, stored: object) -> str:
    with pytest.raises(PayloadError) as caught:
        adapter(annotation).lift(stored, WHERE)
    return str(caught.value)


red = Address("Rome", Color.RED, ["a"])
CASES: list[tuple[object, object]] = [
    (Color, Color.RED),
    (Color, Color.BLUE),
    (Color, Color.CRIMSON),
    (Level, Level.HIGH),
    (Access, Access.READ | Access.WRITE),
    (Access, Access(0)),
    (Point, Point(1, Color.BLUE)),
    (Pair, Pair(1, (2, 3))),
    (Movie, {"title": "Up"}),
    (Movie, {"title": "Up", "color": Color.BLUE, "extra": (1, 2)}),
    (Partial, {"title": "Up", "colors": [Color.RED]}),
    (Address, red),
    (Money, Money(Decimal("1.50"), "EUR")),
    (Person, Person("Jane", red)),
    (Person, Person("Jane", None)),
    (Node, Node(1, Node(2, Node(3)), [Node(4, children=[Node(5)])])),
    (Box[Color], Box(Color.RED, [Color.BLUE])),
    (Box[list[Address]], Box([red], [[red], []])),
    (Box[int], Box(1, [2])),
    (Box, Box(1, [2])),
    (Tree[Color], Tree(Color.RED, Tree(Color.BLUE, Tree(Color.RED)))),
    (Loose, Loose(Color.RED, (1, 2))),
    (Car, Car(4, Color.BLUE, "s", [Color.RED], 5)),
    (Plate, Plate("x", "a,b")),
    (OpenPlate, OpenPlate("x")),
    (Job, Job(name="x", color=Color.BLUE, tags=["y"])),
    (Raw, Raw("x")),
    (Anything, Anything.model_validate({"x": 1, "y": (1, 2)})),
    (Colors, Colors([Color.RED])),
    (Wrapped[Color], Wrapped[Color](item=Color.RED)),
    (list[Color], [Color.RED, Color.BLUE]),
    (list[Color], []),
    (tuple[Color, ...], (Color.RED,)),
    (tuple[Color, int, Address], (Color.RED, 1, red)),
    (set[Color], {Color.RED, Color.BLUE}),
    (frozenset[Point], frozenset({Point(1), Point(2)})),
    (dict[str, Color], {"a": Color.RED}),
    (dict[Color, int], {Color.RED: 1}),
    (dict[Money, Address], {Money(Decimal(1), "EUR"): red}),
    (Mapping[int, Color], {1: Color.RED}),
    (MutableMapping[int, Color], {1: Color.RED}),
    (Sequence[Color], [Color.RED]),
    (Sequence[Color], (Color.RED,)),
    (MutableSequence[Color], [Color.RED]),
    (AbstractSet[Color], {Color.RED}),
    (AbstractSet[Color], frozenset({Color.RED})),
    (MutableSet[Color], {Color.RED}),
    (Collection[Color], frozenset({Color.RED})),
    (Iterable[Color], [Color.RED]),
    (typing.List[Color], [Color.RED]),  # noqa: UP006
    (Color | None, None),
    (Color | None, Color.RED),
    (Optional[Address], red),  # noqa: UP045
    (Color | Address, Color.RED),
    (Color | Address, red),
    (Union[Color, Address, None], None),  # noqa: UP007
    (Address | Sub, Sub("Rome")),
    (Address | Sub, red),
    (Color | int, 5),
    (Color | float, 5),
    (Level | int, Level.HIGH),
    (Level | int, 3),
    (Color | str, "RED"),
    (Color | list[int], [0, "RED"]),
    (list[Color] | list[Level], [Color.RED]),
    (list[Color] | list[Level], [Level.HIGH]),
    (list[Color] | list[int], [1, 2]),
    (list[Color] | list[int], [Color.RED]),
    (tuple[Color] | tuple[Color, Color], (Color.RED, Color.BLUE)),
    (dict[str, Color] | Color, {"a": Color.RED}),
    (Movie | Color, {"title": "Up"}),
    (list[Color | None] | None, [None, Color.RED]),
    (Box[Color] | Box[int], Box(1, [1])),
    (Annotated[Color, "meta"], Color.RED),
    (Annotated[list[Annotated[Color, 1]], []], [Color.RED]),
    (Shade, Color.RED),
    (Paint, "red"),
    (Paint, Color.RED),
    (Paint | None, Color.RED),
    (Paint | None, None),
    (Deep, [[Color.RED], Color.BLUE, []]),
    (Deep | None, [[Color.RED]]),
    (Color | dict[str, Deep], {"x": [Color.RED]}),
    (Color | Optional[Deep], [Color.RED]),  # noqa: UP045
    (Mixed, [[Color.RED], Level.HIGH]),
    (Many[Color], [Color.RED]),
    (Color | Address | int | None, None),
    (Color | Address | int | None, 5),
    (Twice[Many[Color]], ([Color.RED], [])),
    (Ping, [[[Money(Decimal(1), "EUR")]], Money(Decimal(2), "EUR")]),
    (Literal[Color.RED], Color.RED),
    (Literal[Color.RED, Color.BLUE], Color.BLUE),
    (Literal[Color.RED, None], None),  # noqa: PYI061
    (Literal[Color.RED, "auto"], "auto"),
    (Literal[Color.RED, "auto"], Color.RED),
]


class TestAnnotatedValues:
    @pytest.mark.parametrize(("annotation", "value"), CASES, ids=[str(annotation) for annotation, _ in CASES])
    def test_come_out_equal_and_of_the_same_class(self, annotation: object, value: object) -> None:
        assert adapter(annotation).accepts(value)
        back = carried(annotation, value)
        assert type(back) is type(value)
        assert back == value
        assert repr(back) == repr(value) or isinstance(value, set | frozenset)

    @given(st.lists(st.builds(Node, st.integers(), st.none() | st.builds(Node, st.integers()))))
    def test_come_out_equal_at_random(self, nodes: list[Node]) -> None:
        assert carried(list[Node], nodes) == nodes

    def test_are_not_made_by_their_constructor_again(self) -> None:
        person = Person("Jane", None)
        person.loud = "quiet"
        back = carried(Person, person)
        assert isinstance(back, Person)
        assert (back.name, back.loud, back.seen) == ("Jane!", "quiet", person.seen)

    def test_leave_behind_what_is_computed_from_them(self) -> None:
        person = Person("Jane", None)
        assert person.greeting
        back = carried(Person, person)
        assert isinstance(back, Person)
        assert "greeting" not in vars(back)

    @pytest.mark.parametrize("plate", [Plate("x", "a,b"), OpenPlate("x")])
    def test_leave_behind_hashes_that_hold_in_one_process(self, plate: Plate | OpenPlate) -> None:
        hash(plate)
        back = carried(type(plate), plate)
        assert getattr(back, "_attrs_cached_hash", 0) is None
        assert hash(back) == hash(plate)

    def test_of_pydantic_keep_private_attributes_aliases_and_what_was_set(self) -> None:
        user = User(id=UUID(int=1), color=Color.BLUE, Nick="Jo", tags=[Money(Decimal(1), "EUR")])
        user._token = "secret"  # pyright: ignore[reportPrivateUsage]
        back = carried(User, user)
        assert isinstance(back, User)
        assert back == user
        assert back._token == "secret"  # pyright: ignore[reportPrivateUsage]
        assert back.model_fields_set == {"id", "color", "nick", "tags"}

    def test_of_pydantic_may_lack_fields(self) -> None:
        back = carried(Anything, Anything.model_construct(x=1))
        assert back == Anything(x=1)
        assert unread(Anything, adapter(Anything).lower(Anything.model_construct(), WHERE)).endswith(
            "without 'x'"
        )


class TestWhatNeedsNoAdapter:
    @pytest.mark.parametrize(
        "annotation",
        [
            int,
            str,
            None,
            type(None),
            Any,
            object,
            Parameter.empty,
            datetime,
            list,
            tuple,
            list[int],
            tuple[int, ...],
            tuple[()],
            tuple[int, str],
            dict[str, list[int]],
            int | None,
            int | str,
            Literal["a", 1],
            UserId,
            Json,
            Many[int],
            TypeVar("Unbound"),
            Self,
            "Color",
            typing.ForwardRef("Color"),
            tuple[int, *tuple[Color, ...]],
            tuple[int, typing.Unpack[tuple[Color, ...]]],  # noqa: UP044
            collections.deque[Color],
            Iterator[Color],
            type[Color],
            typing.Callable[[Color], Color],
            typing.Concatenate[Color, ...],
            Annotated[int, "meta"],
            Many[Annotated[int, []]],
            42,
            int.__add__,
        ],
        ids=str,
    )
    def test_is_whatever_holds_no_class(self, annotation: object) -> None:
        assert adapter_for(annotation) is None


def listed(value: object) -> object:
    return [value]


def keyed(value: object) -> object:
    return {"a": value}


def paired(value: object) -> object:
    return (value, 1)


class TestValuesThatDoNotFit:
    @pytest.mark.parametrize(
        ("annotation", "value", "expected", "given_as"),
        [
            (Color, Level.HIGH, "Color", f"{__name__}.Level"),
            (Color, "RED", "Color", "str"),
            (Color, None, "Color", "NoneType"),
            (Address, Sub("Rome"), "Address", f"{__name__}.Sub"),
            (Address, {"city": "Rome"}, "Address", "dict"),
            (Movie, red, "Movie", f"{__name__}.Address"),
            (list[Color], (Color.RED,), f"list[{__name__}.Color]", "tuple"),
            (set[Color], [Color.RED], f"set[{__name__}.Color]", "list"),
            (tuple[Color, int], (Color.RED,), f"tuple[{__name__}.Color, int]", "tuple"),
            (dict[str, Color], [], f"dict[str, {__name__}.Color]", "list"),
            (Iterable[Color], "RED", f"collections.abc.Iterable[{__name__}.Color]", "str"),
            (Color | Address, "RED", f"{__name__}.Color | {__name__}.Address", "str"),
            (Color | Address, None, f"{__name__}.Color | {__name__}.Address", "NoneType"),
            (Color | None, "RED", "Color", "str"),
            (Color | Address | None, "RED", f"{__name__}.Color | {__name__}.Address | None", "str"),
            (Color | int, None, f"{__name__}.Color | int", "NoneType"),
        ],
    )
    def test_are_refused_by_parameter_expected_and_given(
        self, annotation: object, value: object, expected: str, given_as: str
    ) -> None:
        message = refused(annotation, value)
        assert message.startswith(
            f"parameter 'x' is annotated as {expected} and was given a {given_as}. Pass exactly"
        )
        assert "a union of all classes" in message

    @pytest.mark.parametrize(
        ("annotation", "value", "path"),
        [
            (list[Color], [Color.RED, 1], "[1]"),
            (dict[str, Color], {"a": 1}, "['a']"),
            (dict[Color, str], {1: "a"}, "[the key 1]"),
            (set[Color], {1}, "{0}"),
            (tuple[int, Color], (1, 2), "[1]"),
            (Person, Person("Jane", typing.cast("Any", 5)), ".address"),
            (Node, Node(1, Node(2, typing.cast("Any", 3))), ".next.next"),
            (Movie, {"title": "Up", "color": 1}, "['color']"),
            (Address | int, Address("Rome", typing.cast("Any", 5)), ".color"),
        ],
    )
    def test_are_found_within_others(self, annotation: object, value: object, path: str) -> None:
        assert refused(annotation, value).startswith(f"parameter 'x', at {path} is annotated as ")

    def test_of_fields_without_a_class_meet_the_closed_set(self) -> None:
        message = refused(Address, Address(typing.cast("Any", 1j)))
        assert message.startswith(
            "parameter 'x', at ['city'] is a complex, which the safe codec does not carry"
        )
        assert "is annotated as tests.payload.test_typed.Color | int and was given a complex" in refused(
            Color | int, 1j
        )

    def test_hold_themselves(self) -> None:
        node = Node(1)
        node.next = node
        assert "more than 64 levels deep, or holds itself" in refused(Node, node)

    @pytest.mark.parametrize(
        ("annotation", "wrap"), [(list[Deep], listed), (dict[str, Deep], keyed), (tuple[Deep, int], paired)]
    )
    def test_are_too_deep(self, annotation: object, wrap: Callable[[object], object]) -> None:
        value: object = Color.RED
        for _ in range(MAX_DEPTH + 1):
            value = [value]
        assert "more than 64 levels deep" in refused(annotation, wrap(value))

    @pytest.mark.parametrize(
        ("annotation", "kind"),
        [(set[Flat], set), (frozenset[Flat], frozenset), (dict[Flat, int], dict.fromkeys)],
    )
    def test_have_keys_of_which_most_share_a_hash(
        self, annotation: object, kind: Callable[[object], object]
    ) -> None:
        crowd = [Flat(number) for number in range(300)]
        assert "has 300 keys or members of which most share a hash" in refused(annotation, kind(crowd))
        assert carried(annotation, kind(crowd[:200])) == kind(crowd[:200])

    def test_lack_a_required_key(self) -> None:
        assert refused(Movie, {}) == "parameter 'x' is annotated as Movie and lacks the key 'title'."

    def test_have_a_field_that_is_not_set(self) -> None:
        assert "is a Halfway of which a field is not set: " in refused(Halfway, Halfway())

    def test_have_an_init_variable(self) -> None:
        assert refused(Secret, Secret(1)) == (
            "parameter 'x' is a Secret, which cannot travel: it has an InitVar, whose value its instances do not keep."
        )

    def test_are_made_by_a_new_of_their_own(self) -> None:
        assert "Made, which cannot travel: its instances are made by a __new__ of its own." in refused(
            Made, Made(1)
        )


class TestStoredValuesOfOlderWriters:
    @pytest.mark.parametrize(
        ("annotation", "stored", "value"),
        [
            (Point, {"x": 1}, Point(1)),
            (Address, {"city": "Rome"}, Address("Rome")),
            (Car, {"wheels": 4, "double": 8}, Car(4)),
            (Job, {"name": "x"}, Job(name="x")),
            (Node, {"value": 1, "gone": 5}, Node(1)),
            (Money, {"amount": Decimal(1), "currency": "EUR", "gone": 5}, Money(Decimal(1), "EUR")),
            (
                User,
                {
                    "id": UUID(int=1),
                    "color": "RED",
                    "*fields_set": ["id"],
                    "*extra": None,
                    "*private": {"_token": "none"},
                },
                User(id=UUID(int=1), color=Color.RED),
            ),
        ],
    )
    def test_get_their_defaults(self, annotation: object, stored: object, value: object) -> None:
        assert adapter(annotation).lift(stored, WHERE) == value


UNREADABLE: list[tuple[object, object, str]] = [
    (Color, "GREEN", "is annotated as Color, which has no member 'GREEN'"),
    (Color, 1, "is annotated as Color and is stored as a int"),
    (Access, "READ", "is annotated as Access and is stored as a str"),
    (Access, 1024, "cannot be made a Access again: ValueError("),
    (Address, "Rome", "is annotated as Address and is stored as a str"),
    (Address, {}, "is annotated as Address and is stored without 'city'"),
    (Address, {"city": "Rome", 1: 2}, "is annotated as Address and is stored as a dict"),
    (Car, {"wheels": 4}, "is stored without 'double'"),
    (Job, {"color": "RED"}, "is stored without 'name'"),
    (Raw, {"name": 5}, "cannot be made a Raw again: TypeError("),
    (User, {"id": 1, "color": "RED"}, "cannot be made a User again: KeyError("),
    (Person, {"name": "x", "address": 5, "loud": ""}, ".address is annotated as "),
    (Movie, [], "is annotated as Movie and is stored as a list"),
    (Movie, {}, "is annotated as Movie and is stored without 'title'"),
    (list[Color], "RED", "and is stored as a str"),
    (list[Color], ["RED", 5], "at [1] is annotated as Color and is stored as a int"),
    (set[Node], [{"value": 1}], "cannot be built again: TypeError("),
    (Sequence[Color], ["RED"], "and is stored as a list"),
    (Sequence[Color], [2, []], "and is stored as a list"),
    (Sequence[Color], [1.0, []], "and is stored as a list"),
    (Sequence[Color], [0, "RED"], "and is stored as a str"),
    (tuple[Color, int], ["RED"], "and is stored as a list"),
    (tuple[Color, int], "RED", "and is stored as a str"),
    (dict[str, Color], ["a"], "and is stored as a list"),
    (dict[str, Color], {}, "and is stored as a dict"),
    (dict[list[Color], int], [[], 1], "cannot be built again: TypeError("),
    (Color | Address, "RED", "and is stored as a str"),
    (Color | Address, ["RED"], "and is stored as a list"),
    (Color | Address, [2, "RED"], "which has no member 2"),
    (Color | Address, [None, "RED"], "which has no member None"),
    (Color | Address, [True, "RED"], "which has no member True"),
    (Color | int, [1, "RED"], "which has no member 1"),
    (Color | int, [None, None], "which has no member None"),
    (Color | Address | None, [None, "RED"], "which has no member None"),
]


class TestStoredValuesThatDoNotFit:
    def test_have_keys_of_which_most_share_a_hash(self) -> None:
        stored: list[object] = [{"value": number} for number in range(300)]
        reason = "parameter 'x' cannot be built again: too many of its keys share a hash"
        assert unread(set[Flat], stored) == reason
        assert unread(dict[Flat, Flat], [item for item in stored for _ in range(2)]) == reason

    @pytest.mark.parametrize(
        ("annotation", "stored", "reason"),
        UNREADABLE,
    )
    def test_say_why(self, annotation: object, stored: object, reason: str) -> None:
        message = unread(annotation, stored)
        assert message.startswith("parameter 'x'")
        assert reason in message

    @given(st.sampled_from([annotation for annotation, _ in CASES]), values)
    def test_raise_nothing_but_payload_errors(self, annotation: object, stored: object) -> None:
        with contextlib.suppress(PayloadError):
            adapter(annotation).lift(stored, WHERE)


class TestRecursiveAlias:
    def test_has_the_words_of_what_it_stands_for(self) -> None:
        refusal = refused(Deep, [["RED"]])
        assert refusal.startswith(
            f"parameter 'x', at [0][0] is annotated as list[Deep] | {__name__}.Color and"
        )
        assert refused(list[Mine], [5]).startswith(
            "parameter 'x', at [0] is annotated as list[Mine] | tests.payload.test_typed.Color | None and"
        )

    def test_may_be_optional_in_its_own_definition(self) -> None:
        assert carried(Mine, [[None, Color.RED], None]) == [[None, Color.RED], None]
        assert adapter(Mine | None).accepts(None)
