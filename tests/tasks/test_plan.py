"""How calls of a task are checked, sent and read again."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import Annotated, Any, cast

import pytest
from uncalled_for import Dependency, Provided

from shadows import Depends, EncodingError, InvalidTask, Logged, PayloadError, Perpetual, Retry, TaskKey
from shadows.tasks.plan import Plan

type UserId = Annotated[int, Logged]


class Colour(Enum):
    RED = "red"


@dataclass
class User:
    name: str
    born: datetime


def plan_of(function: Callable[..., Any]) -> Plan:
    return Plan(function, "task", "default")


def trip(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    plan = plan_of(function)
    given, named = plan.decode(plan.encode(args, kwargs))
    return tuple(given), named


JANE = User("Jane", datetime(1990, 1, 1, tzinfo=UTC))


def get_number() -> int:
    return 7


type Number = Annotated[int, Depends(get_number)]


class TestArguments:
    def test_plain_arguments_come_back(self) -> None:
        def task(a: int, b: str = "x", *, c: float = 0.5) -> None: ...

        assert trip(task, 1) == ((1,), {})
        assert trip(task, 1, "y") == ((1, "y"), {})
        assert trip(task, a=1, c=2.5) == ((), {"a": 1, "c": 2.5})

    def test_annotated_classes_come_back_as_themselves(self) -> None:
        def task(user: User, *, colour: Colour) -> None: ...

        assert trip(task, JANE, colour=Colour.RED) == ((JANE,), {"colour": Colour.RED})

    def test_so_do_those_of_variadic_parameters(self) -> None:
        def task(*users: User, **colours: Colour) -> None: ...

        assert trip(task, JANE, JANE, x=Colour.RED) == ((JANE, JANE), {"x": Colour.RED})

    def test_a_named_argument_may_have_the_name_of_a_positional_only_one(self) -> None:
        def task(user: User, /, **rest: Colour) -> None: ...

        assert trip(task, JANE, user=Colour.RED, rest=Colour.RED) == (
            (JANE,),
            {"user": Colour.RED, "rest": Colour.RED},
        )

    def test_positional_only_arguments_travel(self) -> None:
        def task(a: int, b: User, /) -> None: ...

        assert trip(task, 1, JANE) == ((1, JANE), {})

    def test_those_of_methods_partials_and_callables_do_too(self) -> None:
        class Sender:
            def send(self, user: User) -> None: ...

            def __call__(self, user: User) -> None: ...

        def task(a: int, user: User) -> None: ...

        assert trip(Sender().send, JANE) == ((JANE,), {})
        assert trip(Sender(), JANE) == ((JANE,), {})
        assert trip(partial(task, 1), JANE) == ((JANE,), {})
        assert trip(partial(task, 1), user=JANE) == ((), {"user": JANE})

    def test_annotations_that_cannot_be_resolved_leave_the_closed_set(self) -> None:
        def task(user: "Nowhere", n: int) -> None: ...  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]

        assert trip(cast("Callable[..., None]", task), "x", 2) == (("x", 2), {})

    @pytest.mark.parametrize(
        ("args", "kwargs", "reason"),
        [
            ((), {}, "missing a required argument: 'a'"),
            ((1, 2, 3), {}, "too many positional arguments"),
            ((1,), {"a": 1}, "multiple values for argument 'a'"),
            ((1,), {"x": 1}, "got an unexpected keyword argument 'x'"),
        ],
    )
    def test_arguments_that_do_not_fit_are_refused_with_the_signature(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], reason: str
    ) -> None:
        def task(a: int, b: int = 0) -> None: ...

        with pytest.raises(
            TypeError, match=re.escape(f"task: {reason}; its signature is task(a: int, b: int = 0)")
        ):
            plan_of(task).encode(args, kwargs)

    def test_a_missing_named_argument_is_refused(self) -> None:
        def task(*, a: int) -> None: ...

        with pytest.raises(TypeError, match=r"missing a required.* argument: 'a'"):
            plan_of(task).encode((), {})

    def test_an_argument_that_cannot_travel_is_named(self) -> None:
        def task(a: object, *rest: object, **more: object) -> None: ...

        for args, kwargs, named in (
            ((object(),), {}, "task: parameter 'a'"),
            ((1, object()), {}, "task: positional argument 2"),
            ((1,), {"k": object()}, "task: parameter 'k'"),
        ):
            with pytest.raises(EncodingError, match=named):
                plan_of(task).encode(args, kwargs)

    def test_one_of_the_wrong_class_is_named(self) -> None:
        def task(user: User) -> None: ...

        with pytest.raises(
            EncodingError, match=r"task: parameter 'user' is annotated as .*User and was given"
        ):
            plan_of(task).encode((3,), {})

    def test_what_was_sent_for_another_signature_is_still_read(self) -> None:
        def sent(a: int, b: int, user: str) -> None: ...

        def known(user: User) -> None: ...

        data = plan_of(sent).encode((1, 2, "x"), {})
        with pytest.raises(PayloadError, match="parameter 'user'"):
            plan_of(known).decode(data)

        def fewer(a: int) -> None: ...

        assert plan_of(fewer).decode(data) == ([1, 2, "x"], {})

    def test_what_was_sent_with_more_arguments_than_are_known_is_still_read(self) -> None:
        def sent(colour: Colour, b: int) -> None: ...

        def known(colour: Colour) -> None: ...

        args, _ = plan_of(known).decode(plan_of(sent).encode((Colour.RED, 2), {}))
        assert list(args) == [Colour.RED, 2]


class TestInjected:
    def test_passing_an_injected_parameter_is_refused(self) -> None:
        async def task(a: int, key: str = TaskKey(), *, n: int = Depends(get_number)) -> None: ...

        plan = plan_of(task)
        for args, kwargs, named in (
            ((1, "k"), {}, "'key'"),
            ((1,), {"key": "k"}, "'key'"),
            ((1,), {"n": 2}, "'n'"),
            ((1, "k"), {"n": 2}, "'key', 'n'"),
        ):
            with pytest.raises(
                TypeError, match=f"task: {named} is injected where the task runs: leave it out"
            ):
                plan.encode(args, kwargs)

    def test_arguments_behind_it_are_passed_by_name(self) -> None:
        async def task(key: str = TaskKey(), user: User = JANE, *rest: int, n: int = 1) -> None: ...

        assert trip(task, user=JANE) == ((), {"user": JANE})
        assert trip(task) == ((), {})

    def test_the_signature_in_messages_leaves_it_out(self) -> None:
        async def task(a: int, key: str = TaskKey(), b: int = 2) -> None: ...

        with pytest.raises(TypeError, match=re.escape("its signature is task(a: int, *, b: int = 2)")):
            plan_of(task).encode((), {})

    def test_it_may_stand_behind_variadic_arguments(self) -> None:
        async def task(*numbers: int, key: str = TaskKey()) -> None: ...

        assert trip(task, 1, 2, 3) == ((1, 2, 3), {})

    def test_it_may_be_declared_in_the_annotation(self) -> None:
        async def task(
            n: Annotated[int, Depends(get_number)],
            m: Annotated[int, Depends(get_number)] = Provided,
            *,
            a: int,
        ) -> None: ...

        assert plan_of(task).injected.keys() == {"n", "m"}
        assert trip(task, a=1) == ((), {"a": 1})
        with pytest.raises(TypeError, match="'n' is injected"):
            plan_of(task).encode((3,), {"a": 1})

    def test_a_named_one_is_refused_even_where_any_name_is_taken(self) -> None:
        async def task(key: str = TaskKey(), **rest: str) -> None: ...

        with pytest.raises(TypeError, match="'key' is injected"):
            plan_of(task).encode((), {"key": "mine"})

    def test_a_positional_only_one_is_refused_at_registration(self) -> None:
        async def task(key: str = TaskKey(), /) -> None: ...

        with pytest.raises(InvalidTask, match="task: the injected parameter 'key' is positional-only"):
            plan_of(task)

    def test_two_of_one_kind_are_refused_with_the_names_of_the_parameters(self) -> None:
        async def task(one: Retry = Retry(), two: Retry = Retry(attempts=2)) -> None: ...

        with pytest.raises(
            ValueError, match="task: a task has at most one Retry, and 'one', 'two' are: remove one"
        ):
            plan_of(task)

    def test_a_kind_in_the_annotation_counts(self) -> None:
        async def task(n: Annotated[int, Retry()], two: Retry = Retry(attempts=2)) -> None: ...

        with pytest.raises(InvalidTask, match="at most one Retry, and 'two', 'n' are"):
            plan_of(task)

    def test_two_kinds_of_one_kind_are_refused(self) -> None:
        class Stubborn(Retry):
            pass

        async def task(one: Retry = Retry(), two: Retry = Stubborn()) -> None: ...

        with pytest.raises(InvalidTask, match=r"at most one Retry, and 'one', 'two' \(Stubborn\) are"):
            plan_of(task)

    def test_different_behaviours_go_together(self) -> None:
        async def task(retry: Retry = Retry(), perpetual: Perpetual = Perpetual()) -> None: ...

        assert plan_of(task).injected.keys() == {"retry", "perpetual"}

    def test_a_dependency_that_would_not_be_seen_is_refused(self) -> None:
        class Wrap(Dependency[None]):
            async def __aenter__(self) -> None: ...

        class Object:
            def __call__(self, a: Annotated[int, Wrap]) -> None: ...

        def task(a: str, n: Number = Provided) -> None: ...

        for function in (Object(), partial(task, "a")):
            with pytest.raises(InvalidTask, match="is not seen through a partial or a callable object"):
                plan_of(function)

    def test_partials_and_callables_have_their_defaults_injected(self) -> None:
        class Object:
            def __call__(self, a: int, key: str = TaskKey()) -> None: ...

        def task(a: int, b: Annotated[int, "just a note"], key: str = TaskKey()) -> None: ...

        assert plan_of(Object()).injected.keys() == {"key"}
        assert plan_of(partial(task, 1)).injected.keys() == {"key"}
        assert not plan_of(partial(task, key="bound")).injected

    def test_a_decorating_dependency_is_no_injected_parameter(self) -> None:
        async def task(a: Annotated[int, Retry(attempts=2)]) -> None: ...

        plan = plan_of(task)
        assert plan.injects
        assert not plan.injected
        assert trip(task, 3) == ((3,), {})

    def test_a_task_without_any_pays_for_none(self) -> None:
        assert not plan_of(get_number).injects


class TestShown:
    def test_arguments_are_hidden_unless_they_are_marked(self) -> None:
        def task(a: int, b: str = "", *, c: Annotated[list[int], Logged(length_only=True)] = []) -> None: ...  # noqa: B006

        def hidden(a: int) -> None: ...

        def seen(a: Annotated[int, Logged], b: Annotated[str, "note", Logged()] = "") -> None: ...

        assert plan_of(hidden).shown((1,), {}) == "…"
        assert plan_of(hidden).shown((), {}) == ""
        assert plan_of(seen).shown((1,), {"b": "x"}) == "a=1, b='x'"
        assert plan_of(task).shown((1,), {"c": [1, 2]}) == "a=…, c=list of 2"

    def test_a_mark_behind_an_alias_counts(self) -> None:
        def task(user: UserId, other: Annotated[UserId, "note"]) -> None: ...

        assert plan_of(task).shown((1, 2), {}) == "user=1, other=2"

    def test_arguments_that_do_not_fit_are_not_shown(self) -> None:
        def task(a: Annotated[int, Logged]) -> None: ...

        assert plan_of(task).shown((1, 2), {}) == "…"
