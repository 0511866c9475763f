"""What log lines look like."""

import asyncio
import json
import logging
from typing import Annotated

import pytest

from shadows import Logged, Shadow, Worker
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


def test_json_lines_have_the_events_fields_as_fields(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("debug", LogFormat.JSON)
    log = logging.getLogger("shadows.test")
    log.info(
        "task ended task=%s(%s) key=%s attempt=%d duration=%.3fs 100%% %s", "greet", "…", "k", 2, 0.5, "x"
    )
    log.warning(
        "refused error=%s rest=%s", ValueError("the reason"), float("inf"), extra={"who": {1}, "level": "x"}
    )
    logging.getLogger("another").info("key=%s", "k")
    log.info("no fields")
    log.info("by name %(key)s", {"key": "k"})
    first, second, third, fourth, fifth = map(json.loads, capsys.readouterr().err.splitlines())
    common = {"time", "level", "logger", "message"}
    assert {name: value for name, value in first.items() if name not in common} == {
        "task": "greet", "arguments": "…", "key": "k", "attempt": 2, "duration": 0.5,
    }  # fmt: skip
    assert first["message"] == "task ended task=greet(…) key=k attempt=2 duration=0.500s 100% x"
    assert (second["error"], second["rest"], second["who"], second["level"]) == (
        "the reason", "inf", "{1}", "warning",
    )  # fmt: skip
    assert third.keys() == fourth.keys() == fifth.keys() == common


@pytest.mark.parametrize("log_format", LogFormat)
def test_no_format_lets_control_characters_through(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat
) -> None:
    set_up_logging("info", log_format)
    nasty = "".join(map(chr, (*range(32), 127, *range(128, 160), 0x2028, 0x202E)))
    try:
        raise ValueError(f"x\n2026-11-24 20:00:00.000 INFO shadows: forged{nasty}")
    except ValueError:
        logging.getLogger(f"shadows.{nasty}").exception("said %s", nasty, stack_info=True)
    said = capsys.readouterr().err
    coloured = said.replace("\x1b[2m", "").replace("\x1b[0m", "").replace("\x1b[31m", "")
    assert not {letter for letter in nasty if letter in coloured} - {"\n"}
    first, *rest = said.splitlines()
    assert not any(line.startswith("2026-11-24") for line in rest)
    assert all(line.startswith("    ") for line in rest)
    if log_format is LogFormat.JSON:
        found = json.loads(first)
        assert found["message"] == f"said {nasty}"
        assert "forged" in found["exception"]
        assert found["stack"].startswith("Stack (most recent call last)")


async def test_one_line_says_that_a_task_starts_and_one_that_it_ended(
    capsys: pytest.CaptureFixture[str], name: str, url: str
) -> None:
    async def greet(name: Annotated[str, Logged()], password: str) -> None: ...

    async def fail() -> None:
        raise ValueError("the reason")

    async def cancel() -> None:
        raise asyncio.CancelledError

    set_up_logging("info", LogFormat.JSON)
    async with Shadow(name, url) as shadows:
        await shadows.add(greet, key="a")("Jane", "canary")
        await shadows.add(fail, key="b")()
        await shadows.add(cancel, key="c")()
        async with Worker(shadows, name="w", concurrency=1) as worker:
            await worker.run_until_finished()
    said = capsys.readouterr().err
    assert "canary" not in said
    lines = [line for line in map(json.loads, said.splitlines()) if line["message"].startswith("task ")]
    assert [
        (line["message"].split(" task=")[0], line["key"], line["attempt"], line["worker"]) for line in lines
    ] == [(event, key, 1, "w") for key in "abc" for event in ("task started", "task ended")]
    assert lines[0]["arguments"] == "name='Jane', password=…"
    assert [(line["state"], line.get("error")) for line in lines[1::2]] == [
        ("succeeded", None), ("failed", "ValueError('the reason')"), ("cancelled", "CancelledError()"),
    ]  # fmt: skip
    assert all(isinstance(line["duration"], float) for line in lines[1::2])
