"""How a walk ends: everything runs, whoever is left; then nothing is left."""

from tests.protocol.asking import ask, tidy
from tests.protocol.ground import Entry
from tests.protocol.model import Result
from tests.protocol.walker import Request, Walk


def come_to_rest(walk: Walk) -> None:
    """Let everything run; where things were removed by hand, so is what that put out of reach."""
    last = walk.dice.choice([0, 20])
    walk.model.paused = ""
    walk.bench.ask("HDEL", "meta", "paused")
    for turn in range(80):
        if turn == last:  # everybody dies: notes for whoever never knew of his task go with him
            for worker in walk.workers.values():
                worker.alive = False
        walk.trace.append(f"rest {turn}")
        walk.model.now += 900 if turn % 3 else 10**8
        for worker in walk.alive:
            walk.beat(worker)
        if not walk.alive:
            walk.new_worker()
        for worker in list(walk.workers.values()):
            walk.reap(worker, walk.dice.choice([1, 2]))
        for worker in walk.alive:
            walk.recover(worker)
            ask(walk, worker, list(worker.holds))
            results = [Result(token, key, "completed", 0, "") for token, key in worker.holds.items()]
            worker.holds.clear()
            answer = walk.send(Request(worker.name, results, 3, 100, queues=list(walk.model.streams)))
            walk.receive(worker, answer.taken)
        tidy(walk)
        if not walk.intact:
            scrap(walk)
        if _at_rest(walk):
            return
    raise AssertionError(f"it does not come to rest: {walk.seen.state}")


def scrap(walk: Walk) -> None:
    """Remove what is out of everybody's reach: its place, or what led to it, was removed by hand."""
    model, bench = walk.model, walk.bench
    in_line = {key for _, _, key in model.waiting}
    for key, mark in list(model.live.items()):
        if isinstance(mark, Entry):
            lost = mark not in model.streams[mark.queue]
        else:
            lost = mark.startswith("~wait/") and key not in in_line
        if lost:
            walk.call("cancel", key, *walk.limits.arguments(), wanted=model.cancel(key, walk.limits))
    for key in model.parked.keys() - model.live.keys() - model.due.keys() - in_line:
        del model.parked[key]
        bench.ask("HDEL", "parked", key)
    for key in model.passed.keys() - model.live.keys() - model.due.keys() - in_line:
        del model.passed[key]
        bench.ask("HDEL", "held", f"~{key}")
    for entry in [entry for entry in model.held if entry not in model.streams[entry.queue]]:
        del model.held[entry]
        bench.ask("HDEL", "held", entry.token)
    held = {claim[2:] for claims in model.held.values() for claim in claims if claim.startswith("p/")}
    for name in model.in_use.keys() - held - {name for name, _, _ in model.waiting}:
        del model.in_use[name]
        bench.ask("HDEL", "permits", name)
    for name in list(model.counters) if not model.windows else ():
        del model.counters[name]
        bench.ask("HDEL", "permits", name)
    walk.verify()


def _at_rest(walk: Walk) -> bool:
    state = walk.seen.state
    busy = (
        any(state.streams.values())
        or state.live
        or state.parked
        or state.due
        or state.pending
        or state.controls
        or state.permits
        or state.held
        or state.waiting
        or state.windows
    )
    return (
        not busy
        and state.leases.keys() == {worker.name for worker in walk.alive}
        and not any(worker.holds for worker in walk.alive)
    )
