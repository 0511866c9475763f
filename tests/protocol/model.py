"""What the scripts have to do, said a second time: it answers what a script should answer, and holds what the server
should hold afterwards. (What `acquire` and `tidy` have to do stands in `admission.py`.)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from shadows.protocol.cycle import Limits
from tests.protocol.ground import DUE, Entry, Ground, span_of

AGAIN = ("retry", "release", "next")


@dataclass(frozen=True, slots=True)
class Cycled:
    """What a cycle answers."""

    letters: str
    taken: list[Entry]
    nearest: int | str
    stops: list[str]
    leased: int
    unfinished: int
    strikes: int
    paused: str

    @property
    def told(self) -> tuple[object, ...]:
        """The same without objects, once the entries have their tokens."""
        given = [(entry.token, *entry.fields) for entry in self.taken]
        return (
            self.letters,
            given,
            self.nearest,
            self.stops,
            self.leased,
            self.unfinished,
            self.strikes,
            self.paused,
        )


type Wish = tuple[str, str, str, int | str, str]
"""Mode, key, queue, instant (0 = now) and call of one that is to be accepted."""


def worded(script: str, wishes: Iterable[Wish], longest: int | None = None) -> list[str | int]:
    """Calls as `schedule` and `replace` take them, behind the head that they share."""
    words: list[str | int] = ["" if longest is None else longest]
    if script == "replace":
        return [*words, *(word for wish in wishes for word in wish)]
    for where, run in groupby(wishes, itemgetter(2, 3)):
        several = list(run)
        words += [*where, len(several), *[wish[1] for wish in several], *[wish[4] for wish in several]]
    return words


"""Mode, key, queue, instant (a string = not a number), call."""
type Follower = tuple[str, str, int | str, str]
"""Key, queue, instant (a string = not a number), call."""


class Result(NamedTuple):
    """One outcome, and what follows from it."""

    token: str
    key: str
    outcome: str
    instant: int
    data: str
    followers: tuple[Follower, ...] = ()


class Model(Ground):
    """One shadow, as it should be, and what is done to it."""

    _nearest: float | None = None
    _longest: int | None = None

    # -- schedule

    def schedule(
        self, producer: str, batch: int, remember: int, wishes: list[Wish], longest: int | None = None
    ) -> list[object]:
        noted, said = self.producers.get(producer, (-1, ""))
        if noted == batch:
            return ["OK", said, str(self.strikes) if self.strikes else 0]
        if noted > batch:
            return ["LATE"]
        self._nearest, self._longest = None, longest
        said = "".join(self._accept(*wish) for wish in wishes)
        self.producers[producer] = (batch, said)
        if remember:
            self.windows[f"p/{producer}"] = self.now + remember
        return ["OK", said, str(self.strikes) if self.strikes else 0]

    def _accept(self, mode: str, key: str, queue: str, instant: int | str, call: str) -> str:
        if isinstance(instant, str):
            return "B"
        lost = key in self.live and mode != "add" and not self.stands(key)
        if mode != "replace" and ((key in self.live and not lost) or self.reserved(key)):
            return "E"
        if not self.good(queue):
            return "B"
        if self._longest is not None and instant <= self.now:
            mark = self.live.get(key)
            beside = not (isinstance(mark, Entry) and mark.queue == queue)
            if beside and sum(not entry.deleted for entry in self.streams[queue]) >= self._longest:
                return "F"
        if key in self.live and not (self.release if lost else self.retire)(key):
            return "B"
        if instant > self.now:
            if self._nearest is None:
                self._nearest = min(self.due.values(), default=float("inf"))
            if instant < self._nearest:
                self._nearest, self.woken = instant, True
        self.place(queue, key, f"1/0/{call}", instant)
        self.coming(key, instant)
        return "A"

    # -- cancel

    def cancel(self, key: str, limits: Limits) -> list[str]:
        mark = self.live.get(key)
        if mark is None:
            return ["NONE"]
        lost = not self.stands(key)
        if isinstance(mark, Entry):
            if not self.good(mark.queue):
                return ["BAD"]
            if mark.owner:
                self.controls.add((mark.owner, mark.token))
                return ["TOLD"]
            queue, blob = mark.queue, mark.text
        else:
            queue, _, blob = self.parked.get(key, "").partition("/")
        (self.release if lost else self.retire)(key)
        if self.unique:
            self.windows.pop(f"u/{key}", None)
        self.finish(limits, key, "cancelled", queue, "", blob)
        self.sweep(limits, 10)
        return ["CANCELLED"]

    def find(self, key: str) -> list[str]:
        mark = self.live.get(key)
        if mark is None:
            return ["ENDED", self.ended[key][0]] if key in self.ended else ["NONE"]
        told = self._found(key, mark)
        return told if self.stands(key) else ["LOST", *told]

    def _found(self, key: str, mark: Entry | str) -> list[str]:
        if not isinstance(mark, Entry):
            queue, _, blob = self.parked.get(key, "").partition("/")
            return (
                ["SCHEDULED", queue, f"{self.due.get(key, 0):.0f}", blob]
                if mark == DUE
                else ["WAITING", queue, blob]
            )
        text = mark.text if self.good(mark.queue) else ""
        if self.good(mark.queue) and mark.owner:
            return ["RUNNING", mark.queue, mark.token, text, mark.owner, self.progress.get(key, "")]
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
        letters = "".join(self._settle(worker, limits, result) for result in results)
        if promote:
            self._promote(limits, promote)
        self.sweep(limits, 2 * sum(1 + len(result.followers) for result in results) + 10)
        leased = self.leases.get(worker, 0) > self.now
        taken = self._take(worker, take, queues) if leased else []
        stops = sorted(token for owner, token in self.controls if owner == worker) if told else []
        nearest = max(0, int(min(self.due.values()) - self.now)) if self.due else ""
        return Cycled(letters, taken, nearest, stops, int(leased), len(self.live), self.strikes, self.paused)

    def _settle(self, worker: str, limits: Limits, result: Result) -> str:
        token, key, outcome, instant, data, followers = result
        entry, queue = self.entries.get(token), token.partition("/")[0]
        if not self.good(queue) or any(
            isinstance(at, str) or not self.good(to) for _, to, at, _ in followers
        ):
            return "B"
        if entry is None or not entry.owner:
            self.controls.discard((worker, token))
            return "S"
        stop = self.unwatch(entry)
        self.leave(entry)
        if self.live.get(key, entry) is not entry:
            self.unhold(entry)
            return "S"
        again = outcome in AGAIN
        if stop and again:
            self._end(limits, entry, key, "cancelled", "", 0)
        elif again:
            self._run_again(limits, entry, key, outcome, data, instant)
        else:
            self._end(limits, entry, key, outcome, data, instant)
        for follower, to, at, call in followers:
            free = not stop if follower == key else not self.reserved(follower)
            if free and follower not in self.live:
                self.place(to, follower, f"1/0/{call}", int(at))
                self.coming(follower, int(at))
        self.unhold(entry)
        return "O"

    def _run_again(
        self, limits: Limits, entry: Entry, key: str, outcome: str, data: str, instant: int
    ) -> None:
        attempt, deliveries, call = entry.parts or (0, 0, None)
        if outcome == "next":
            blob = f"1/0/{data}"
        elif call is None:
            self.vacate(key)
            self.finish(limits, key, "failed", entry.queue, "", "")
            self.bury(limits, entry.token, key, "lost", entry.queue, "", entry.text)
            return
        elif outcome == "retry":
            blob = f"{attempt + 1}/0/{call}"
        else:
            blob = f"{attempt}/{deliveries}/{data or call}"
        self.place(entry.queue, key, blob, instant)
        self.coming(key, instant)

    def _end(self, limits: Limits, entry: Entry, key: str, outcome: str, data: str, span: int) -> None:
        self.vacate(key)
        self.reserve(key, span)
        if outcome == "completed":
            self.finish(limits, key, outcome, entry.queue, data, "")
        elif outcome in ("cancelled", "expired"):
            self.finish(limits, key, outcome, entry.queue, data, entry.text)
        else:
            reason, info = data.split("/", 1) if outcome == "dead" else ("failed", data)
            self.finish(limits, key, "failed", entry.queue, info, entry.text)
            self.bury(limits, entry.token, key, reason, entry.queue, info, entry.text)

    def _promote(self, limits: Limits, most: int) -> None:
        ripe = sorted((instant, key) for key, instant in self.due.items() if instant <= self.now)
        for _, key in ripe[:most]:
            mark, text = self.live.get(key), self.parked.get(key)
            queue, _, blob = (text or "").partition("/")
            if mark not in (None, DUE):  # another life has the key
                del self.due[key]
                if isinstance(mark, Entry):
                    self.parked.pop(key, None)
            elif text is None:
                del self.due[key]
                self.vacate(key)
                self.finish(limits, key, "failed", "", "", "")
                self.bury(limits, f"lost/{self.now}/{key}", key, "lost", "", "", "")
            elif self.good(queue):
                del self.due[key], self.parked[key]
                self.place(queue, key, blob, 0)
                self.tell("queued", key)
            else:
                self.due[key] = self.now + 1000

    def _take(self, worker: str, most: int, queues: Iterable[str]) -> list[Entry]:
        taken: list[Entry] = []
        paused = self.paused.split()
        for queue in queues:
            if len(taken) < most and self.good(queue) and not {queue, "*"} & {*paused}:
                self.groups.add(queue)
                taken += self.give(worker, queue, most - len(taken))
        for entry in taken:
            self.tell("running", entry.fields[1])
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
        held = [entry for entry in self.pending(worker) if self.good(entry.queue)]
        if lease is not None and lease >= 0:
            lease = self.leases[worker] = -2 if any(entry.parts and entry.parts[1] for entry in held) else -1
        for entry in held[:most]:
            suspect = bool(entry.parts and entry.parts[1])
            self._take_back(entry, limits, max_deliveries, int(lease == -1 or (lease == -2 and suspect)))
        left = len(held) > most
        owned = {entry.queue for entry in self.pending(worker)} | {self.broken}
        self.consumers -= {(queue, worker) for queue in self.streams if queue not in owned}
        if not left:
            self.leases.pop(worker, None)
            self.wakes = {id_: reader for id_, reader in self.wakes.items() if reader != worker}
            self.controls = {note for note in self.controls if note[0] != worker}
        self.sweep(limits, 2 * min(most, len(held)) + 10)
        return ["OK", min(most, len(held)), int(left)]

    def _take_back(self, entry: Entry, limits: Limits, max_deliveries: int, charge: int) -> None:
        stop, queue, text = self.unwatch(entry), entry.queue, entry.text
        self.leave(entry)
        self.unhold(entry)
        if entry.deleted:
            self.bury(limits, entry.token, "", "lost", queue, "", "")
            return
        key, mark = entry.key, self.live.get(entry.key)
        if mark is entry:
            self.progress.pop(key, None)
        if entry.parts is None:
            if mark is entry:
                self.vacate(key)
                self.finish(limits, key, "failed", queue, "", text)
            self.bury(limits, entry.token, key, "undecodable", queue, "", text)
        elif mark is None or mark is entry:
            attempt, deliveries, call = entry.parts
            blob = f"{attempt}/{deliveries + charge}/{call}"
            if not stop and deliveries + charge < max_deliveries:
                self.place(queue, key, blob, 0)
                self.tell("queued", key)
                return
            self.vacate(key)
            if not stop:
                self.reserve(key, span_of(call))
            self.finish(limits, key, "cancelled" if stop else "failed", queue, "", blob)
            if not stop:
                self.bury(limits, entry.token, key, "deliveries", queue, "", blob)

    # -- progress

    def note_progress(self, notes: list[tuple[str, str, str]]) -> list[str]:
        for token, key, words in notes:
            mark = self.live.get(key)
            held = isinstance(mark, Entry) and mark.token == token
            if words and held:
                self.progress[key] = words
                self.tell("progress", key)
            elif not words and not held:
                self.progress.pop(key, None)
        return ["OK"]

    # -- what befalls a server

    def lose_group(self, queue: str) -> None:
        """Somebody destroyed the group: nobody is known to have been given anything."""
        self.groups.discard(queue)
        self.consumers = {known for known in self.consumers if known[0] != queue}
        for entry in self.streams[queue]:
            entry.owner = ""
        self.streams[queue] = [entry for entry in self.streams[queue] if not entry.deleted]
