"""The names that a shadow's keys are made of."""

import subprocess
import sys

import pytest

from shadows.errors import InvalidName
from shadows.protocol.keys import FIXED, Keys, check_key, check_name, check_queue, random_key


def test_all_keys_of_a_shadow_carry_one_hash_tag() -> None:
    keys = Keys("orders")
    assert keys["ended:at"] == b"{orders}:ended:at"
    assert keys.ready("mail") == b"{orders}:ready:mail"
    every = keys.every(["mail", "default"])
    assert len(every) == len(set(every)) == len(FIXED) + 2
    assert all(key.startswith(b"{orders}:") for key in every)


@pytest.mark.parametrize("name", ["a", "0", "Orders.2024", "a:b_c@d+e-f", "x" * 128])
def test_names_of_letters_digits_and_a_few_marks_are_taken(name: str) -> None:
    assert check_name(name) == check_queue(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "x" * 129, "a b", "a/b", "{a}", "a*", "a?", "[a]", "-a", ".a", "é", "a\n", "a\0", None, 5, b"a"],
)
def test_other_names_are_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidName, match=r"^name=.*a shadow's name is 1 to 128 letters"):
        check_name(name)
    with pytest.raises(InvalidName, match=r"^queue=.*a queue's name is 1 to 128 letters"):
        check_queue(name)
    with pytest.raises(InvalidName):
        Keys(name)


@pytest.mark.parametrize(
    "key", ["a", "order/17 (again)", "naïve ☃", "x" * 512, "é" * 256, "\u00a0", "\u200b"]
)
def test_a_key_is_any_text(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "has 0 bytes"),
        ("x" * 513, r"'x{40}'… has 513 bytes.*use a hash"),
        ("é" * 257, "has 514 bytes"),
        ("a\nb", "holds control characters"),
        ("\0", "holds control characters"),
        ("\x85", "holds control characters"),
        ("\ud800", "lone surrogates"),
        (5, "a key is text"),
        (b"a", "a key is text"),
    ],
)
def test_other_keys_are_refused_with_the_reason(key: str, why: str) -> None:
    with pytest.raises(InvalidName, match=f"^key=.*{why}"):
        check_key(key)


def test_a_random_key_is_nobody_elses() -> None:
    keys = [random_key() for _ in range(1000)]
    assert len(set(keys)) == 1000
    assert {len(check_key(key)) for key in keys} == {32}


FORKED = """
import os
from shadows.protocol.keys import random_key
random_key()
reading, writing = os.pipe()
child = os.fork()
if not child:
    os.write(writing, random_key().encode())
    os._exit(0)
os.waitpid(child, 0)
assert os.read(reading, 100).decode() != random_key()
"""


def test_nor_one_that_a_forked_process_has() -> None:
    subprocess.run([sys.executable, "-c", FORKED], check=True)
