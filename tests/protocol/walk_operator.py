"""What an operator does on a walk: he looks, clears, runs dead letters again or throws them away, and pauses queues."""

import re

from shadows.protocol.cycle import Limits
from tests.protocol import faults
from tests.protocol.ground import Entry
from tests.protocol.model import Model
from tests.protocol.walker import Action, Walk


def look_around(walk: Walk) -> None:
    """He is told what is so, and changes nothing."""
    model, before = walk.model, walk.seen.state
    answer = walk.bench.raw("look", model.now, 0, 1, "due", "", "-", 200)
    assert answer[:2] == ["OK", model.now]
    assert answer[3:8] == [len(model.live), len(model.due), 0, len(model.dead), model.paused]
    facts = {answer[8][i]: tuple(answer[8][i + 1 : i + 3]) for i in range(0, len(answer[8]), 5)}
    assert facts == {queue: _depth(model, queue) for queue in model.streams}
    order = sorted(model.due, key=lambda key: (model.due[key], key))
    assert answer[9] == [["", *[fact for key in order for fact in _listed(model, key)]]]
    crew = walk.bench.raw("crew", model.now, 0, 200)
    assert dict(zip(crew[2::3], crew[4::3], strict=True)) == {
        worker: sum(model.good(entry.queue) for entry in model.pending(worker))
        for worker, expiry in model.leases.items()
        if expiry > model.now
    }
    walk.verify()
    assert walk.seen.state == before, "somebody looked, and something changed"


def _depth(model: Model, queue: str) -> tuple[int, int]:
    if not model.good(queue):
        return 0, 0
    entries = model.streams[queue]
    running = sum(bool(entry.owner) for entry in entries)
    return max(0, sum(not entry.deleted for entry in entries) - running), running


def _listed(model: Model, key: str) -> tuple[str, str, str]:
    return key, f"{model.due[key]:.0f}", model.parked.get(key, "")


def clear(walk: Walk) -> None:
    """One page, and another where it was the last: that one finds nothing."""
    most = walk.dice.choice([1, 2, 200])
    order: list[str] = walk.bench.ask("SMEMBERS", "queues")
    arguments = ("", *walk.limits.arguments(), most)
    marked: list[str] = walk.bench.ask("HKEYS", "live")
    answer = _clear(walk.model, walk.limits, order, marked, most)
    walk.call("clear", *arguments, wanted=answer)
    if answer[2] == 0:
        walk.quietly("clear", *arguments, wanted=_clear(walk.model, walk.limits, order, [], most))


def _clear(model: Model, limits: Limits, order: list[str], marked: list[str], most: int) -> list[object]:
    entries = [entry for queue in order if model.good(queue) for entry in model.streams[queue]]
    idle = not any(expiry > model.now for expiry in model.leases.values()) and not any(
        entry.owner for entry in entries
    )
    kept = Limits(0 if idle else limits.execution_ttl_ms, limits.max_ended, limits.max_dead)
    ready = [entry for entry in entries if not entry.owner and not entry.deleted][:most]
    for entry in ready:
        key = entry.fields[1]
        if model.live.get(key) is entry:
            _end(model, kept, key, entry.queue, entry.text)
        model.leave(entry)
    scheduled = sorted(model.due, key=lambda key: (model.due[key], key))[: most - len(ready)]
    removed = len(ready)
    for key in scheduled:
        queue, _, blob = model.parked.pop(key, "").partition("/")
        del model.due[key]
        if not isinstance(model.live.get(key), Entry):  # else another life has the key
            _end(model, kept, key, queue, blob)
            removed += 1
    seen = len(ready) + len(scheduled)
    running = sum(bool(entry.owner) for entry in entries)
    strays = [key for key in marked if key in model.live and not model.stands(key)][: most - seen]
    for key in strays if len(model.live) > running else ():
        queue, _, blob = model.parked.get(key, "").partition("/")
        model.release(key)
        _end(model, kept, key, queue, blob)
        removed, seen = removed + 1, seen + 1
    left = seen == most
    if idle and not left:
        for books in (
            model.ended, model.producers, model.windows, model.controls, model.in_use, model.counters, model.held,
            model.passed, model.progress,
        ):  # fmt: skip
            books.clear()
    else:
        model.sweep(limits, 2 * seen + 10)
    return ["OK", removed, int(left)]


def _end(model: Model, limits: Limits, key: str, queue: str, blob: str) -> None:
    model.vacate(key)
    if model.unique:
        model.windows.pop(f"u/{key}", None)
    model.finish(limits, key, "cancelled", queue, "", blob)


def requeue(walk: Walk) -> None:
    """A letter's task runs again; asked for twice, once."""
    id_ = _some_letter(walk)
    body = walk.new_call() if walk.maybe(0.5) else ""
    answer = _requeue(walk.model, id_, body)
    walk.call("requeue", id_, body, wanted=answer)
    walk.quietly("requeue", id_, body, wanted=["NONE"] if answer == ["REQUEUED"] else answer)


def _requeue(model: Model, id_: str, body: str) -> list[str]:
    if id_ not in model.dead:
        return ["NONE"]
    _, queue, key_length, info_length, rest = model.dead[id_][0].split("/", 4)
    key, blob = rest[: int(key_length)], rest[int(key_length) + int(info_length) :]
    found = re.fullmatch(r"\d+/\d+/(.+)", blob)
    if not key or not found:
        return ["LOST"]
    if key in model.live:
        return ["TAKEN"]
    if not model.good(queue):
        return ["BAD"]
    del model.dead[id_]
    model.place(queue, key, f"1/0/{body or found[1]}", 0)
    return ["REQUEUED"]


def discard(walk: Walk) -> None:
    """A letter is thrown away; asked for twice, once."""
    id_ = _some_letter(walk)
    answer = "NONE" if walk.model.dead.pop(id_, None) is None else "DISCARDED"
    walk.call("discard", id_, wanted=[answer])
    walk.quietly("discard", id_, wanted=["NONE"])


def _some_letter(walk: Walk) -> str:
    return walk.dice.choice([*walk.model.dead, "nobodys"])


def paused(walk: Walk) -> None:
    """For a few steps nothing is taken from one queue, or from any."""
    queue = walk.dice.choice([*walk.model.streams, "*"])
    for _ in range(2):
        walk.model.paused = f"{queue} "
        walk.quietly("pause", "pause", queue, wanted=["OK"])
    actions: list[Action] = [Walk.cycle, Walk.cycle, Walk.schedule, Walk.reap, look_around, clear]
    for action in walk.dice.choices(actions, k=3):
        action(walk)
        walk.verify()
    everything = queue == "*" or walk.maybe(0.3)
    for _ in range(2):
        walk.model.paused = ""
        walk.quietly("pause", "resume", "*" if everything else queue, wanted=["OK"])


def on_a_full_server(walk: Walk) -> None:
    with walk.bench.full():
        walk.dice.choice([look_around, clear, requeue, discard])(walk)


def beside_a_broken_stream(walk: Walk) -> None:
    faults.broken_stream(walk, [look_around, clear, requeue])


ACTIONS: list[Action] = [
    look_around, clear, *[requeue] * 3, discard, paused, on_a_full_server, beside_a_broken_stream,
]  # fmt: skip
"""To be added to those of a walk."""
