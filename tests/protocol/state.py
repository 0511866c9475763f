"""What the server holds of a shadow, beside what the model says; and what must be true whatever a model says."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from shadows.protocol.keys import FIXED
from tests.protocol.bench import Bench
from tests.protocol.ground import DUE, Entry
from tests.protocol.model import Model

HASHES = ("live", "parked", "ended", "dead", "producers", "workers", "permits", "held", "progress")
SETS = ("due", "leases", "controls", "ended:at", "dead:at", "windows", "waiting")


@dataclass(frozen=True, slots=True)
class State:
    """All that a shadow's keys hold."""

    live: dict[str, str]
    parked: dict[str, str]
    ended: dict[str, str]
    dead: dict[str, str]
    producers: dict[str, str]
    workers: dict[str, str]
    permits: dict[str, str]
    held: dict[str, str]
    progress: dict[str, str]
    due: dict[str, float]
    leases: dict[str, float]
    controls: set[str]
    ended_at: dict[str, float]
    dead_at: dict[str, float]
    windows: dict[str, float]
    waiting: set[str]
    streams: dict[str, dict[str, tuple[str, ...]]]
    """Queue → token → fields, in order."""
    pending: dict[str, str]
    """Token → owner."""
    wakes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """A look at the server."""

    state: State
    consumers: set[tuple[str, str]]
    newest_wake: str
    expiring: list[str]


def look(bench: Bench, queues: Iterable[str], moved: str = "") -> Seen:
    """Read everything in one round trip; the stream of the queue `moved` stands under another name."""
    queues = list(queues)
    streams = [
        bench.key("meta") + b"-aside" if queue == moved else bench.key(f"ready:{queue}") for queue in queues
    ]
    wake = bench.key("wake")
    commands: list[tuple[Any, ...]] = [("HGETALL", bench.key(role)) for role in HASHES]
    commands += [("ZRANGE", bench.key(role), 0, -1, "WITHSCORES") for role in SETS]
    for stream in (wake, *streams):
        commands += [("XRANGE", stream, "-", "+"), ("XPENDING", stream, "g", "-", "+", 1000)]
        commands += [("XINFO", "CONSUMERS", stream, "g")]
    every = [*(bench.key(role) for role in FIXED), *streams]
    commands += [("PTTL", key) for key in every]
    # A group or a stream that is gone answers with an error: then there is nothing.
    replies: list[Any] = [
        () if isinstance(reply, Exception) else reply for reply in bench.wire.many(commands, text=True)
    ]
    live, parked, ended, dead, producers, workers, permits, granted, progress = map(
        _hash, replies[: len(HASHES)]
    )
    at = len(HASHES) + len(SETS)
    due, leases, controls, ended_at, dead_at, windows, waiting = map(_scores, replies[len(HASHES) : at])
    (heard, wakes, readers), rest = replies[at : at + 3], replies[at + 3 :]
    held: dict[str, dict[str, tuple[str, ...]]] = {}
    pending: dict[str, str] = {}
    consumers = {("wake", reader[1]) for reader in readers}
    for number, queue in enumerate(queues):
        entries, owned, known = rest[3 * number : 3 * number + 3]
        held[queue] = {f"{queue}/{id_}": tuple(found) for id_, found in entries}
        pending |= {f"{queue}/{item[0]}": item[1] for item in owned}
        consumers |= {(queue, consumer[1]) for consumer in known}
    state = State(
        live, parked, ended, dead, producers, workers, permits, granted, progress, due, leases, set(controls), ended_at, dead_at, windows, set(waiting),
        held, pending, {item[0]: item[1] for item in wakes},
    )  # fmt: skip
    lasting = zip(every, rest[3 * len(queues) :], strict=True)
    expiring = [str(key) for key, ttl in lasting if ttl >= 0]
    return Seen(state, consumers, heard[-1][0] if heard else "", expiring)


def _hash(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _scores(flat: Sequence[str]) -> dict[str, float]:
    return {member: float(score) for member, score in zip(flat[::2], flat[1::2], strict=True)}


def _claims(claims: Iterable[str]) -> str:
    return "".join(f"\0{claim}" for claim in claims)


def expected(model: Model, workers: dict[str, str]) -> State:
    """What the model says should be there."""
    entries = [entry for queue in model.streams for entry in model.streams[queue]]
    return State(
        live={key: mark.token if isinstance(mark, Entry) else mark for key, mark in model.live.items()},
        parked=model.parked,
        ended={key: record for key, (record, _) in model.ended.items()},
        dead={id_: record for id_, (record, _) in model.dead.items()},
        producers={name: f"{batch} {said}" for name, (batch, said) in model.producers.items()},
        workers=workers,
        permits=model.counters | {name: f"{use}/{most}" for name, (use, most) in model.in_use.items()},
        held={entry.token: _claims(claims) for entry, claims in model.held.items()}
        | {f"~{key}": _claims(claims) for key, claims in model.passed.items()},
        progress=model.progress,
        due=model.due,
        leases=model.leases,
        controls={f"{owner}\0{token}" for owner, token in model.controls},
        ended_at={key: until for key, (_, until) in model.ended.items()},
        dead_at={id_: at for id_, (_, at) in model.dead.items()},
        windows={name: float(instant) for name, instant in model.windows.items()},
        waiting={"\0".join(member) for member in model.waiting},
        streams={
            queue: {entry.token: entry.fields for entry in found if not entry.deleted}
            for queue, found in model.streams.items()
        },
        pending={entry.token: entry.owner for entry in entries if entry.owner},
        wakes=model.wakes,
    )


def adopt(model: Model, state: State) -> None:
    """Give the model's new entries the tokens that the server chose for them, in order."""
    for queue, entries in model.streams.items():
        there = [entry for entry in entries if not entry.deleted]
        for entry, token in zip(there, state.streams[queue], strict=False):
            if not entry.token and token not in model.entries:
                entry.token = token
                model.entries[token] = entry


def compare(seen: Seen, model: Model, workers: dict[str, str]) -> None:
    """The server holds exactly what the model holds."""
    should = expected(model, workers)
    for field in fields(State):
        found, wanted = getattr(seen.state, field.name), getattr(should, field.name)
        assert found == wanted, f"{field.name}: found {found}, expected {wanted}"
    for queue, found in seen.state.streams.items():
        assert list(found) == list(should.streams[queue]), f"the order of {queue}"
    known = {(queue, worker) for queue, worker in seen.consumers if queue != "wake"}
    assert known <= model.consumers, f"consumers {known - model.consumers}"


def check(seen: Seen, *, intact: bool) -> None:
    """What holds whatever happens; `intact`: nobody took anything away by hand."""
    state = seen.state
    entries = {token: found for queue in state.streams.values() for token, found in queue.items()}
    assert not seen.expiring, f"{seen.expiring} expire"
    assert state.ended.keys() == state.ended_at.keys(), "the index of what ended"
    assert state.dead.keys() == state.dead_at.keys(), "the index of the dead letters"
    if not intact:
        return
    notes = {f"{owner}\0{token}" for token, owner in state.pending.items()}
    assert state.controls <= notes, "a note for somebody who does not run that"
    assert state.pending.keys() <= entries.keys(), "pending, and not there"
    placed = {key: mark for key, mark in state.live.items() if not mark.startswith("~")}
    assert entries.keys() == set(placed.values()), "an entry of nobody"
    for key, mark in placed.items():
        assert entries[mark][1] == key, f"{key} is said to be where another is"
    aside = state.live.keys() - placed.keys()
    assert aside == state.parked.keys(), "parked calls, and nobody set aside"
    assert {key for key in aside if state.live[key] == DUE} == state.due.keys(), "scheduled and due differ"
    _check_limits(state, aside)


def _check_limits(state: State, aside: Collection[str]) -> None:
    """What holds of permits, and of who waits for one."""
    in_line = {(name, order, key) for name, order, key in (member.split("\0") for member in state.waiting)}
    marks = {
        (mark.split("/", 2)[2], mark.split("/")[1], key)
        for key, mark in state.live.items()
        if mark[:6] == "~wait/"
    }
    assert in_line == marks, "who stands in line, and who is said to"
    limits = {name: use for name, use in state.permits.items() if name >= " "}
    holders = [claims.split("\0") for token, claims in state.held.items() if token[0] != "~"]
    named = {claim[2:] for claims in holders for claim in claims if claim.startswith("p/")}
    assert limits.keys() == named, "permits in use, and nobody holds them"
    for name, field in limits.items():
        assert int(field.split("/")[0]) == sum(f"p/{name}" in claims for claims in holders), (
            f"the count of {name}"
        )
    for name, _, _ in in_line:
        use, most = map(int, limits.get(name, "0/1").split("/"))
        assert use >= most, f"somebody waits for {name}, which is free"
    tokens = {token for token in state.held if token[0] != "~"}
    assert tokens <= set(state.live.values()), "a token of nobody holds something"
    assert {key[1:] for key in state.held if key[0] == "~"} <= state.live.keys(), (
        "something passed, of nobody"
    )
    settling = [
        claim
        for key, claims in state.held.items()
        if key[0] == "~" and key[1:] in aside
        for claim in claims.split("\0")
        if claim.startswith("d/")
    ]
    assert len(settling) == len(set(settling)), "two wait to be the debounced one"
