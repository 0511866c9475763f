"""What the scripts share, said a second time: what a shadow holds, and the steps that all of them are made of.

The counterparts of the fragments in `lua/shared`, in plain Python, over plain dictionaries. The ids of stream entries
are the server's to choose: an entry gets its token when it is first seen there.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from shadows.protocol.cycle import Limits

DUE = "~due"


@dataclass(eq=False, slots=True)
class Entry:
    """One entry of a queue's stream."""

    queue: str
    fields: tuple[str, ...]
    token: str = ""
    owner: str = ""
    """The consumer that was given it; '' = nobody yet."""
    deleted: bool = False
    """Somebody deleted it by hand; where it is pending, the group still says so."""

    @property
    def ours(self) -> bool:
        """Whether it has the shape that we write."""
        return len(self.fields) == 4 and self.fields[::2] == ("k", "c")

    @property
    def key(self) -> str:
        return self.fields[1] if self.ours else ""

    @property
    def text(self) -> str:
        """Its blob, or all of it where it is not of our shape; '' where it is gone."""
        if self.deleted:
            return ""
        return self.fields[3] if self.ours else " ".join(self.fields)

    @property
    def parts(self) -> tuple[int, int, str] | None:
        """Attempt, deliveries and call; None where nobody can run it."""
        parts = self.text.split("/", 2)
        if len(parts) == 3 and parts[0].isdecimal() and parts[1].isdecimal():
            return int(parts[0]), int(parts[1]), parts[2]
        return None


def span_of(call: str) -> int:
    """For how long a call's key stays taken after its end."""
    found = re.match(r"u(\d+)/", call)
    return int(found[1]) if found else 0


def wait_mark(order: str, name: str) -> str:
    """What `live` says of who waits for a permit."""
    return f"~wait/{order}/{name}"


class Ground:
    """One shadow, as it should be."""

    def __init__(self, queues: Iterable[str], instant: int) -> None:
        self.now = instant
        self.streams: dict[str, list[Entry]] = {queue: [] for queue in queues}
        self.groups = set(self.streams)
        self.broken = ""
        self.entries: dict[str, Entry] = {}
        self.live: dict[str, Entry | str] = {}
        self.due: dict[str, float] = {}
        self.parked: dict[str, str] = {}
        self.leases: dict[str, float] = {}
        self.controls: set[tuple[str, str]] = set()
        self.ended: dict[str, tuple[str, float]] = {}
        self.dead: dict[str, tuple[str, int]] = {}
        self.producers: dict[str, tuple[int, str]] = {}
        self.windows: dict[str, int] = {}
        self.progress: dict[str, str] = {}
        self.in_use: dict[str, tuple[int, int]] = {}
        """Limit → permits in use, and its capacity."""
        self.counters: dict[str, str] = {}
        """The other fields of `permits`: of rates, cooldowns and debounces."""
        self.held: dict[Entry, list[str]] = {}
        """What the holder of an entry was granted."""
        self.passed: dict[str, list[str]] = {}
        """What the task under a key has passed already."""
        self.waiting: set[tuple[str, str, str]] = set()
        """Limit, order, key."""
        self.paused = ""
        self.strikes = self.listening = 0
        self.unique = False
        """Whether any key ever stayed taken after its end."""
        self.woken = False
        """Whether the last call had a reason to wake somebody."""
        self.wakes: dict[str, str] = {}
        """Entries of `wake` that were read, and who read them."""
        self.consumers: set[tuple[str, str]] = set()
        """Queue and worker: who may be known to a queue's group."""
        self.news: list[str] = []

    def good(self, queue: str) -> bool:
        return queue in self.streams and queue != self.broken

    def pending(self, worker: str) -> list[Entry]:
        """What a worker was given and nobody settled."""
        return [entry for queue in self.streams for entry in self.streams[queue] if entry.owner == worker]

    # -- news

    def tell(self, state: str, key: str) -> None:
        if self.listening > self.now:
            self.news.append(f"{state} {key}")

    def told(self, who: str) -> list[str]:
        """The message that whoever listens gets of the last call, if any."""
        news, self.news = self.news, []
        return ["\n".join([who, *news])] if news else []

    # -- places

    def place(self, queue: str, key: str, blob: str, instant: float) -> None:
        if instant > self.now:
            self.live[key], self.due[key], self.parked[key] = DUE, instant, f"{queue}/{blob}"
        else:
            self.live[key] = entry = Entry(queue, ("k", key, "c", blob))
            self.streams[queue].append(entry)

    def coming(self, key: str, instant: float) -> None:
        self.tell("scheduled" if instant > self.now else "queued", key)

    def retire(self, key: str) -> bool:
        """Take away whatever stands for a key."""
        mark = self.live[key]
        if isinstance(mark, Entry):
            if not self.good(mark.queue):
                return False
            self.unwatch(mark)
            self.leave(mark)
            self.unhold(mark)
        else:
            if mark == DUE:
                self.due.pop(key, None)
            else:
                _, order, name = mark.split("/", 2)
                self.waiting.discard((name, order, key))
            self.parked.pop(key, None)
        self.vacate(key)
        return True

    def stands(self, key: str) -> bool:
        """Whether anything stands behind the key's mark."""
        mark = self.live[key]
        if isinstance(mark, Entry):
            return mark in self.streams[mark.queue] or not self.good(mark.queue)
        if mark == DUE:
            return key in self.due
        _, order, name = mark.split("/", 2)
        return (name, order, key) in self.waiting

    def release(self, key: str) -> bool:
        """Free a key with nothing behind its mark."""
        mark = self.live[key]
        self.parked.pop(key, None)
        self.due.pop(key, None)
        if isinstance(mark, Entry):
            self.unhold(mark)
        self.vacate(key)
        return True

    def vacate(self, key: str) -> None:
        """Nothing stands under the key any more."""
        self.live.pop(key, None)
        self.passed.pop(key, None)

    def leave(self, entry: Entry) -> None:
        """Take an entry out of its stream and its group."""
        entry.owner = ""
        if entry in self.streams[entry.queue]:
            self.streams[entry.queue].remove(entry)

    def unwatch(self, entry: Entry) -> bool:
        note = (entry.owner, entry.token)
        if entry.owner and note in self.controls:
            self.controls.remove(note)
            return True
        return False

    # -- permits

    def hand(self, name: str) -> bool:
        """Give a free permit to the first in line."""
        for member in sorted(member for member in self.waiting if member[0] == name):
            self.waiting.remove(member)
            _, order, key = member
            mark, aside = self.live.get(key), self.parked.get(key)
            if mark == wait_mark(order, name) or (mark is None and aside is not None):
                queue, _, blob = (aside or "").partition("/")
                if aside is not None and self.good(queue):
                    del self.parked[key]
                    self.place(queue, key, blob, 0)
                    entry = self.live[key]
                    assert isinstance(entry, Entry)
                    self.held[entry] = [f"p/{name}", f"o/{order}"]
                    self.tell("queued", key)
                    return True
                self.due[key], self.live[key] = self.now, DUE
            elif isinstance(mark, Entry):
                self.parked.pop(key, None)
        return False

    def set_use(self, name: str, use: int, most: int) -> None:
        self.in_use[name] = (use, most)
        if use <= 0:
            del self.in_use[name]

    def unhold(self, entry: Entry) -> None:
        """Give back all permits of an entry's holder: each to the first in its line."""
        for claim in self.held.pop(entry, ()):
            if claim.startswith("p/"):
                use, most = self.in_use.get(claim[2:], (0, 1))
                use -= 1
                if use < most and self.hand(claim[2:]):
                    use += 1
                self.set_use(claim[2:], use, most)

    # -- keys that stay taken

    def reserve(self, key: str, span: int) -> None:
        """Keep a key taken for a while after its end."""
        if span > 0:
            self.windows[f"u/{key}"], self.unique = self.now + span, True

    def reserved(self, key: str) -> bool:
        return self.unique and self.windows.get(f"u/{key}", 0) > self.now

    # -- endings

    def finish(self, limits: Limits, key: str, state: str, queue: str, info: str, blob: str) -> None:
        self.tell(state, key)
        if limits.execution_ttl_ms and key:
            record = f"{state}/{self.now}/{queue}/{len(info)}/{info}{blob}"
            self.ended[key] = (record, self.now + limits.execution_ttl_ms + (state == "failed") / 2)

    def sweep(self, limits: Limits, most: int) -> None:
        """Forget what is old, then what is too much, failures last; `most` in all."""
        order = sorted(self.ended, key=lambda key: (self.ended[key][1], key.encode()))
        old = [key for key in order if self.ended[key][1] <= self.now][:most]
        surplus = min(len(order) - len(old) - limits.max_ended, most - len(old))
        if surplus > 0:
            oldest = order[len(old) : len(old) + most]
            successes = [key for key in oldest if self.ended[key][1] % 1 == 0]
            failures = [key for key in oldest if key not in successes]
            old += [*successes, *failures][:surplus]
        for key in old:
            del self.ended[key]

    def bury(self, limits: Limits, id_: str, key: str, reason: str, queue: str, info: str, blob: str) -> None:
        self.dead[id_] = (f"{reason}/{queue}/{len(key)}/{len(info)}/{key}{info}{blob}", self.now)
        order = sorted(self.dead, key=lambda name: (self.dead[name][1], name))
        for name in order[: max(0, min(2, len(order) - limits.max_dead))]:
            del self.dead[name]
