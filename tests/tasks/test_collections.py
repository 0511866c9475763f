"""Tasks named as `module:member`."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shadows import InvalidTask
from shadows.tasks.collections import load_collection

SOURCE = """
async def one(): ...
def two(): ...
class Space:
    tasks = [one]
listed = [one, two]
chained = (task for task in (one, two))
named = {"uno": one, "dos": two}
wrong = [one, 42]
empty = []
text = "one"
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Writes a module into the working directory; answers its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made: list[str] = []

    def write(source: str) -> str:
        name = f"collection_{tmp_path.name.replace('-', '_')}_{len(made)}"
        (tmp_path / f"{name}.py").write_text(source)
        made.append(name)
        return name

    yield write
    for name in made:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("one", [("one", None)]),
        ("Space.tasks", [("one", None)]),
        ("listed", [("one", None), ("two", None)]),
        ("chained", [("one", None), ("two", None)]),
        ("named", [("one", ["uno"]), ("two", ["dos"])]),
        ("empty", []),
    ],
)
def test_a_member_is_a_task_or_holds_some(
    module: Callable[[str], str], member: str, expected: list[tuple[str, list[str] | None]]
) -> None:
    found = load_collection(f"{module(SOURCE)}:{member}")
    assert [(function.__name__, names) for function, names in found] == expected


@pytest.mark.parametrize("path", ["tasks", "tasks:", ":tasks", ""])
def test_a_path_without_two_parts_is_refused_with_an_example(path: str) -> None:
    with pytest.raises(InvalidTask, match=f"'{path}' does not name tasks: write module:member"):
        load_collection(path)


@pytest.mark.parametrize("name", ["no_such_module_anywhere", "a..b", ".relative"])
def test_a_module_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(InvalidTask, match=f"the module '{name}' cannot be imported: "):
        load_collection(f"{name}:tasks")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def", "SyntaxError: "),
        ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
    ],
)
def test_a_module_that_fails_is_refused_with_its_error(
    module: Callable[[str], str], source: str, reason: str
) -> None:
    name = module(source)
    with pytest.raises(InvalidTask, match=f"'{name}' cannot be imported: .*{reason}"):
        load_collection(f"{name}:tasks")


def test_a_member_that_is_not_there_is_refused(module: Callable[[str], str]) -> None:
    name = module(SOURCE)
    with pytest.raises(InvalidTask, match=f"'{name}' has no 'three'"):
        load_collection(f"{name}:three")
    with pytest.raises(InvalidTask, match=f"'{name}' has no 'other'"):
        load_collection(f"{name}:Space.other")


@pytest.mark.parametrize(
    ("member", "reason"),
    [("wrong", "42 is not callable"), ("text", "'one' is not callable"), ("Space", "class")],
)
def test_a_member_that_is_no_task_is_refused(module: Callable[[str], str], member: str, reason: str) -> None:
    path = f"{module(SOURCE)}:{member}"
    with pytest.raises(InvalidTask, match=f"'{path}' holds something that is not a task: .*{reason}"):
        load_collection(path)


def test_the_working_directory_is_importable_once(module: Callable[[str], str]) -> None:
    name = module(SOURCE)
    before = len(sys.path)
    load_collection(f"{name}:one")
    load_collection(f"{name}:one")
    assert len(sys.path) == before + 1
