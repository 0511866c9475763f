"""What befalls a walk: queues that appear or break, a full server, and what people do to keys by hand."""

import time
from collections.abc import Sequence

from shadows.protocol.connection import Argument
from tests.protocol import asking
from tests.protocol.ground import Entry
from tests.protocol.model import Model, worded
from tests.protocol.state import look
from tests.protocol.walker import FRAGILE, KEYS, Action, Walk

BESIDE_IT: list[Action] = [
    Walk.schedule, Walk.cycle, Walk.cycle, Walk.cycle, Walk.reap, Walk.cancel, Walk.zombie, Walk.find, Walk.beat,
    asking.acquire, asking.acquire, asking.tidy,
]  # fmt: skip
"""What is done beside a broken stream."""


def old_list(walk: Walk) -> None:
    """A caller that does not know all queues is told so, and nothing is written."""
    arguments: dict[str, list[Argument]] = {
        "schedule": ["p", walk.batches["p"] + 1, "", "", "a", 0, 1, "k0", "c"],
        "cycle": ["w0", *walk.limits.arguments(), 1, 1, "", 0, "a"],
        "reap": ["w0", *walk.limits.arguments(), 1, 1],
        "acquire": ["w0", *walk.limits.arguments(), 0],
        "tidy": ["w0", "", ""],
        "replace": ["p", walk.batches["p"] + 1, "", "", "replace", "k0", "a", 0, "c"],
        "cancel": ["k0", *walk.limits.arguments()],
        "find": ["k0"],
    }
    script = walk.dice.choice(list(arguments))
    with walk.bench.knowing(*list(walk.model.streams)[1:]):
        walk.quietly(script, *arguments[script], wanted=["QUEUES"])


def new_queue(walk: Walk) -> None:
    """A queue appears; it is enrolled twice, which changes nothing."""
    walk.bench.enroll("z")
    walk.model.streams.setdefault("z", [])
    walk.model.groups |= set(walk.model.streams)
    walk.verify()
    before = walk.seen.state
    walk.bench.enroll("z")
    walk.verify()
    assert walk.seen.state == before, "enrolled again, and something changed"


def broken_stream(walk: Walk, beside: Sequence[Action] = BESIDE_IT) -> None:
    """For one step, one queue's stream is something else."""
    stream, aside = walk.bench.key(f"ready:{FRAGILE}"), walk.bench.key("meta") + b"-aside"
    walk.bench.wire.many([("RENAME", stream, aside), ("SET", stream, "x")])
    walk.model.broken = FRAGILE
    try:
        walk.dice.choice(beside)(walk)
    finally:
        walk.bench.wire.many([("DEL", stream), ("RENAME", aside, stream)])
        walk.model.broken = ""


def full_server(walk: Walk) -> None:
    """For one step the server has no memory left: producers are refused, workers go on."""
    with walk.bench.full():
        walk.dice.choice(
            [Walk.cycle, Walk.cycle, Walk.beat, Walk.reap, Walk.cancel, Walk.resign, refused, asking.acquire,
             asking.acquire, asking.tidy, asking.progress]
        )(walk)  # fmt: skip


def refused(walk: Walk) -> None:
    batch, wishes = walk.batches["p"] + 1, [walk.wish() for _ in range(3)]
    before = walk.seen.state
    name = walk.dice.choice(["schedule", "replace"])
    script, stamp = walk.bench.scripts[name], walk.model.now
    head = walk.bench.store.head(script)
    (reply,) = walk.bench.wire.many(
        [(b"EVALSHA", script.sha, *head, stamp, "p", batch, 3000, *worded(name, wishes))], text=True
    )
    assert "maxmemory" in str(reply), "a full server accepted something"
    walk.verify()
    assert walk.seen.state == before, "refused, and written"


def lost_field(walk: Walk) -> None:
    """Somebody removes a single field by hand."""
    role, key = walk.dice.choice(["live", "parked"]), walk.dice.choice(KEYS)
    walk.intact = False
    walk.bench.ask("HDEL", role, key)
    if role == "live":
        walk.model.live.pop(key, None)
    else:
        walk.model.parked.pop(key, None)


def lost_limit(walk: Walk) -> None:
    """Somebody removes a single field of what is known of limits."""
    model, walk.intact = walk.model, False
    role = walk.dice.choice(["permits", "held", "waiting", "windows"])
    if not (there := sorted(getattr(walk.seen.state, role))):
        return
    name = walk.dice.choice(there)
    walk.bench.ask("HDEL" if role in ("permits", "held") else "ZREM", role, name)
    if role == "windows":
        del model.windows[name]
    elif role == "waiting":
        model.waiting = {member for member in model.waiting if "\0".join(member) != name}
    elif role == "permits":
        model.in_use.pop(name, None)
        model.counters.pop(name, None)
    elif name.startswith("~"):
        del model.passed[name[1:]]
    else:
        del model.held[model.entries[name]]


def lost_entry(walk: Walk) -> None:
    """Somebody deletes a pending entry by hand."""
    entries = [entry for queue in walk.model.streams for entry in walk.model.streams[queue]]
    if held := [entry for entry in entries if entry.owner and not entry.deleted]:
        entry = walk.dice.choice(held)
        entry.deleted, walk.intact = True, False
        walk.bench.ask("XDEL", f"ready:{entry.queue}", entry.token.partition("/")[2])


def lost_group(walk: Walk) -> None:
    """Somebody destroys a queue's group."""
    walk.intact = False
    walk.bench.wire.one("XGROUP", "DESTROY", walk.bench.key(f"ready:{FRAGILE}"), "g")
    walk.model.lose_group(FRAGILE)


def litter(walk: Walk) -> None:
    """Somebody adds what is not ours to read."""
    walk.intact = False
    found = walk.dice.choice(
        [("k", walk.dice.choice(KEYS), "c", "1/x"), ("some", "thing"), ("k", "k0", "c", "1/0/x", "d", "")]
    )
    walk.bench.ask("XADD", f"ready:{FRAGILE}", "*", *found)
    walk.model.streams[FRAGILE].append(Entry(FRAGILE, found))


def lost_everything(walk: Walk) -> None:
    """The server lost its data: callers are told, and enrol their queues again; nobody has a lease."""
    walk.bench.purge()
    time.sleep(0.002)  # (an entry's id begins with the millisecond)
    assert walk.bench.raw("schedule", walk.model.now, "p", 10**6, 3000, "") == ["QUEUES"]
    walk.bench.enroll()
    entries = walk.model.entries
    for entry in entries.values():
        entry.owner = ""
    walk.model = Model(walk.bench.store.queues, walk.model.now)
    walk.model.entries = entries
    walk.announced.clear()
    walk.starts.clear()
    walk.intact = True
    walk.seen = look(walk.bench, walk.model.streams)
