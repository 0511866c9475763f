"""A class's annotations are resolved one by one."""

from dataclasses import dataclass
from typing import Any

import pytest

from shadows.payload.hints import hints_of


@dataclass
class Base:
    a: int
    b: "str"


@dataclass
class Child[V](Base):
    b: "int"  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]
    c: "Child[V] | None"
    d: "Nowhere"  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]
    e: "V"


class TestHints:
    def test_take_in_bases_and_leave_out_what_cannot_be_resolved(self) -> None:
        found = hints_of(Child)
        assert list(found) == ["a", "b", "c", "e"]
        assert found["b"] is int
        assert found["e"] is Child.__type_params__[0]

    def test_of_a_local_class_may_name_it(self) -> None:
        @dataclass
        class Local:
            again: "Local | None"

        assert hints_of(Local) == {"again": Local | None}

    def test_of_a_class_of_no_module_are_found(self) -> None:
        assert hints_of(type("Lost", (), {"__module__": "nowhere", "__annotations__": {"x": "int"}})) == {
            "x": int
        }

    def test_of_a_class_that_cannot_say_are_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_kind: Any) -> dict[str, object]:
            raise NameError

        monkeypatch.setattr("inspect.get_annotations", fail)
        assert hints_of(Base) == {}
