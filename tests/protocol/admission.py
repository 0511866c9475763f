"""What `acquire` and `tidy` have to do, said a second time: limits of every kind."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from shadows.protocol.acquire import Claim, Need
from shadows.protocol.cycle import Limits
from tests.protocol.ground import DUE, Entry, Ground, span_of, wait_mark

DAY = 86_400_000


class Wish(NamedTuple):
    """One task that asks to start."""

    token: str
    key: str
    who: str
    claims: Sequence[Claim]


def mark_of(claim: Claim) -> str:
    """How a granted claim is noted."""
    amount = f"/{claim.amount}" if claim.need is Need.RATE else ""
    return f"{claim.need[0]}/{claim.name}{amount}"


def acquire(ground: Ground, worker: str, wishes: Sequence[Wish], limits: Limits) -> list[str]:
    leased = ground.leases.get(worker, 0) > ground.now
    letters = "".join(_ask(ground, worker, wish, limits) if leased else "S" for wish in wishes)
    ground.sweep(limits, 2 * len(wishes))
    return ["OK", letters]


def _ask(ground: Ground, worker: str, wish: Wish, limits: Limits) -> str:
    entry = ground.entries.get(wish.token)
    if entry is None or not ground.good(entry.queue) or entry.owner != worker:
        return "S"
    if ground.live.get(wish.key, entry) is not entry:
        ground.unwatch(entry)
        ground.leave(entry)
        ground.unhold(entry)
        return "S"
    if entry.parts is None:
        return "S"
    ground.live[wish.key] = entry
    asked = _Asked(ground, wish, entry, limits)
    asked.look()
    return asked.answer()


@dataclass(slots=True)
class _Asked:
    """One task that may ask: what stands in its way, and what becomes of it."""

    ground: Ground
    wish: Wish
    entry: Entry
    limits: Limits
    granted: list[str] = field(default_factory=list[str])
    passed: list[str] = field(default_factory=list[str])
    wait_for: str = ""
    wait_until: float = 0
    dropped: bool = False

    def look(self) -> None:
        ground, key = self.ground, self.wish.key
        self.granted = list(ground.held.get(self.entry, ()))
        self.passed = list(ground.passed.get(key, ()))
        for claim in self.wish.claims:
            if claim.need is Need.PERMIT:
                _resize(ground, claim)
            if mark_of(claim) in self.granted:
                continue
            match claim.need:
                case Need.PERMIT:
                    if ground.in_use.get(claim.name, (0, 1))[0] >= claim.amount:
                        self.wait_for = self.wait_for or claim.name
                case Need.RATE:
                    self._look_at_rate(claim)
                case Need.COOLDOWN:
                    over = ground.windows.get(f"c/{claim.name}", 0) <= ground.now
                    if not over and ground.counters.get(f"\2{claim.name}") != self.wish.who:
                        self.dropped = True
                case Need.DEBOUNCE:
                    self.dropped = self.dropped or f"x/{claim.name}" in self.passed
                    if f"d/{claim.name}" not in self.passed:
                        self._wait(ground.now + claim.window_ms)

    def _wait(self, instant: float) -> None:
        if instant > self.ground.now:
            self.wait_until = max(self.wait_until, instant)

    def _look_at_rate(self, claim: Claim) -> None:
        rate = Rate(self.ground, claim)
        if place := rate.place(self.passed):
            self._wait(rate.free(place[0]))
            return
        slot = rate.next_slot()
        open_at = max(rate.free(slot), rate.taken_until(slot))
        if open_at > self.ground.now and claim.drop:
            self.dropped = True
        self._wait(open_at)

    def answer(self) -> str:
        ground, entry, key = self.ground, self.entry, self.wish.key
        if not (self.dropped or self.wait_for or self.wait_until):
            self._grant()
            return "G"
        stop = ground.unwatch(entry)
        ground.leave(entry)
        if self.dropped or stop:
            ground.vacate(key)
            _, _, call = entry.parts or (0, 0, "")
            if not stop:
                ground.reserve(key, span_of(call))
            ground.finish(self.limits, key, "cancelled", entry.queue, "", entry.text)
        else:
            ground.parked[key] = f"{entry.queue}/{entry.text}"
            if self.wait_until:
                self._come_back()
            else:
                self._stand_in_line()
            if self.passed:
                ground.passed[key] = self.passed
        ground.unhold(entry)
        return "D" if self.dropped or stop else "W"

    def _come_back(self) -> None:
        ground, key = self.ground, self.wish.key
        for claim in self.wish.claims:
            if claim.need is Need.RATE:
                self.wait_until = max(self.wait_until, Rate(ground, claim).reserve(self.passed))
            elif claim.need is Need.DEBOUNCE and f"d/{claim.name}" not in self.passed:
                self._supersede(claim.name)
                ground.counters[f"\3{claim.name}"] = key
                ground.windows[f"d/{claim.name}"] = ground.now + claim.window_ms + DAY
                self.passed.append(f"d/{claim.name}")
        ground.due[key], ground.live[key] = self.wait_until, DUE
        ground.tell("scheduled", key)

    def _supersede(self, name: str) -> None:
        ground = self.ground
        before = ground.counters.get(f"\3{name}", "")
        passed = ground.passed.get(before, [])
        mark = ground.live.get(before)
        if mark is None or f"d/{name}" not in passed:
            return
        if isinstance(mark, Entry):
            passed.append(f"x/{name}")
            return
        queue, _, blob = ground.parked.get(before, "").partition("/")
        ground.retire(before)
        ground.reserve(before, span_of(blob.split("/", 2)[2] if blob else ""))
        ground.finish(self.limits, before, "cancelled", queue, "", blob)

    def _stand_in_line(self) -> None:
        ground, key = self.ground, self.wish.key
        ms, nth = self.entry.token.partition("/")[2].split("-")
        order = f"{int(ms):016}-{int(nth):020}"
        order = next((claim[2:] for claim in self.granted if claim.startswith("o/")), order)
        ground.waiting.add((self.wait_for, order, key))
        ground.live[key] = wait_mark(order, self.wait_for)
        ground.tell("waiting", key)

    def _grant(self) -> None:
        ground, granted = self.ground, self.granted
        for claim in self.wish.claims:
            mark = mark_of(claim)
            if mark in granted:
                continue
            granted.append(mark)
            match claim.need:
                case Need.PERMIT:
                    use, _ = ground.in_use.get(claim.name, (0, 1))
                    ground.in_use[claim.name] = (use + 1, claim.amount)
                case Need.RATE:
                    Rate(ground, claim).start(self.passed)
                case Need.COOLDOWN:
                    if ground.windows.get(mark, 0) <= ground.now:
                        ground.windows[mark] = ground.now + claim.window_ms
                        ground.counters[f"\2{claim.name}"] = self.wish.who
                case Need.DEBOUNCE:
                    ground.counters.pop(f"\3{claim.name}", None)
                    ground.windows.pop(mark, None)
        ground.held[self.entry] = granted
        ground.passed.pop(self.wish.key, None)


def _resize(ground: Ground, claim: Claim) -> None:
    """Another capacity than before counts from here on; what is free by it goes to those who wait."""
    use, most = ground.in_use.get(claim.name, (0, 1))
    if most != claim.amount and use > 0:
        while use < claim.amount and ground.hand(claim.name):
            use += 1
        ground.in_use[claim.name] = (use, claim.amount)


@dataclass(frozen=True, slots=True)
class Rate:
    """One rate: so many slots, and in each the starts are a window apart."""

    ground: Ground
    claim: Claim

    @property
    def slots(self) -> str:
        return f"{self.claim.name}/{self.claim.amount}"

    def place(self, passed: list[str]) -> tuple[int, int] | None:
        """The slot and the instant that a task has been given."""
        for claim in passed:
            if claim.startswith(f"r/{self.slots}\1"):
                slot, instant = claim.partition("\1")[2].split("/")
                return int(slot), int(instant)
        return None

    def next_slot(self) -> int:
        return int(self.ground.counters.get(f"\1{self.slots}", 0)) % self.claim.amount

    def free(self, slot: int) -> int:
        """When its last start is a window ago."""
        return self.ground.windows.get(f"r/{self.slots}/{slot}", 0)

    def taken_until(self, slot: int) -> int:
        """When all who have a place in it should have started, a window ago."""
        return self.ground.windows.get(f"q/{self.slots}/{slot}", 0)

    def _turn(self) -> int:
        slot = self.next_slot()
        turns = int(self.ground.counters.get(f"\1{self.slots}", 0))
        self.ground.counters[f"\1{self.slots}"] = str(turns + 1)
        return slot

    def reserve(self, passed: list[str]) -> int:
        """Give a task its place, or a later one where it came back and cannot start yet; when that is."""
        now, window = self.ground.now, self.claim.window_ms
        if place := self.place(passed):
            slot, instant = place
            open_at = self.free(slot)
            if open_at <= now:
                return instant
            if instant < open_at - window:
                open_at = max(open_at, self.taken_until(slot))
            passed[:] = [claim for claim in passed if not claim.startswith(f"r/{self.slots}\1")]
        else:
            slot = self._turn()
            open_at = max(now, self.free(slot), self.taken_until(slot))
        self.ground.windows[f"q/{self.slots}/{slot}"] = max(self.taken_until(slot), open_at + window)
        passed.append(f"r/{self.slots}\1{slot}/{open_at}")
        return open_at

    def start(self, passed: list[str]) -> None:
        place = self.place(passed)
        slot = place[0] if place else self._turn()
        self.ground.windows[f"r/{self.slots}/{slot}"] = self.ground.now + self.claim.window_ms


def tidy(ground: Ground, behind: str) -> list[str]:
    """Forget windows that are over, hand out permits that are free, and mend what lost its place."""
    over = sorted((instant, window) for window, instant in ground.windows.items() if instant <= ground.now)
    for _, window in over:
        _forget(ground, window)
    for name in sorted({name for name, _, _ in ground.waiting if name > behind}):
        noted, most = ground.in_use.get(name, (0, 1))
        holders = [entry for entry, claims in ground.held.items() if f"p/{name}" in claims]
        use = len(holders)
        if use >= most:
            for entry in holders:
                if ground.good(entry.queue) and entry not in ground.streams[entry.queue]:
                    del ground.held[entry]
                    use -= 1
        while use < most and ground.hand(name):
            use += 1
        if use != noted:
            ground.set_use(name, use, most)
    _mend(ground)
    return ["OK", ""]


def _mend(ground: Ground) -> None:
    """What has a mark and no place is due now, where there are more marks than places."""
    entries = [entry for queue in ground.streams.values() for entry in queue if not entry.deleted]
    if ground.broken or len(ground.live) <= len(ground.due) + len(ground.waiting) + len(entries):
        return
    for key, mark in list(ground.live.items()):
        if not ground.stands(key):
            if isinstance(mark, Entry):
                ground.unhold(mark)
            ground.due.setdefault(key, ground.now)
            ground.live[key] = DUE


def _forget(ground: Ground, window: str) -> None:
    kind, name = window[:2], window[2:]
    if kind == "p/":
        ground.producers.pop(name, None)
    elif kind == "c/":
        ground.counters.pop(f"\2{name}", None)
    elif kind == "d/":
        key = ground.counters.get(f"\3{name}", "")
        if window in ground.passed.get(key, ()):
            ground.windows[window] = ground.now + DAY
            return
        ground.counters.pop(f"\3{name}", None)
    elif kind in ("r/", "q/"):
        slots, _, slot = name.rpartition("/")
        amount, turns = int(slots.rpartition("/")[2]), int(ground.counters.get(f"\1{slots}", 0))
        newest = (turns - 1) % amount == int(slot)
        if newest and max(ground.windows.get(kind_ + name, 0) for kind_ in ("r/", "q/")) <= ground.now:
            ground.counters.pop(f"\1{slots}", None)
    del ground.windows[window]
