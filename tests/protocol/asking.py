"""What workers ask of limits on a walk, and what they do beside their tasks; what operators tell everyone."""

import re
from collections.abc import Sequence

from shadows.protocol.acquire import Claim, Need
from shadows.protocol.connection import Argument
from tests.protocol.admission import Wish, mark_of
from tests.protocol.admission import acquire as acquired
from tests.protocol.admission import tidy as tidied
from tests.protocol.walker import KEYS, Request, Walk, Worker

WINDOW = 700


def _rate(amount: int, *, drop: bool = False) -> Claim:
    return Claim(Need.RATE, "r", amount, WINDOW, drop)


def capacities(walk: Walk) -> dict[str, int]:
    """How many permits one who asks now believes each limit to have."""
    return {name: walk.dice.choice([1, 1, 1, 2, 3]) for name in ("x", "x/y", "z")}


def claims_of(walk: Walk, call: str, capacity: dict[str, int]) -> list[Claim]:
    """What a call comes under: always the same limits, a few kinds a walk."""
    x, y, z = (Claim(Need.PERMIT, *limit) for limit in capacity.items())
    cooldown, debounce = Claim(Need.COOLDOWN, "c", 1, WINDOW), Claim(Need.DEBOUNCE, "d", 1, WINDOW)
    other = Claim(Need.DEBOUNCE, "e", 1, 2 * WINDOW)
    kinds: list[list[Claim]] = [
        [x], [x], [x], [x], [y], [x, y], [y, x], [y, z, x], [_rate(1)], [_rate(1)], [_rate(2)], [_rate(3)],
        [_rate(2), x], [x, _rate(1), _rate(2)], [_rate(1, drop=True)], [cooldown], [cooldown, y], [debounce],
        [debounce], [debounce, x], [x, debounce], [debounce, _rate(2)], [debounce, other],
        [cooldown, debounce, z, _rate(2)], [],
    ]  # fmt: skip
    found = re.search(r"c/(\d+)$", call)
    return kinds[walk.theme[int(found[1]) % len(walk.theme)] % len(kinds)] if found else []


def ask(walk: Walk, worker: Worker, tokens: Sequence[str]) -> None:
    """A worker asks for what tasks need before they may start; what may not is no longer its own."""
    wishes: list[Wish] = []
    capacity = capacities(walk)
    for token in tokens:
        entry, key = walk.model.entries[token], worker.holds[token]
        if key:
            call = entry.text.rpartition("u700/")[2].split("/", 2)[-1]
            wishes.append(Wish(token, key, f"{key}\0{call}", claims_of(walk, call, capacity)))
    letters = send(walk, worker.name, wishes)
    for wish, letter in zip(wishes, letters, strict=True):
        if letter != "G":
            del worker.holds[wish.token]


def send(walk: Walk, worker: str, wishes: Sequence[Wish]) -> str:
    """A request to acquire is carried out as it should be; it may be sent twice."""
    before = {entry.token: tuple(claims) for entry, claims in walk.model.held.items()}
    words: list[Argument] = [worker, *walk.limits.arguments(), len(wishes)]
    for wish in wishes:
        words += [wish.token, wish.key, wish.who, len(wish.claims)]
        for claim in wish.claims:
            words += [claim.need.value, claim.name, claim.amount, claim.window_ms, int(claim.drop)]
    wanted = acquired(walk.model, worker, wishes, walk.limits)
    walk.call("acquire", *words, wanted=wanted)
    for wish, letter in zip(wishes, wanted[1], strict=True):
        if letter == "G":
            _check_starts(
                walk, [mark_of(c) for c in wish.claims if mark_of(c) not in before.get(wish.token, ())]
            )
    if walk.maybe(0.3):
        state = walk.seen.state
        again = acquired(walk.model, worker, wishes, walk.limits)
        walk.call("acquire", *words, wanted=again)
        assert again[1] == re.sub("[WD]", "S", wanted[1]), "asked again, and answered otherwise"
        if len(state.ended) == len(walk.seen.state.ended):
            assert walk.seen.state == state, "asked again, and something changed"
    return wanted[1]


def _check_starts(walk: Walk, claims: Sequence[str]) -> None:
    """No window sees more starts of a rate than its amount."""
    for rate in {claim for claim in claims if claim.startswith("r/")}:
        starts = walk.starts.setdefault(rate, [])
        starts.append(walk.model.now)
        amount = int(rate.rpartition("/")[2])
        if walk.intact and len(starts) > amount:
            assert starts[-1] - starts[-1 - amount] >= WINDOW, f"too many starts of {rate}: {starts}"


def acquire(walk: Walk) -> None:
    worker = walk.some_worker()
    tokens = list(worker.holds)
    walk.dice.shuffle(tokens)
    ask(walk, worker, tokens[: walk.dice.choice([1, 2, 5])])


def rush(walk: Walk) -> None:
    """Many come at once, and all of them ask."""
    worker = walk.some_worker()
    walk.beat(worker)
    for key in walk.dice.sample(KEYS, 4):
        walk.schedule([("add", key, "a", 0, walk.new_call())])
    proceed(walk, worker)


def proceed(walk: Walk, worker: Worker | None = None) -> None:
    """A worker does as it should: it ends what may run, takes what is ready, and asks for it."""
    worker = worker or walk.some_worker()
    held = {entry.token for entry in walk.model.held}
    results = [
        walk.result(token, key) for token, key in worker.holds.items() if token in held and walk.maybe(0.6)
    ]
    for result in results:
        del worker.holds[result.token]
    answer = walk.send(Request(worker.name, results, 5, 100, queues=list(walk.model.streams)))
    walk.receive(worker, answer.taken)
    ask(walk, worker, [token for token in worker.holds if walk.model.entries[token] not in walk.model.held])


def zombie(walk: Walk) -> None:
    """Any token that was ever held asks again."""
    if walk.past:
        name, token, key = walk.dice.choice(walk.past)
        entry = walk.model.entries[token]
        call = entry.text.split("/", 2)[-1]
        if key and not any(token in worker.holds for worker in walk.workers.values()):
            send(walk, name, [Wish(token, key, f"{key}\0{call}", claims_of(walk, call, capacities(walk)))])


def tidy(walk: Walk) -> None:
    behind = walk.dice.choice(["", "", "x"])
    for _ in range(2):
        walk.call("tidy", "w0", behind, "", wanted=tidied(walk.model, behind))


def progress(walk: Walk) -> None:
    """Any worker notes how far it has come, with any token that it ever held, or forgets it."""
    notes = [(token, key, walk.dice.choice(["1/2", "2/2", ""])) for _, token, key in walk.past[-5:] if key]
    for _ in range(2):
        words = [word for note in notes for word in note]
        walk.call("progress", "w0", *words, wanted=walk.model.note_progress(notes))


def pause(walk: Walk) -> None:
    walk.model.paused = walk.dice.choice(["", "", "", "a ", "b default ", "* "])
    walk.bench.ask("HSET", "meta", "paused", walk.model.paused)


def strike(walk: Walk) -> None:
    walk.model.strikes = walk.bench.ask("HINCRBY", "meta", "strikes", 1)


def listen(walk: Walk) -> None:
    walk.model.listening = walk.model.now + 500
    walk.bench.ask("HSET", "meta", "listening", walk.model.listening)
