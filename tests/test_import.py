"""Importing the package: light, and whole."""

import importlib
import subprocess
import sys

import pytest

import shadows


def test_every_public_name_is_there() -> None:
    for name in shadows.__all__:
        assert getattr(shadows, name) is getattr(importlib.import_module("shadows"), name)
    assert set(shadows.__all__) <= set(dir(shadows))


def test_what_is_not_there_is_said_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'shadows' has no attribute 'nothing'"):
        _ = shadows.nothing  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
    assert not hasattr(shadows, "nothing")


def test_its_modules_are_there_without_being_imported_by_name() -> None:
    code = "import shadows; print(shadows.tasks.trace.__name__, shadows.errors.ShadowError.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "trace ShadowError\n"


def test_importing_it_and_its_command_line_loads_neither_redis_nor_rich() -> None:
    code = "import sys, shadows.cli; print(sorted({'redis', 'rich', 'msgspec', 'opentelemetry'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_module_that_cannot_be_imported_is_not_mistaken_for_one_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("no module named 'redis'", name="redis")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match="redis"):
        shadows.__getattr__("cli")
