"""What the scripts have to do, said a second time: in plain Python, over plain dictionaries.

It answers what a script should answer, and holds what the server should hold afterwards. The ids of stream entries
are the server's to choose: an entry gets its token when it is first seen there.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from shadows.protocol.cycle import Limits

DUE = "~due"
AGAIN = ("retry", "release", "next")


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


@dataclass(frozen=True, slots=True)
class Cycled:
    """What a cycle answers."""

    letters: str
    taken: list[Entry]
    nearest: int | str
    stops: list[str]
    leased: int
    unfinished: int
    paused: str = ""

    @property
    def told(self) -> tuple[object, ...]:
        """The same without objects, once the entries have their tokens."""
        given = [(entry.token, *entry.fields) for entry in self.taken]
        return self.letters, given, self.nearest, self.stops, self.leased, self.unfinished, 0, self.paused


type Wish = tuple[str, str, str, int | str, str]
"""Mode, key, queue, instant (a string = not a number), call."""
type Result = tuple[str, str, str, int, str]
"""Token, key, outcome, instant, data."""


def span_of(call: str) -> int:
    """For how long a call's key stays taken after its end."""
    found = re.match(r"u(\d+)/", call)
    return int(found[1]) if found else 0


class Model:
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
        self.paused = ""
        """Names of queues, each followed by a space; `*` is all."""
        self.unique = False
        """Whether any key ever stayed taken after its end."""
        self.woken = False
        """Whether the last call had a reason to wake somebody."""
        self.wakes: dict[str, str] = {}
        """Entries of `wake` that were read, and who read them."""
        self.consumers: set[tuple[str, str]] = set()
        """Queue and worker: who may be known to a queue's group."""
        self._nearest: float | None = None

    def good(self, queue: str) -> bool:
        return queue in self.streams and queue != self.broken

    def pending(self, worker: str) -> list[Entry]:
        """What a worker was given and nobody settled."""
        return [entry for queue in self.streams for entry in self.streams[queue] if entry.owner == worker]

    # -- schedule

    def schedule(self, producer: str, batch: int, remember: int, wishes: list[Wish]) -> list[str]:
        noted, said = self.producers.get(producer, (-1, ""))
        if noted == batch:
            return ["OK", said, 0]
        if noted > batch:
            return ["LATE"]
        self._nearest = None
        said = "".join(self._accept(*wish) for wish in wishes)
        self.producers[producer] = (batch, said)
        if remember:
            self.windows[f"p/{producer}"] = self.now + remember
        return ["OK", said, 0]

    def _accept(self, mode: str, key: str, queue: str, instant: int | str, call: str) -> str:
        if isinstance(instant, str) or not self.good(queue):
            return "B"
        if mode == "add" and (key in self.live or self._reserved(key)):
            return "E"
        if key in self.live and not self._retire(key):
            return "B"
        if instant > self.now:
            if self._nearest is None:
                self._nearest = min(self.due.values(), default=float("inf"))
            if instant < self._nearest:
                self._nearest, self.woken = instant, True
        self._place(queue, key, f"1/0/{call}", instant)
        return "A"

    def _place(self, queue: str, key: str, blob: str, instant: float) -> None:
        if instant > self.now:
            self.live[key], self.due[key], self.parked[key] = DUE, instant, f"{queue}/{blob}"
        else:
            self.live[key] = entry = Entry(queue, ("k", key, "c", blob))
            self.streams[queue].append(entry)

    def _retire(self, key: str) -> bool:
        mark = self.live[key]
        if isinstance(mark, Entry):
            if not self.good(mark.queue):
                return False
            self._unwatch(mark)
            self._leave(mark)
        else:
            self.due.pop(key, None)
            self.parked.pop(key, None)
        del self.live[key]
        return True

    def _leave(self, entry: Entry) -> None:
        """Take an entry out of its stream and its group."""
        entry.owner = ""
        if entry in self.streams[entry.queue]:
            self.streams[entry.queue].remove(entry)

    def _unwatch(self, entry: Entry) -> bool:
        note = (entry.owner, entry.token)
        if entry.owner and note in self.controls:
            self.controls.remove(note)
            return True
        return False

    def _reserve(self, key: str, span: int) -> None:
        """Keep a key taken for a while after its end."""
        if span > 0:
            self.windows[f"u/{key}"], self.unique = self.now + span, True

    def _reserved(self, key: str) -> bool:
        return self.unique and self.windows.get(f"u/{key}", 0) > self.now

    # -- cancel

    def cancel(self, key: str, limits: Limits) -> list[str]:
        mark = self.live.get(key)
        if mark is None:
            return ["NONE"]
        if isinstance(mark, Entry):
            if not self.good(mark.queue):
                return ["BAD"]
            if mark.owner:
                self.controls.add((mark.owner, mark.token))
                return ["TOLD"]
            queue, blob = mark.queue, mark.text
        else:
            queue, _, blob = self.parked.get(key, "").partition("/")
        self._retire(key)
        self._finish(limits, key, "cancelled", queue, "", blob)
        self._sweep(limits)
        return ["CANCELLED"]

    def _finish(self, limits: Limits, key: str, state: str, queue: str, info: str, blob: str) -> None:
        if limits.execution_ttl_ms and key:
            record = f"{state}/{self.now}/{queue}/{len(info)}/{info}{blob}"
            self.ended[key] = (record, self.now + limits.execution_ttl_ms + (state == "failed") / 2)

    def _sweep(self, limits: Limits) -> None:
        for key in [key for key, (_, until) in self.ended.items() if until <= self.now]:
            del self.ended[key]
        order = sorted(self.ended, key=lambda key: (self.ended[key][1] % 1, self.ended[key][1], key))
        for key in order[: max(0, len(order) - limits.max_ended)]:
            del self.ended[key]

    def _bury(
        self, limits: Limits, id_: str, key: str, reason: str, queue: str, info: str, blob: str
    ) -> None:
        self.dead[id_] = (f"{reason}/{queue}/{len(key)}/{len(info)}/{key}{info}{blob}", self.now)
        order = sorted(self.dead, key=lambda name: (self.dead[name][1], name))
        for name in order[: max(0, min(2, len(order) - limits.max_dead))]:
            del self.dead[name]

    def find(self, key: str) -> list[str]:
        mark = self.live.get(key)
        if mark is None:
            return ["ENDED", self.ended[key][0]] if key in self.ended else ["NONE"]
        if not isinstance(mark, Entry):
            queue, _, blob = self.parked.get(key, "").partition("/")
            return ["SCHEDULED", queue, f"{self.due[key]:.0f}", blob]
        text = mark.text if self.good(mark.queue) else ""
        if self.good(mark.queue) and mark.owner:
            return ["RUNNING", mark.queue, mark.token, text, mark.owner, ""]
        return ["QUEUED", mark.queue, mark.token, text]

    # -- cycle

    def cycle(
        self,
        worker: str,
        limits: Limits,
        take: int,
        promote: int,
        woken: str,
        results: list[Result],
        queues: Iterable[str],
    ) -> Cycled:
        told = bool(self.controls)
        self.wakes.pop(woken, None)
        letters = "".join(self._settle(worker, limits, *result) for result in results)
        if promote:
            self._promote(limits, promote)
        self._sweep(limits)
        leased = self.leases.get(worker, 0) > self.now
        taken = self._take(worker, take, queues) if leased else []
        stops = sorted(token for owner, token in self.controls if owner == worker) if told else []
        nearest = max(0, int(min(self.due.values()) - self.now)) if self.due else ""
        return Cycled(letters, taken, nearest, stops, int(leased), len(self.live), self.paused)

    def _settle(
        self, worker: str, limits: Limits, token: str, key: str, outcome: str, instant: int, data: str
    ) -> str:
        entry, queue = self.entries.get(token), token.partition("/")[0]
        if not self.good(queue):
            return "B"
        if entry is None or not entry.owner:
            self.controls.discard((worker, token))
            return "S"
        stop = self._unwatch(entry)
        self._leave(entry)
        if self.live.get(key, entry) is not entry:
            return "S"
        attempt, deliveries, call = entry.parts or (0, 0, None)
        if stop and outcome in AGAIN:
            outcome, data, instant = "cancelled", "", 0
        match outcome:
            case "next":
                self._place(queue, key, f"1/0/{data}", instant)
            case "retry" | "release" if call is None:
                self.live.pop(key, None)
                self._finish(limits, key, "failed", queue, "", "")
                self._bury(limits, token, key, "lost", queue, "", entry.text)
            case "retry":
                self._place(queue, key, f"{attempt + 1}/0/{call}", instant)
            case "release":
                self._place(queue, key, f"{attempt}/{deliveries}/{data or call}", instant)
            case "completed":
                self.live.pop(key, None)
                self._reserve(key, instant)
                self._finish(limits, key, outcome, queue, data, "")
            case "cancelled" | "expired":
                self.live.pop(key, None)
                self._reserve(key, instant)
                self._finish(limits, key, outcome, queue, data, entry.text)
            case _:
                self.live.pop(key, None)
                self._reserve(key, instant)
                reason, info = data.split("/", 1) if outcome == "dead" else ("failed", data)
                self._finish(limits, key, "failed", queue, info, entry.text)
                self._bury(limits, token, key, reason, queue, info, entry.text)
        return "O"

    def _promote(self, limits: Limits, most: int) -> None:
        ripe = sorted((instant, key) for key, instant in self.due.items() if instant <= self.now)
        for _, key in ripe[:most]:
            mark, text = self.live.get(key), self.parked.get(key)
            queue, _, blob = (text or "").partition("/")
            if isinstance(mark, Entry):  # another life has the key
                del self.due[key]
                self.parked.pop(key, None)
            elif text is None:
                del self.due[key]
                self.live.pop(key, None)
                self._finish(limits, key, "failed", "", "", "")
                self._bury(limits, f"lost/{self.now}/{key}", key, "lost", "", "", "")
            elif self.good(queue):
                del self.due[key], self.parked[key]
                self._place(queue, key, blob, 0)
            else:
                self.due[key] = self.now + 1000

    def _take(self, worker: str, most: int, queues: Iterable[str]) -> list[Entry]:
        taken: list[Entry] = []
        for queue in queues:
            if len(taken) < most and self.good(queue) and not {queue, "*"} & {*self.paused.split()}:
                self.groups.add(queue)
                taken += self.give(worker, queue, most - len(taken))
        return taken

    def give(self, worker: str, queue: str, most: int) -> list[Entry]:
        """The oldest entries that nobody was given yet, as the group hands them out."""
        self.consumers.add((queue, worker))
        entries = [entry for entry in self.streams[queue] if not entry.owner][:most]
        for entry in entries:
            entry.owner = worker
        return entries

    # -- leases

    def beat(self, worker: str, length: int, first: int) -> list[object]:
        if not first and self.leases.get(worker, 0) <= 0:
            return ["LOST", self.now]
        self.leases[worker] = self.now + length
        expired = sorted((expiry, name) for name, expiry in self.leases.items() if expiry <= self.now)
        return ["OK", self.now, *[name for _, name in expired[:8]]]

    def resign(self, worker: str) -> list[object]:
        if worker in self.leases:
            self.leases[worker] = 0
        return ["OK"]

    def reap(self, worker: str, limits: Limits, max_deliveries: int, most: int) -> list[object]:
        lease = self.leases.get(worker)
        if lease is not None and lease > self.now:
            return ["ALIVE"]
        if lease is not None:
            self.leases[worker] = 0
        held = [entry for entry in self.pending(worker) if self.good(entry.queue)]
        for entry in held[:most]:
            self._take_back(entry, limits, max_deliveries, int(lease is not None))
        left = len(held) > most
        owned = {entry.queue for entry in self.pending(worker)} | {self.broken}
        self.consumers -= {(queue, worker) for queue in self.streams if queue not in owned}
        if not left:
            self.leases.pop(worker, None)
            self.wakes = {id_: reader for id_, reader in self.wakes.items() if reader != worker}
            self.controls = {note for note in self.controls if note[0] != worker}
        self._sweep(limits)
        return ["OK", min(most, len(held)), int(left)]

    def _take_back(self, entry: Entry, limits: Limits, max_deliveries: int, charge: int) -> None:
        stop, queue, text = self._unwatch(entry), entry.queue, entry.text
        self._leave(entry)
        if entry.deleted:
            self._bury(limits, entry.token, "", "lost", queue, "", "")
            return
        key, mark = entry.key, self.live.get(entry.key)
        if entry.parts is None:
            if mark is entry:
                del self.live[key]
                self._finish(limits, key, "failed", queue, "", text)
            self._bury(limits, entry.token, key, "undecodable", queue, "", text)
        elif mark is None or mark is entry:
            attempt, deliveries, call = entry.parts
            blob = f"{attempt}/{deliveries + charge}/{call}"
            if not stop and deliveries + charge < max_deliveries:
                self._place(queue, key, blob, 0)
                return
            self.live.pop(key, None)
            if not stop:
                self._reserve(key, span_of(call))
            self._finish(limits, key, "cancelled" if stop else "failed", queue, "", blob)
            if not stop:
                self._bury(limits, entry.token, key, "deliveries", queue, "", blob)

    # -- what befalls a server

    def lose_group(self, queue: str) -> None:
        """Somebody destroyed the group: nobody is known to have been given anything."""
        self.groups.discard(queue)
        self.consumers = {known for known in self.consumers if known[0] != queue}
        for entry in self.streams[queue]:
            entry.owner = ""
        self.streams[queue] = [entry for entry in self.streams[queue] if not entry.deleted]
