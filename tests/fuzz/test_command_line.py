"""Whatever is written on a command line: it works, or ends in one line and an exit code, never in a traceback."""

from collections.abc import Iterator

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shadows.cli.app import app, run
from tests.support.root_logging import kept_logging

__all__ = ["kept_logging"]

NOWHERE = ["--url", "unix:///nowhere/at.all"]
GO_ON = {"worker", "dev", "demo", "top", "watch"}
"""Commands that would begin and not end: they are given an option that none of them has, twice, as one may be another's value."""


def commands() -> Iterator[tuple[list[str], list[str]]]:
    """Every command, and its options."""
    root = typer.main.get_command(app)
    for name, command in getattr(root, "commands").items():  # noqa: B009 - a group, which the types do not say
        inner = getattr(command, "commands", None)
        for path, one in (
            [([name, sub], child) for sub, child in inner.items()] if inner else [([name], command)]
        ):
            yield path, [word for parameter in one.params for word in parameter.opts if word.startswith("-")]


COMMANDS = list(commands())
values = st.sampled_from([
    "", "0", "-1", "1", "1e999", "nan", "x", "9" * 30, "10s", "1:00", "2026-12-24", "2026-12-24T18:00Z", "int:x", "json:[",
    "a=int:1", "=", "os:path", "os", ":", "nowhere:tasks", "{}", "*", "--", "a\nb", "\x1b[31m", "é", "default",
]) | st.text(max_size=8)  # fmt: skip


@pytest.mark.parametrize(("path", "options"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
@settings(
    deadline=None,
    max_examples=max(10, settings().max_examples // 8),
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.differing_executors,
    ],
)
@given(data=st.data())
def test_a_command_works_or_complains_in_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    path: list[str],
    options: list[str],
    data: st.DataObject,
) -> None:
    monkeypatch.setenv("SHADOWS_URL", NOWHERE[1])
    offered = [option for option in options if option not in ("--url", "--install-completion")]
    words = data.draw(st.lists(st.sampled_from(offered) | values if offered else values, max_size=6))
    ending = ["--no-such-option"] * 2 if path[0] in GO_ON else []
    capsys.readouterr()
    code = run([*path, *words, *ending])
    out, complaint = capsys.readouterr()
    assert "Traceback" not in out + complaint
    if code and path != ["doctor"]:
        assert complaint.startswith("shadows: "), (words, out)
        assert complaint.count("\n") == 1, complaint
