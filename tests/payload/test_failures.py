"""Exceptions: any can be described, and none brings back more than a builtin, a declared class or TaskFailed."""

import builtins
from collections.abc import Callable
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadows.errors import TaskFailed
from shadows.payload.failures import MAX_TEXT, Failure, clip, describe_failure, exception_name, revive
from shadows.payload.values import encode_value

NAME = f"{__name__}."


class Declared(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code


class Picky(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__()
        self.code = code


class Turncoat(Exception):
    def __new__(cls, *args: object) -> Self:
        return ValueError.__new__(ValueError)  # type: ignore[return-value]


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Text(str):
    __slots__ = ()

    def encode(self, *args: object, **kwargs: object) -> bytes:
        raise RuntimeError("no bytes")


class Sly(Exception):
    def __str__(self) -> str:
        return Text("sly")


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - any is described
        return caught


class TestDescription:
    def test_holds_what_a_reader_wants_to_know(self) -> None:
        error = raised(ValueError("bad", 3))
        error.add_note("try 4")
        failure = describe_failure(error)
        assert (failure.type_name, failure.message, failure.notes) == ("ValueError", "('bad', 3)", ("try 4",))
        assert failure.args == encode_value(("bad", 3))
        assert failure.traceback.startswith("Traceback (most recent call last):\n")
        assert "test_failures.py" in failure.traceback
        assert failure.traceback.endswith("ValueError: ('bad', 3)\ntry 4\n")

    def test_names_other_classes_with_their_module(self) -> None:
        assert describe_failure(Declared(1, "x")).type_name == f"{NAME}Declared"
        assert exception_name(Declared) == f"{NAME}Declared"

    def test_names_no_impostor_as_a_builtin(self) -> None:
        impostor = type("ValueError", (Exception,), {"__module__": "builtins"})
        assert exception_name(impostor) == "builtins.ValueError"

    def test_keeps_control_characters(self) -> None:
        assert describe_failure(ValueError("\x1b[31m\x00")).message == "\x1b[31m\x00"

    def test_shows_lone_surrogates_as_escapes(self) -> None:
        failure = describe_failure(ValueError("\ud800"))
        assert failure.message == "\\ud800"
        assert failure.args is None

    def test_goes_without_args_that_are_not_carried(self) -> None:
        assert describe_failure(ValueError(object())).args is None
        assert describe_failure(ValueError("x" * MAX_TEXT)).args is None

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Broken("x"), "(its message cannot be shown)"),
            (lambda: Sly("x"), "(its message cannot be shown)"),
            (lambda: ValueError(Mute()), "(its message cannot be shown)"),
            (lambda: ExceptionGroup("many", [ValueError("a"), Broken()]), "many (2 sub-exceptions)"),
            (lambda: SystemExit(3), "3"),
            (KeyboardInterrupt, ""),
        ],
        ids=["broken", "sly", "args", "group", "exit", "interrupt"],
    )
    def test_never_raises(self, make: Callable[[], BaseException], message: str) -> None:
        assert describe_failure(raised(make())).message == message

    def test_of_endless_recursion_is_short(self) -> None:
        def again() -> None:
            again()

        with pytest.raises(RecursionError) as caught:
            again()
        failure = describe_failure(caught.value)
        assert failure.type_name == "RecursionError"
        assert "more times" in failure.traceback

    def test_of_a_long_chain_is_capped(self) -> None:
        error: BaseException = ValueError("first")
        for index in range(300):
            following = ValueError(f"{index} " + "x" * 1000)
            following.__cause__ = error
            error = following
        failure = describe_failure(error)
        assert len(failure.traceback.encode()) <= MAX_TEXT
        assert "ValueError: first" in failure.traceback

    def test_whose_traceback_cannot_be_shown_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_error: BaseException) -> list[str]:
            raise RuntimeError

        monkeypatch.setattr("traceback.format_exception", fail)
        assert describe_failure(ValueError()).traceback == "(no traceback can be shown)"

    def test_takes_any_notes(self) -> None:
        error = ValueError()
        error.__notes__ = ["one", 2, Mute()]  # type: ignore[list-item]  # pyright: ignore[reportAttributeAccessIssue]
        assert describe_failure(error).notes == ("one", "2", "(a note that cannot be shown)")
        error.__notes__ = 5  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
        assert describe_failure(error).notes == ()

    def test_caps_all_notes_together(self) -> None:
        error = ValueError()
        for _ in range(10):
            error.add_note("x" * 20_000)
        assert len(describe_failure(error).notes) == 3


class TestClip:
    @given(st.text())
    def test_leaves_short_texts_alone(self, text: str) -> None:
        assert clip(text) == text.encode(errors="backslashreplace").decode()

    @given(st.sampled_from(["x", "ä", "𝄞"]), st.integers(MAX_TEXT, MAX_TEXT + 10))
    def test_keeps_both_ends_of_long_ones(self, letter: str, count: int) -> None:
        clipped = clip(f"begin {letter * count} end")
        assert len(clipped.encode()) <= MAX_TEXT
        assert clipped.startswith("begin ")
        assert clipped.endswith(" end")
        assert "bytes left out" in clipped


class TestRevival:
    @pytest.mark.parametrize(
        "error",
        [
            ValueError("bad"),
            ValueError("bad", 3),
            KeyError("key"),
            ZeroDivisionError(),
            TimeoutError("late"),
            FileNotFoundError(2, "No such file", "/x"),
            OSError(2, "No such file"),
            PermissionError(13, "denied", "/a", None, "/b"),
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        ],
        ids=repr,
    )
    def test_of_a_builtin_is_itself(self, error: Exception) -> None:
        revived = revive(describe_failure(raised(error)))
        assert type(revived) is type(error)
        assert revived.args == error.args
        assert str(revived) == str(error)

    def test_brings_notes_and_the_remote_traceback(self) -> None:
        error = raised(ValueError("x"))
        error.add_note("hint")
        hint, remote = revive(describe_failure(error)).__notes__
        assert hint == "hint"
        assert remote.startswith("The traceback on the worker:\nTraceback (most recent call last):")

    def test_without_traceback_adds_none(self) -> None:
        assert not hasattr(revive(Failure("ValueError", "x")), "__notes__")

    def test_of_a_builtin_without_args_has_its_message(self) -> None:
        assert revive(describe_failure(ValueError(object, "x"))).args[0].startswith("(<class 'object'>")

    @pytest.mark.parametrize("args", [b"junk", encode_value("no tuple"), encode_value((1, 2, 3, 4, 5, 6))])
    def test_from_args_that_do_not_fit_has_its_message(self, args: bytes) -> None:
        revived = revive(Failure(f"{NAME}One", "message", args=args), {f"{NAME}One": One})
        assert type(revived) is One
        assert revived.args == ("message",)

    def test_of_a_declared_class_is_itself(self) -> None:
        revived = revive(describe_failure(Declared(4, "x")), {exception_name(Declared): Declared})
        assert type(revived) is Declared
        assert revived.code == 4

    @pytest.mark.parametrize(
        ("error", "name"),
        [
            (Declared(4, "x"), f"{NAME}Declared"),
            (SystemExit(3), "SystemExit"),
            (KeyboardInterrupt("x"), "KeyboardInterrupt"),
            (ExceptionGroup("many", [ValueError("a")]), "ExceptionGroup"),
            (StopIteration(1), "StopIteration"),
            (StopAsyncIteration(1), "StopAsyncIteration"),
        ],
    )
    def test_of_any_other_is_task_failed(self, error: BaseException, name: str) -> None:
        failure = describe_failure(raised(error))
        revived = revive(failure)
        assert isinstance(revived, TaskFailed)
        assert revived.type_name == name
        assert str(revived) == f"{name}: {failure.message}"
        assert revived.remote_traceback == failure.traceback

    @pytest.mark.parametrize(
        ("name", "declared"),
        [
            ("print", {}),
            ("int", {}),
            ("__import__", {}),
            ("os.system", {}),
            ("builtins.ValueError", {}),
            ("x.Exit", {"x.Exit": SystemExit}),
            ("x.Picky", {"x.Picky": Picky}),
            ("x.Turncoat", {"x.Turncoat": Turncoat}),
        ],
    )
    def test_of_what_is_no_exception_or_cannot_be_built_is_task_failed(
        self, name: str, declared: dict[str, type[BaseException]]
    ) -> None:
        assert type(revive(Failure(name, "x"), declared)) is TaskFailed

    @given(st.sampled_from(dir(builtins)) | st.text(), st.text(), st.none() | st.binary())
    def test_always_is_an_exception_that_can_be_raised(
        self, name: str, message: str, args: bytes | None
    ) -> None:
        assert isinstance(revive(Failure(name, message, args=args)), Exception)


class One(Exception):
    def __init__(self, only: str) -> None:
        super().__init__(only)
