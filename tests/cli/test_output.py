"""What commands write."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from shadows.cli.output import console, moment, plain, span, table, write_json

NOW = datetime(2026, 12, 24, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0004, "0ms"),
        (0.25, "250ms"),
        (3.14, "3.1s"),
        (59, "59s"),
        (60, "1m"),
        (125, "2m 5s"),
        (3600, "1h"),
        (7500, "2h 5m"),
        (86_460, "1d"),
        (90_000, "1d 1h"),
    ],
)
def test_a_duration_is_said_in_its_two_greatest_units(seconds: float, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


def test_an_instant_is_said_from_here_unless_it_is_far() -> None:
    assert moment(NOW + timedelta(minutes=3), NOW) == "in 3m"
    assert moment(NOW - timedelta(seconds=12), NOW) == "12s ago"
    assert moment(NOW + timedelta(milliseconds=300), NOW) == "now"
    assert (
        moment(NOW + timedelta(days=2), NOW) == f"{(NOW + timedelta(days=2)).astimezone():%Y-%m-%d %H:%M:%S}"
    )
    assert moment(None, NOW) == ""
    assert span(None) == ""


def test_what_others_wrote_is_shown_and_not_obeyed() -> None:
    assert plain("\x1b[2J\r\n\x9b31m\u202eevil") == r"\x1b[2J\x0d\x0a\x9b31m\u202eevil"


def test_markup_in_a_cell_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(table("Key", rows=[("[red]key[/red]\x1b[31m",)]))
    assert r"[red]key[/red]\x1b[31m" in capsys.readouterr().out


def test_without_a_terminal_a_row_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    console().print(table("Key", "Error", rows=[("k" * 100, "e" * 200)]))
    assert f"{'k' * 100}   {'e' * 200}" in capsys.readouterr().out


def test_json_holds_what_it_has_no_types_for(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass
    class Point:
        x: int

    write_json([NOW, timedelta(seconds=1.5), {"b", "a"} | set(), Point(1), object])
    written = capsys.readouterr().out
    assert written == '["2026-12-24T18:00:00Z", 1.5, ["a", "b"], {"x": 1}, "<class \'object\'>"]\n'
