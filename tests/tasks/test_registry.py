"""What a shadow knows, and what its process knows of its name."""

import gc
import operator
import re
import weakref
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest

from shadows import InvalidName, InvalidTask, tasks
from shadows.tasks import fail, sleep, standard_tasks, trace
from shadows.tasks.registry import Registry

type Another = Callable[[], Registry]


async def greet(name: str) -> str:
    return f"hello {name}"


async def other_greet(name: str) -> str:
    return f"good morning {name}"


other_greet.__name__ = "greet"


def own(registry: Registry) -> dict[str, Callable[..., Any]]:
    """What it holds beside the built-in tasks."""
    return {name: function for name, function in registry.items() if function not in standard_tasks}


class Mailer:
    async def send(self, to: str) -> str:
        return to


class TestRegister:
    def test_a_task_goes_by_its_own_name(self, registry: Registry) -> None:
        (plan,) = registry.register(greet)
        assert plan.name == "greet"
        assert plan.queue == "default"
        assert registry.find("greet") is plan

    def test_a_task_may_have_other_names_and_a_queue(self, registry: Registry) -> None:
        registry.register(greet, names=["hello", "hi"], queue="mail")
        assert sorted(own(registry)) == ["hello", "hi"]
        assert registry.add(greet).name == "hello"
        assert registry.add(greet).queue == "mail"

    def test_one_name_may_be_given_as_text(self, registry: Registry) -> None:
        registry.register(lambda: None, names="noop")
        assert list(own(registry)) == ["noop"]

    def test_registering_again_changes_the_queue(self, registry: Registry) -> None:
        registry.register(greet)
        assert registry.add(greet).queue == "default"
        registry.register(greet, queue="mail")
        assert registry.add(greet).queue == "mail"

    def test_a_clash_of_names_is_refused_and_both_places_are_named(self, registry: Registry) -> None:
        registry.register(greet)
        with pytest.raises(
            InvalidTask, match=r"two tasks are called 'greet': .*test_registry\.greet and .*other_greet"
        ):
            registry.register(other_greet)
        assert registry["greet"] is greet

    def test_a_clash_leaves_no_other_name_behind(self, registry: Registry) -> None:
        registry.register(greet)
        with pytest.raises(InvalidTask):
            registry.register(other_greet, names=["fine", "greet"])
        assert list(own(registry)) == ["greet"]

    @pytest.mark.parametrize("names", [[""], ["a\nb"], [None], [3]])
    def test_a_name_is_printable_text(self, registry: Registry, names: list[Any]) -> None:
        with pytest.raises(InvalidTask, match=re.escape(f"the name {names[0]!r} cannot be a task's")):
            registry.register(greet, names)
        assert not own(registry)

    def test_no_name_at_all_is_refused(self, registry: Registry) -> None:
        with pytest.raises(InvalidTask, match="without a name"):
            registry.register(greet, names=[])

    def test_an_invalid_queue_is_refused(self, registry: Registry) -> None:
        with pytest.raises(InvalidName, match="queue='a b'"):
            registry.register(greet, queue="a b")
        assert not own(registry)


class TestAdd:
    def test_an_added_function_is_known_from_then_on(self, registry: Registry) -> None:
        plan = registry.add(greet)
        assert registry.add(greet) is plan
        assert registry["greet"] is greet

    def test_a_method_is_known_by_each_look_at_it(self, registry: Registry) -> None:
        mailer = Mailer()
        assert registry.add(mailer.send) is registry.add(mailer.send)

    def test_another_function_of_the_same_name_is_refused(self, registry: Registry) -> None:
        registry.add(greet)
        with pytest.raises(InvalidTask, match="two tasks are called 'greet'"):
            registry.add(other_greet)

    def test_an_explicit_registration_wins(self, registry: Registry) -> None:
        registry.add(greet)
        registry.register(other_greet)
        assert registry["greet"] is other_greet
        with pytest.raises(InvalidTask, match="two tasks are called 'greet'"):
            registry.add(greet)

    def test_a_function_without_a_usable_name_is_refused(self, registry: Registry) -> None:
        async def task() -> None: ...

        task.__name__ = "a\nb"
        with pytest.raises(InvalidTask, match=re.escape(r"'a\nb'")):
            registry.add(task)

    def test_a_lambda_that_is_registered_can_be_added(self, registry: Registry, another: Another) -> None:
        noop: Callable[[], None] = lambda: None  # noqa: E731
        with pytest.raises(InvalidTask, match="lambda"):
            registry.add(noop)
        registry.register(noop, names=["noop"])
        assert registry.add(noop).name == "noop"
        assert another().add(noop).name == "noop"

    def test_a_mock_with_a_name_is_a_task(self, registry: Registry) -> None:
        mock = AsyncMock()
        mock.__name__ = "mocked"
        assert registry.add(mock).name == "mocked"
        assert registry.add(mock).is_async

    def test_a_function_made_anew_by_the_same_lines_takes_the_place_of_the_old_one(
        self, registry: Registry
    ) -> None:
        def make() -> Callable[[], Awaitable[None]]:
            async def task() -> None: ...

            return task

        first, second = make(), make()
        registry.register(first, queue="mail")
        plan = registry.add(second)
        assert plan.queue == "mail"
        assert registry["task"] is second

    def test_functions_made_for_one_call_each_are_not_kept(self, registry: Registry) -> None:
        def make() -> Callable[[], Awaitable[None]]:
            async def task() -> None: ...

            return task

        first = make()
        gone = weakref.ref(first)
        registry.add(first)
        del first
        registry.add(make())
        gc.collect()
        assert gone() is None


class TestProcess:
    def test_what_was_added_is_known_to_other_shadows_of_the_name(
        self, registry: Registry, another: Another
    ) -> None:
        registry.add(greet)
        assert another()["greet"] is greet

    def test_what_was_registered_is_known_to_other_shadows_of_the_name(
        self, registry: Registry, another: Another
    ) -> None:
        registry.register(greet, names=["hello"], queue="mail")
        plan = another().add(greet)
        assert (plan.name, plan.queue) == ("hello", "mail")

    def test_what_was_added_clashes_with_another_function_of_the_name(
        self, registry: Registry, another: Another
    ) -> None:
        registry.add(greet)
        with pytest.raises(InvalidTask, match="two tasks are called 'greet'"):
            another().add(other_greet)

    def test_an_explicit_registration_wins_over_what_the_process_knows(
        self, registry: Registry, another: Another
    ) -> None:
        registry.add(greet)
        explicit = another()
        explicit.register(other_greet)
        assert explicit["greet"] is other_greet
        assert registry["greet"] is greet

    def test_shadows_of_other_names_know_nothing_of_it(self, registry: Registry, shadow_name: str) -> None:
        registry.add(greet)
        assert "greet" not in Registry(f"{shadow_name}-other")


class TestMapping:
    def test_it_holds_functions_by_name(self, registry: Registry) -> None:
        registry["hello"] = greet
        assert registry["hello"] is greet
        assert own(registry) == {"hello": greet}
        assert len(registry) == 1 + len(standard_tasks)

    def test_unknown_names_are_key_errors(self, registry: Registry) -> None:
        with pytest.raises(KeyError):
            registry["nothing"]
        with pytest.raises(KeyError):
            del registry["nothing"]

    def test_what_is_deleted_is_forgotten(self, registry: Registry, another: Another) -> None:
        registry.add(greet)
        del registry["greet"]
        assert "greet" not in registry
        assert "greet" not in another()
        registry.register(other_greet)
        assert registry["greet"] is other_greet

    def test_names_may_come_from_any_iterable(self, registry: Registry) -> None:
        registry.register(greet, cast("Iterable[str]", (name for name in ("a", "b"))))
        assert sorted(own(registry)) == ["a", "b"]


class TestBuiltIn:
    def test_they_are_known_by_their_names_and_come_last(self, registry: Registry) -> None:
        registry.register(greet)
        assert list(registry) == ["greet", "trace", "fail", "sleep"]
        assert [registry["trace"], registry["fail"], registry["sleep"]] == [trace, fail, sleep]
        assert registry.add(trace) is registry.find("trace")

    def test_their_names_are_free_for_others(self, registry: Registry) -> None:
        async def sleep(seconds: float) -> None: ...

        async def fail() -> None: ...

        registry.register(sleep)
        assert registry.add(fail).function is fail
        assert (registry["sleep"], registry["fail"]) == (sleep, fail)
        assert len(registry) == 3
        del registry["sleep"], registry["fail"]
        assert registry["sleep"] is standard_tasks[2]

    def test_they_stay_when_all_else_is_removed(self, registry: Registry) -> None:
        registry.register(greet)
        registry.clear()
        assert list(registry) == ["trace", "fail", "sleep"]
        with pytest.raises(KeyError):
            del registry["trace"]

    def test_nothing_else_is_there(self) -> None:
        with pytest.raises(AttributeError, match=r"module 'shadows\.tasks' has no attribute 'nothing'"):
            operator.attrgetter("nothing")(tasks)
