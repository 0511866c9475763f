"""What log lines look like."""

import json
import logging

import pytest

from shadows.telemetry.logs import LogFormat, set_up_logging


def failing() -> None:
    try:
        raise ValueError("the reason")
    except ValueError:
        logging.getLogger("shadows.test").exception("it failed")


def test_json_lines_can_be_parsed_and_carry_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("debug", LogFormat.JSON)
    logging.getLogger("shadows.test").debug("said %s", 'a "quoted"\nword')
    failing()
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["logger"], first["message"]) == (
        "debug",
        "shadows.test",
        'said a "quoted"\nword',
    )
    assert "ValueError: the reason" in second["exception"]


@pytest.mark.parametrize("log_format", [LogFormat.PLAIN, LogFormat.RICH])
def test_a_line_cannot_be_forged_by_control_characters(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat
) -> None:
    set_up_logging("info", log_format)
    logging.getLogger("shadows.test").info("key=%s", "a\nINFO forged \x1b[31mred")
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert r"a\x0aINFO forged \x1b[31mred" in said


@pytest.mark.parametrize("log_format", [LogFormat.PLAIN, LogFormat.RICH])
def test_a_traceback_follows_its_line(capsys: pytest.CaptureFixture[str], log_format: LogFormat) -> None:
    set_up_logging("info", log_format)
    failing()
    assert capsys.readouterr().err.rstrip().endswith("ValueError: the reason")


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("warning", LogFormat.PLAIN)
    logging.getLogger("shadows.test").info("not this")
    assert capsys.readouterr().err == ""


def test_a_level_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="debug, info, warning, error or critical"):
        set_up_logging("loud", LogFormat.PLAIN)
