"""Values as people write them on a command line."""

import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from shadows.cli.values import parse_named, parse_range, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("hello", "hello"),
        ("42", "42"),
        ("", ""),
        ("int:42", 42),
        ("int:-7", -7),
        ("float:2.5", 2.5),
        ("bool:true", True),
        ("bool:NO", False),
        ("str:int:42", "int:42"),
        ("none:", None),
        ("None:", None),
        ("bytes:ab", b"ab"),
        ('json:[1, {"a": null}]', [1, {"a": None}]),
        ("decimal.Decimal:1.10", Decimal("1.10")),
        ("Decimal:1.10", Decimal("1.10")),
        ("uuid.UUID:3fa85f64-5717-4562-b3fc-2c963f66afa6", uuid.UUID("3fa85f64-5717-4562-b3fc-2c963f66afa6")),
        ("datetime.datetime:2026-12-24T18:00+00:00", datetime(2026, 12, 24, 18, tzinfo=UTC)),
        ("date:2026-12-24", date(2026, 12, 24)),
        ("datetime.time:18:30", time(18, 30)),
        ("datetime.timedelta:90", timedelta(seconds=90)),
        ("timedelta:10m", timedelta(minutes=10)),
        ("pathlib.Path:/tmp/a:b", Path("/tmp/a:b")),
        ("https://example.com", "https://example.com"),
        ("customer:42", "customer:42"),
        ("a b:c", "a b:c"),
        ("str:two\nlines", "two\nlines"),
    ],
)
def test_a_value_has_the_type_before_its_colon_else_it_is_text(text: str, value: object) -> None:
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "os.system:ls",
        "builtins.eval:1",
        "uuid.uuid4:",
        "list:1",
        "integer:1",
        "myapp.models.Order:1",
        "__builtins__.eval:1",
    ],
)
def test_no_type_but_those_of_the_closed_list_is_taken_and_the_list_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"none of the types str, int.*write str:"):
        parse_value(text)


@pytest.mark.parametrize(
    "text",
    [
        "int:x",
        "float:",
        "bool:maybe",
        "none:x",
        "uuid.UUID:x",
        "Decimal:x",
        "json:{",
        "date:x",
        "timedelta:x",
    ],
)
def test_a_text_that_is_none_of_its_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' is no "):
        parse_value(text)


def test_json_that_is_nested_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="is no json"):
        parse_value("json:" + "[" * 100_000)


def test_a_range_is_two_values_with_a_comma() -> None:
    assert parse_range("int:1,int:10") == (1, 10)
    for text in ("int:1", "int:1,", ",int:1"):
        with pytest.raises(ValueError, match="two values with a comma"):
            parse_range(text)


def test_arguments_have_names() -> None:
    assert parse_named(["a=int:1", "b=x=y", "c="]) == {"a": 1, "b": "x=y", "c": ""}
    for text in ("a", "=1", "1a=2"):
        with pytest.raises(ValueError, match="name=value"):
            parse_named([text])
    with pytest.raises(ValueError, match="given twice"):
        parse_named(["a=1", "a=2"])
