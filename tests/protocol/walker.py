"""One random walk: a shadow, its workers and producers, and all that they do; compared with the model at every step."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from shadows.protocol.connection import Argument
from shadows.protocol.cycle import Limits
from shadows.protocol.scripts import Script
from tests.protocol.bench import LEASE_MS, Bench, ear
from tests.protocol.ground import Entry
from tests.protocol.model import AGAIN, Cycled, Follower, Model, Result, Wish, worded
from tests.protocol.state import adopt, check, compare, look
from tests.support.servers import Server

KEYS = ("k0", "k1", "k2", "k3", "k4", "k5", "k6")
FRAGILE = "b"
"""The queue whose stream is broken, or whose group is lost, now and then."""
OUTCOMES = (
    "completed",
    "completed",
    "failed",
    "cancelled",
    "expired",
    "dead",
    "retry",
    "retry",
    "release",
    "next",
)


type Action = Callable[[Walk], object]


@dataclass(slots=True)
class Worker:
    """One incarnation, as it sees itself."""

    name: str
    alive: bool = True
    holds: dict[str, str] = field(default_factory=dict[str, str])
    """Token → key of what it was given."""
    woken: str = ""
    last: "Request | None" = None
    """Its last request, which the network may deliver late."""


@dataclass(frozen=True, slots=True)
class Request:
    """A cycle that a worker asks for."""

    worker: str
    results: list[Result]
    take: int = 0
    promote: int = 0
    woken: str = ""
    queues: Sequence[str] = ()


class Walk:
    """One shadow, a few workers and two producers, whom everything happens to."""

    def __init__(self, server: Server, seed: int, scripts: Mapping[str, Script] | None = None) -> None:
        self.dice = random.Random(seed)
        self.seed = seed
        self.bench = Bench(server, f"walk-{seed}", scripts)
        self.bench.enroll("a", FRAGILE)
        self.model = Model(self.bench.store.queues, self.bench.instant)
        self.limits = Limits(
            self.dice.choice([0, 500, 500, 10**6]), self.dice.choice([2, 100]), self.dice.choice([2, 100])
        )
        self.most_deliveries = self.dice.choice([1, 2, 3])
        self.theme = [self.dice.randrange(1000) for _ in range(self.dice.choice([1, 1, 2, 3, 20]))]
        """Which limits its calls come under."""
        self.workers: dict[str, Worker] = {}
        self.past: list[tuple[str, str, str]] = []
        self.announced: dict[str, str] = {}
        self.batches = {"p": 0, "q": 0}
        self.calls = self.runs = 0
        self.intact = True
        self.trace: list[str] = []
        self.starts: dict[str, list[int]] = {}
        """Rate → the instants of its starts."""
        self.ears = ExitStack()
        self.heard = self.ears.enter_context(ear(server, self.bench.key("queues")[:-6] + b"events"))
        self.seen = look(self.bench, self.model.streams)

    # -- the walk

    def run(self, steps: int, actions: Sequence[Action], rest: Action) -> None:
        """Take that many steps, then come to rest; leaves nothing behind."""
        try:
            for step in range(steps):
                while len(self.alive) < 1 + (self.seed + step // 20) % 3:
                    self.new_worker()
                self.model.now += self.dice.choice([0, 1, 10])
                action = self.dice.choice(actions)
                self.trace.append(action.__name__)
                action(self)
                self.verify()
            rest(self)
        except Exception as error:
            raise AssertionError(
                f"walk {self.seed}, step {len(self.trace)}, after {self.trace[-6:]}: {error}"
            ) from error
        finally:
            self.ears.close()
            self.bench.wire.many([("DEL", *self.bench.store.keys.every([*self.model.streams, "z"]))])
            self.bench.wire.close()

    def verify(self) -> None:
        """The server holds what it should."""
        before = self.seen.newest_wake
        self.seen = look(self.bench, self.model.streams, self.model.broken)
        adopt(self.model, self.seen.state)
        compare(self.seen, self.model, self.announced)
        check(self.seen, intact=self.intact)
        assert (self.seen.newest_wake != before) == self.model.woken, "woken without need, or not woken"
        self.model.woken = False

    def call(self, script: str, *arguments: Argument, wanted: object) -> None:
        """Run a script; its answer is the one wanted, and afterwards the server holds what it should.

        Its first argument is who tells the news, but of `cancel`, which tells them in nobody's name.
        """
        answer = self.bench.raw(script, self.model.now, *arguments)
        self.verify()
        heard, told = self.heard(), self.model.told("" if script == "cancel" else str(arguments[0]))
        assert heard == told, f"{script} told {heard}, not {told}"
        if isinstance(wanted, Cycled):
            answer, wanted = _cycled(answer), wanted.told
        assert answer == wanted, f"{script} answered {answer}, not {wanted}"

    def quietly(self, script: str, *arguments: Argument, wanted: object) -> None:
        """The same, of a call that must change nothing."""
        before = self.seen.state
        self.call(script, *arguments, wanted=wanted)
        assert self.seen.state == before, f"{script} was sent again, and changed something"

    @property
    def alive(self) -> list[Worker]:
        return [worker for worker in self.workers.values() if worker.alive]

    def some_worker(self) -> Worker:
        return self.dice.choice(self.alive)

    def maybe(self, chance: float) -> bool:
        return self.dice.random() < chance

    def new_call(self) -> str:
        self.calls += 1
        return f"{self.dice.choice(['', '', 'u700/'])}c/{self.calls}"

    # -- producers

    def schedule(self, wishes: list[Wish] | None = None) -> None:
        """A batch; often sent twice, and sometimes followed by an older one that was late."""
        producer = self.dice.choice("pq")
        self.batches[producer] += 1
        batch = self.batches[producer]
        wishes = wishes or [self.wish() for _ in range(self.dice.choice([1, 2, 3, 4]))]
        remember = 3000 if producer not in self.model.producers or self.maybe(0.5) else 0
        longest = self.dice.choice([None, None, None, 1, 5])
        script = "replace" if any(wish[0] == "replace" for wish in wishes) else "schedule"
        arguments = [producer, batch, remember or "", *worded(script, wishes, longest)]
        self.call(script, *arguments, wanted=self.model.schedule(producer, batch, remember, wishes, longest))
        if self.maybe(0.3):
            self.quietly(script, *arguments, wanted=self.model.schedule(producer, batch, 0, wishes))
        if self.maybe(0.1):
            arguments[1] = batch - 1
            self.quietly(script, *arguments, wanted=["LATE"])

    def wish(self) -> Wish:
        instant = self.model.now + self.dice.choice([-1, 0, 1, self.dice.randrange(2000)])
        return (
            self.dice.choice(["add", "add", "replace", "replace", "reclaim"]),
            self.dice.choice(KEYS),
            self.dice.choice([*self.model.streams] * 4 + ["nowhere"]),
            "soon" if self.maybe(0.05) else self.dice.choice([0, instant]),
            self.new_call(),
        )

    def cancel(self) -> None:
        key = self.dice.choice(KEYS)
        for _ in range(2):
            wanted = self.model.cancel(key, self.limits)
            self.call("cancel", key, *self.limits.arguments(), wanted=wanted)

    def find(self) -> None:
        """Somebody looks: he is told what is so, and changes nothing."""
        key = self.dice.choice(KEYS)
        self.quietly("find", key, wanted=self.model.find(key))

    # -- workers

    def new_worker(self) -> None:
        worker = Worker(f"w{len(self.workers)}")
        self.workers[worker.name] = worker
        self.beat(worker, 1)
        self.announced[worker.name] = "{}"
        self.call("announce", worker.name, "{}", wanted=["OK"])

    def beat(self, worker: Worker | None = None, first: int = 0) -> None:
        worker = worker or self.some_worker()
        for _ in range(2):
            wanted = self.model.beat(worker.name, LEASE_MS, first)
            self.call("beat", worker.name, LEASE_MS, first, wanted=wanted)
            worker.alive = worker.alive and wanted[0] == "OK"

    def resign(self) -> None:
        """A worker ends in good order, whatever it still holds."""
        worker = self.some_worker()
        for _ in range(2):
            self.call("resign", worker.name, wanted=self.model.resign(worker.name))
        worker.alive = False

    def kill(self) -> None:
        self.some_worker().alive = False

    def cycle(self, worker: Worker | None = None) -> None:
        """Settle some of what a worker holds, in any way; the request may be sent twice, or its reply be lost."""
        worker = worker or self.some_worker()
        results = [
            self.result(token, key) for token, key in worker.holds.items() if self.maybe(self.haste(token))
        ]
        most = self.dice.choice([0, 1, 5, 5])
        queues = list(self.model.streams)
        self.dice.shuffle(queues)
        request = Request(
            worker.name,
            results,
            most,
            self.dice.choice([0, 1, 100]),
            worker.woken,
            queues[: self.dice.choice([1, 3, 3])],
        )
        worker.woken = ""
        answer = self.send(request)
        for token, *_ in results:
            if token.partition("/")[0] != self.model.broken:
                worker.holds.pop(token, None)
        # (Where a group was lost and made anew by this very cycle, a token that was stale is its holder's again.)
        if self.maybe(0.3) and (self.intact or not answer.taken):
            state = self.seen.state
            assert set(self.send(Request(worker.name, results)).letters) <= set("SB"), (
                "an outcome counted twice"
            )
            assert self.seen.state == state, "a cycle was sent again, and changed something"
        if not self.maybe(0.12):
            self.receive(worker, answer.taken)
        worker.last = request

    def haste(self, token: str) -> float:
        """How likely a run is to end by now: what may not start yet seldom does."""
        return 0.4 if self.model.entries[token] in self.model.held else 0.15

    def result(self, token: str, key: str) -> Result:
        """Any outcome of a run, and now and then what follows from it."""
        outcome = self.dice.choice(OUTCOMES) if key else "dead"
        instant = self.dice.choice([1, 300, 5000]) if self.maybe(0.5) else 0
        if outcome in AGAIN and instant:
            instant += self.model.now
        data = {"dead": "undecodable/why", "retry": "", "next": self.new_call()}.get(outcome)
        if data is None:
            data = self.new_call() if self.maybe(0.7) else ""
        followers = tuple(self.follower(key) for _ in range(self.dice.choice([0, 0, 0, 1, 2])))
        return Result(token, key, outcome, instant, data, followers)

    def follower(self, key: str) -> Follower:
        _, other, queue, instant, call = self.wish()
        return self.dice.choice([key or other, other, other]), queue, instant, call

    def send(self, request: Request) -> Cycled:
        """A cycle is carried out as it should be; what it answered."""
        wanted = self.model.cycle(
            request.worker,
            self.limits,
            request.take,
            request.promote,
            request.woken,
            request.results,
            request.queues,
        )
        words: list[Argument] = []
        for result in request.results:
            words += [*result[:5]]
            for follower in result.followers:
                words += ["", *follower]
        self.call(
            "cycle", request.worker, *self.limits.arguments(), request.take, request.promote, request.woken,
            len(words) // 5, *words, *request.queues, wanted=wanted,
        )  # fmt: skip
        return wanted

    def receive(self, worker: Worker, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.token not in worker.holds:
                key = entry.key if entry.parts else ""
                worker.holds[entry.token] = key
                self.past.append((worker.name, entry.token, key))
                self.runs += 1

    def reap(self, worker: Worker | None = None, most: int | None = None) -> None:
        worker = worker or self.dice.choice(list(self.workers.values()))
        most = most or self.dice.choice([1, 2, 50])
        wanted = self.model.reap(worker.name, self.limits, self.most_deliveries, most)
        if wanted[0] == "OK" and not wanted[2]:
            self.announced.pop(worker.name, None)
        self.call("reap", worker.name, *self.limits.arguments(), self.most_deliveries, most, wanted=wanted)
        readers = {name for queue, name in self.seen.consumers if queue == "wake"}
        assert worker.name not in readers or wanted[0] == "ALIVE" or wanted[2], "still listens"

    def zombie(self) -> None:
        """Any token that was ever held is presented again, with any outcome."""
        if self.past:
            name, token, key = self.dice.choice(self.past)
            self.send(Request(name, [self.result(token, key)]))

    def late_request(self) -> None:
        """An old request is carried out late, and its reply goes nowhere."""
        worker = self.dice.choice(list(self.workers.values()))
        if worker.last:
            self.send(worker.last)

    def ghost(self) -> None:
        """A blocked read of somebody whose lease has gone is served late."""
        worker = self.dice.choice(list(self.workers.values()))
        queue = self.dice.choice([*self.model.groups])
        if not worker.alive and queue != self.model.broken:
            self.read(worker, queue, ">")
            for entry in self.model.give(worker.name, queue, 1):
                self.past.append((worker.name, entry.token, entry.key))

    def recover(self, worker: Worker | None = None) -> None:
        """A worker asks what it holds, after a reply that it did not get."""
        worker = worker or self.some_worker()
        for queue in sorted(self.model.groups - {self.model.broken}):
            mine = [entry for entry in self.model.streams[queue] if entry.owner == worker.name]
            found = [f"{queue}/{id_}" for id_, _ in self.read(worker, queue, "0")]
            self.model.consumers.add((queue, worker.name))
            assert found == [entry.token for entry in mine], "does not hold what it was given"
            self.receive(worker, mine)

    def read(self, worker: Worker, queue: str, start: str) -> list[Any]:
        words = ("XREADGROUP", "GROUP", "g", worker.name, "COUNT", 1 if start == ">" else 100, "STREAMS")
        reply = self.bench.wire.one(*words, self.bench.key(f"ready:{queue}"), start, text=True)
        return reply[0][1] if reply else []

    def hear(self) -> None:
        """A worker's blocking read is ended by a wake."""
        worker = self.some_worker()
        words = ("XREADGROUP", "GROUP", "g", worker.name, "COUNT", 1, "STREAMS", self.bench.key("wake"), ">")
        if reply := self.bench.wire.one(*words, text=True):
            worker.woken = reply[0][1][0][0]
            self.model.wakes[worker.woken] = worker.name

    # -- time

    def tick(self) -> None:
        self.model.now += 400

    def jump(self) -> None:
        self.model.now += self.dice.choice([1001, 1001, 5000])


def _cycled(answer: list[Any]) -> tuple[object, ...]:
    """A cycle's answer, as the model gives it."""
    _, letters, parts, *rest = answer
    queues = zip(parts[::2], parts[1::2], strict=True)
    given = [(f"{queue}/{id_}", *found) for queue, part in queues for id_, found in part]
    return letters, given, *rest
