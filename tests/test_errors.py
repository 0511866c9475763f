"""The errors are one small family, and say what to do."""

import inspect

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

import shadows
from shadows import errors
from shadows.errors import ShadowError, TaskFailed, UnknownTasks


def test_every_error_is_a_shadow_error() -> None:
    kinds = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__
    ]
    assert len(kinds) > 10
    assert all(issubclass(kind, ShadowError) for kind in kinds)


def test_those_that_a_user_can_meet_are_public() -> None:
    public = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
    }
    assert public - {"LeaseLost"} <= set(shadows.__all__)


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (shadows.InvalidName, ValueError),
        (shadows.InvalidTask, ValueError),
        (shadows.InvalidTask, TypeError),
        (shadows.EncodingError, TypeError),
        (shadows.ServerUnreachable, RedisConnectionError),
        (shadows.EmbeddedUnavailable, RedisConnectionError),
        (shadows.ServerUnsupported, RedisError),
    ],
)
def test_they_are_caught_as_what_they_are_elsewhere(kind: type[Exception], base: type[Exception]) -> None:
    assert issubclass(kind, base)


def test_unknown_tasks_are_named_with_the_remedy() -> None:
    error = UnknownTasks({"b", "a"})
    assert error.names == ("a", "b")
    assert "'a', 'b'. Register them (`shadows.register(function)`" in str(error)


def test_a_failed_task_has_a_name_and_a_traceback() -> None:
    error = TaskFailed("Mine: text", type_name="app.Mine", remote_traceback="Traceback …")
    assert (str(error), error.type_name, error.remote_traceback) == ("Mine: text", "app.Mine", "Traceback …")
    assert TaskFailed("text").type_name == ""
