"""What log lines show of arguments."""

from shadows import Logged


class Broken:
    def __repr__(self) -> str:
        raise ValueError("no repr")

    def __len__(self) -> int:
        raise ValueError("no len")


def test_a_value_is_shown_as_its_repr() -> None:
    assert Logged().show("a\nb") == r"'a\nb'"


def test_a_long_value_is_cut() -> None:
    shown = Logged().show("x" * 1000)
    assert len(shown) == 201
    assert shown.endswith("…")


def test_of_a_secret_only_the_length_is_shown() -> None:
    assert Logged(length_only=True).show(["a", "b"]) == "list of 2"


def test_what_has_no_length_is_shown_as_its_class() -> None:
    assert Logged(length_only=True).show(42) == "int"


def test_a_value_that_cannot_be_shown_breaks_nothing() -> None:
    assert "its repr fails" in Logged().show(Broken())
    assert Logged(length_only=True).show(Broken()) == "Broken"
