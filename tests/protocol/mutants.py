"""Can the tests see a fault? Each small fault put into the Lua files must make a direct test or a walk fail.

    uv run python -m tests.protocol.mutants --walks 40 --only 'reap|retire'

A mutant that survives is listed with the reason in `survivors.md`, or the command ends with 1.
"""

import argparse
import importlib
import itertools
import multiprocessing
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from types import FrameType
from typing import Any

from shadows.protocol import scripts
from shadows.protocol.scripts import Script, assemble
from tests.protocol.bench import NAMES, Bench
from tests.protocol.walk import walks
from tests.support.servers import ENGINES, Server, running

FOLDER = Path(scripts.__file__).parent / "lua"
SURVIVORS = Path(__file__).with_name("survivors.md")
SOURCES = {str(path.relative_to(FOLDER)): path.read_text() for path in sorted(FOLDER.rglob("*.lua"))}

# Where a write stands inside an expression, what it would answer takes its place.
WRITES = {
    "XADD": "'0-1'", "XACK": "1", "ZREM": "1", "ZPOPMIN": "{}", "XDEL": "1", "HSET": "1", "HDEL": "1", "ZADD": "1",
    "SADD": "1", "XGROUP": "1", "ZREMRANGEBYLEX": "1", "HINCRBY": "1", "PUBLISH": "0",
}  # fmt: skip
PATIENCE = 20
"""Seconds for the direct tests of one mutant, and one more for each walk."""
HELPERS = (
    "place", "bury", "finish", "sweep", "unwatch", "retire", "vacate", "unhold", "give_back", "set_use", "reserve",
    "unreserve", "supersede", "start_in_slot", "tell", "publish",
)  # fmt: skip
_CALL = re.compile(r"(?:redis\.p)?call\('(\w+)'")
_HELPER = re.compile(rf"\b(?:{'|'.join(HELPERS)})\((?=\w)")
_CONDITION = re.compile(r"\b(?:if|elseif) (.+?) then\b")
_OPERATOR = re.compile(r" (and|or) ")
_COMPARISON = re.compile(r" (<=|>=|<|>) ")
_STATEMENT = re.compile(r"(?:^|\n|;|\bthen|\belse|\bdo)\s*$")
_BEFORE = re.compile(r"(?:\b(?:if|elseif|while|and|or|return)|(?<![~=<>])=|,) $")
_AFTER = re.compile(r"(?: (?:and|or|then|do|end)\b|,|\n|$)")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault in one file."""

    file: str
    line: int
    kind: str
    where: str
    """The line, the fault's place marked."""
    new: str
    text: str

    @property
    def name(self) -> str:
        """What it is called where it is explained: without its line, which moves."""
        return f"{self.file} {self.kind}: {self.where}" + (f" -> {self.new}" if self.new else "")


def mutants() -> Iterator[Mutant]:
    """Every fault, once."""
    seen: set[tuple[str, str]] = set()
    for file, source in SOURCES.items():
        for start, end, new, kind in _faults(source):
            text = source[:start] + new + source[end:]
            if (file, text) not in seen:
                seen.add((file, text))
                before, after = (
                    source[:start].rpartition("\n")[2].lstrip(),
                    source[end:].partition("\n")[0].rstrip(),
                )
                where = f"{before}«{source[start:end]}»{after}"
                yield Mutant(file, source[:start].count("\n") + 1, kind, where, new, text)


def _faults(source: str) -> Iterator[tuple[int, int, str, str]]:
    text = re.sub(r"--.*", lambda comment: "\0" * len(comment[0]), source)
    code = re.sub(r"'(?:[^'\\]|\\.)*'", lambda string: "'" * len(string[0]), text)
    for found in itertools.chain(_CALL.finditer(text), _HELPER.finditer(text)):
        end = _closed(code, code.index("(", found.start()))
        statement = _STATEMENT.search(code[: found.start()])
        command = found[1] if found.re is _CALL else ""
        if statement and (not command or command in WRITES):
            yield found.start(), end, "", "delete"
        elif command in WRITES:
            yield found.start(), end, WRITES[command], "delete"
    for found in _CONDITION.finditer(code):
        yield found.start(1), found.end(1), f"not ({text[found.start(1) : found.end(1)]})", "negate"
    for found in _COMPARISON.finditer(code):
        other = found[1][0] if len(found[1]) == 2 else found[1] + "="
        yield found.start(1), found.end(1), other, "boundary"
    for found in _OPERATOR.finditer(code):
        left, right = _operand_before(code, found.start()), _operand_after(code, found.end())
        yield left, found.end(), "", "operand"
        yield found.start(), right, "", "operand"


def _closed(code: str, at: int) -> int:
    """Behind the bracket that closes the one at `at`."""
    depth = 0
    for place in range(at, len(code)):
        depth += {"(": 1, ")": -1}.get(code[place], 0)
        if depth == 0:
            return place + 1
    raise ValueError(code[at : at + 40])


def _operand_before(code: str, end: int) -> int:
    depth = 0
    for place in range(end - 1, -1, -1):
        depth += {")": 1, "}": 1, "(": -1, "{": -1}.get(code[place], 0)
        if depth < 0:
            return place + 1
        if depth == 0 and _BEFORE.search(code[max(0, place - 8) : place]):
            return place
    raise ValueError(code[:end])


def _operand_after(code: str, start: int) -> int:
    depth = 0
    for place in range(start, len(code)):
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(code[place], 0)
        if depth < 0 or (depth == 0 and _AFTER.match(code[place:])):
            return place
    return len(code)


def fragments(body: str) -> list[str]:
    """The names of the shared fragments that stand in front of a script."""
    found = re.search(r"^-- with: (.*)$", body, re.MULTILINE)
    return found[1].split() if found else []


NEAR = {
    file: {
        name
        for name in NAMES
        if file in (f"{name}.lua", *(f"shared/{word}.lua" for word in fragments(SOURCES[f"{name}.lua"])))
    }
    for file in SOURCES
}
"""File → the scripts that it is a part of, whose tests are the likeliest to see its faults."""


def mutated(file: str, text: str) -> dict[str, Script]:
    """All scripts, with that text in the place of one file."""
    sources = {**SOURCES, file: text}
    found: dict[str, Script] = {}
    for name in NAMES:
        body = sources[f"{name}.lua"]
        found[name] = assemble(name, body, {word: sources[f"shared/{word}.lua"] for word in fragments(body)})
    return found


ACROSS = ("lost", "odd")
"""What is tested of several scripts together."""


def direct_tests() -> list[tuple[str, Callable[[Bench], None]]]:
    """The tests of single transitions: those that need a bench and nothing else."""
    found: list[tuple[str, Callable[[Bench], None]]] = []
    for script in (*NAMES, *ACROSS):
        module = importlib.import_module(f"tests.protocol.test_{script}")
        for name, test in vars(module).items():
            arguments = (
                test.__code__.co_varnames[: test.__code__.co_argcount] if name.startswith("test_") else ()
            )
            if arguments[:1] == ("bench",):
                found += [(script, case) for case in _cases(test, len(arguments) - 1)]
    return found


def _cases(test: Callable[..., None], parameters: int) -> Iterator[Callable[[Bench], None]]:
    if not parameters:
        yield test
        return
    choices: list[list[dict[str, Any]]] = []
    for mark in test.pytestmark:  # type: ignore[attr-defined]
        if mark.name == "parametrize":
            names = [mark.args[0]] if isinstance(mark.args[0], str) else mark.args[0]
            choices.append(
                [
                    dict(zip(names, values if len(names) > 1 else [values], strict=True))
                    for values in mark.args[1]
                ]
            )
    for chosen in itertools.product(*choices):
        given = {name: value for part in chosen for name, value in part.items()}
        yield lambda bench, given=given: test(bench, **given)  # type: ignore[misc]


def verdict(server: Server, mutant: Mutant | None, tests: list[Any], many: int) -> str:
    """How a mutant was caught; empty where it survived."""
    found = mutated(mutant.file, mutant.text) if mutant else mutated("cycle.lua", SOURCES["cycle.lua"])
    signal.setitimer(signal.ITIMER_REAL, PATIENCE + many, 5)  # again and again, as one may be swallowed
    try:
        for script in found.values():
            server.call("SCRIPT", "LOAD", script.source)
    except Exception as error:  # noqa: BLE001 - whatever the server says of it
        return f"invalid: {error}"
    near = NEAR[mutant.file] if mutant else ()
    try:
        for number, (_, test) in enumerate(sorted(tests, key=lambda item: item[0] not in near)):
            with Bench(server, f"mutant-{number}", found) as bench:
                bench.enroll()
                test(bench)
        walks(server, range(many), 60, found)
    except Exception as error:  # noqa: BLE001 - any failure is a find
        return f"{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}"
    except BaseException as error:  # pytest.fail and its like
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        return type(error).__name__
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        server.call("CONFIG", "SET", "maxmemory", 0)
        server.call("FLUSHALL")
    return ""


def _work(engine: str, many: int, todo: Any, done: Any) -> None:
    tests = direct_tests()
    signal.signal(signal.SIGALRM, _too_long)
    with running(engine) as server:
        while True:
            try:
                mutant = todo.get(timeout=1)
            except Empty:
                return
            done.put((mutant, verdict(server, mutant, tests, many)))


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError("it goes on and on")


def explained() -> set[str]:
    """The mutants that may survive."""
    return (
        set(re.findall(r"^- `(.+)`:", SURVIVORS.read_text(), re.MULTILINE)) if SURVIVORS.exists() else set()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Mutation of the Lua files.")
    parser.add_argument("--walks", type=int, default=40)
    parser.add_argument("--only", default="", help="a regular expression over the mutants' names")
    parser.add_argument("--engine", choices=ENGINES, default="valkey")
    parser.add_argument("--processes", type=int, default=2)
    told = parser.parse_args()
    signal.signal(signal.SIGALRM, _too_long)
    with running(told.engine) as server:
        if failed := verdict(server, None, direct_tests(), told.walks):
            sys.exit(f"without any fault: {failed}")
    chosen = [mutant for mutant in mutants() if re.search(told.only, mutant.name)]
    context = multiprocessing.get_context("spawn")
    todo, done = context.Queue(), context.Queue()
    for mutant in chosen:
        todo.put(mutant)
    workers = [
        context.Process(target=_work, args=(told.engine, told.walks, todo, done))
        for _ in range(told.processes)
    ]
    for worker in workers:
        worker.start()
    excused, counts = explained(), {"caught": 0, "explained": 0, "survived": 0, "invalid": 0}
    for _ in chosen:
        mutant, how = done.get()
        kind = "invalid" if how.startswith("invalid") else "caught" if how else "survived"
        if kind == "survived" and mutant.name in excused:
            kind = "explained"
        counts[kind] += 1
        sys.stdout.write(
            f"{kind:9} {mutant.file}:{mutant.line} {mutant.name}" + (f"    [{how}]\n" if how else "\n")
        )
        sys.stdout.flush()
    for worker in workers:
        worker.join()
    sys.stdout.write(", ".join(f"{count} {kind}" for kind, count in counts.items()) + f", of {len(chosen)}\n")
    sys.exit(1 if counts["survived"] else 0)


if __name__ == "__main__":
    main()
