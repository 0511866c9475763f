"""`letters.lua`: pages of the dead letters, newest first."""

import pytest

from shadows.protocol.letters import Letter, letter, letters, parse
from shadows.protocol.outcomes import dead, failed
from shadows.protocol.schedule import Item
from tests.protocol.bench import Bench, now


def page(bench: Bench, before: str = "", most: int = 200) -> tuple[list[str], bool]:
    """The keys of one page, and whether there are more."""
    found = now(letters(bench.store, bench.link, before, most))
    assert found is not None
    return [letter.key for letter in found[0]], found[1]


def die(bench: Bench, *keys: str) -> list[str]:
    """Have tasks fail for good, one after the other; the ids of their letters."""
    ids: list[str] = []
    for key in keys:
        bench.add(key)
        (task,) = bench.take()
        bench.cycle(settle=[(task, failed(b"in/fo"))])
        bench.instant += 1
        ids.append(task.token)
    return ids


def test_there_are_none(bench: Bench) -> None:
    assert page(bench) == ([], False)


def test_a_letter_is_told_with_all_that_is_known(bench: Bench) -> None:
    bench.enroll("mail")
    bench.add("k/1", queue="mail")
    (task,) = bench.take(queue="mail")
    bench.cycle(settle=[(task, dead("unknown", b"in/fo"))])
    assert now(letters(bench.store, bench.link)) == (
        [Letter(task.token, bench.instant, "unknown", "mail", "k/1", b"in/fo", b"1/0/call-k/1")], False,
    )  # fmt: skip
    assert now(letter(bench.store, bench.link, task.token)) == Letter(
        task.token, 0, "unknown", "mail", "k/1", b"in/fo", b"1/0/call-k/1"
    )
    assert now(letter(bench.store, bench.link, "another")) is None


def test_they_come_newest_first_in_pages(bench: Bench) -> None:
    ids = dict(zip("abcde", die(bench, *"abcde"), strict=True))
    assert page(bench) == (["e", "d", "c", "b", "a"], False)
    assert page(bench, most=5) == (["e", "d", "c", "b", "a"], False)
    assert page(bench, most=4) == (["e", "d", "c", "b"], True)
    assert page(bench, before=ids["d"], most=2) == (["c", "b"], True)
    assert page(bench, before=ids["b"], most=2) == (["a"], False)
    assert page(bench, before=ids["a"]) == ([], False)


def test_who_asks_behind_one_that_is_no_more_is_told(bench: Bench) -> None:
    die(bench, "a")
    assert now(letters(bench.store, bench.link, "another")) is None


def test_a_page_ends_early_where_its_letters_take_a_mib(bench: Bench) -> None:
    for key in "abc":
        head = "failed/default/1/0/a" + "1/0/"
        bench.schedule(Item(key, "default", 0, b"x" * (1024 * 1024 // 2 - len(head))))
        bench.cycle(settle=[(task, failed()) for task in bench.take()])
        bench.instant += 1
    assert page(bench) == (["c", "b"], True)


def test_one_call_answers_no_more_than_two_hundred(bench: Bench) -> None:
    for number in range(201):
        bench.ask("HSET", "dead", f"i{number}", f"lost//2/0/k{number % 10}")
        bench.ask("ZADD", "dead:at", number, f"i{number}")
    found, more = page(bench, most=1000)
    assert (len(found), more) == (200, True)


@pytest.mark.parametrize("stored", [b"", b"nonsense", b"failed/default/x/0/", b"failed/default/1"])
def test_a_letter_that_cannot_be_read_is_one_whose_call_was_lost(bench: Bench, stored: bytes) -> None:
    assert parse("id", 5, stored) == Letter("id", 5, "lost", "", "", b"", b"")
    if stored:
        bench.ask("HSET", "dead", "id", stored)
    bench.ask("ZADD", "dead:at", 5, "id")
    assert now(letters(bench.store, bench.link)) == ([parse("id", 5, stored)], False)
