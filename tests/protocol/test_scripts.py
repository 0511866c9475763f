"""The scripts are put together from their files, and declare every key that they touch."""

import re

import pytest

from shadows.protocol.keys import FIXED
from shadows.protocol.outcomes import completed
from shadows.protocol.scripts import assemble, load
from tests.protocol.bench import NAMES, Bench
from tests.protocol.mutants import SOURCES


@pytest.mark.parametrize("name", NAMES)
def test_a_script_takes_the_keys_that_its_head_names_and_those_of_its_fragments(name: str) -> None:
    script = load(name)
    assert script.name == name
    assert list(script.roles) == [role for role in FIXED if role in script.roles]
    head = script.source.decode().splitlines()[:2]
    assert head[0] == f"local call, FIXED = redis.call, {len(script.roles)}"
    assert head[1].startswith(f"local {', '.join(role.replace(':', '_') for role in script.roles)} = KEYS[1]")


@pytest.mark.parametrize("name", NAMES)
def test_a_script_uses_every_key_that_it_takes_and_no_other(name: str) -> None:
    script = load(name)
    code = re.sub(r"--.*|'[^']*'", "", "\n".join(script.source.decode().splitlines()[2:]))
    words = set(re.findall(r"[a-z_]+", code))
    others = {role.replace(":", "_") for role in FIXED if role not in script.roles}
    assert not words & (others - {"held", "permits", "meta"}), "a key that is not declared"
    unused = {role for role in script.roles if role.replace(":", "_") not in words}
    assert name in ("purge", "types") or unused <= {"wake"}, (
        "(purge, types and enroll reach keys by their numbers)"
    )


def test_every_file_belongs_to_a_script() -> None:
    used = {f"{name}.lua" for name in NAMES}
    for name in NAMES:
        used |= {
            f"shared/{word}.lua"
            for word in re.findall(r"^-- with: (.*)$", SOURCES[f"{name}.lua"], re.MULTILINE)[:1]
            for word in word.split()
        }
    assert used == set(SOURCES)


def test_a_key_that_no_shadow_has_is_refused() -> None:
    with pytest.raises(LookupError, match=r"odd\.lua declares keys that no shadow has: \['nothing'\]"):
        assemble("odd", "-- keys: live nothing\n", {})


def test_a_server_that_forgot_the_scripts_is_given_them_again(bench: Bench) -> None:
    bench.wire.one("SCRIPT", "FLUSH")
    bench.add("a")
    bench.wire.one("SCRIPT", "FLUSH")
    bench.enroll()
    bench.instant += 1
    bench.wire.many([("SCRIPT", "LOAD", bench.scripts["beat"].source)])
    (task,) = bench.take()
    assert bench.cycle(settle=[(task, completed())]).verdicts[0].value == "O"
