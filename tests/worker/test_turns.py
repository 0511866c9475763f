"""In which order a worker asks its queues."""

from collections import Counter
from collections.abc import Mapping

import pytest

from shadows import Shadow, Worker
from shadows.worker.turns import Turns


def leaders(weights: Mapping[str, int] | None, names: list[str], turns: int) -> list[str]:
    """Who leads, turn by turn."""
    order = Turns(weights)
    found: list[str] = []
    for _ in range(turns):
        chosen = order.order(names, 1)
        assert sorted(chosen) == sorted(names)
        found.append(chosen[0])
    return found


def test_without_weights_the_first_leads_and_every_fourth_turn_is_anothers() -> None:
    assert "".join(leaders(None, ["a", "b", "c"], 12)) == "aaabaaacaaab"


def test_with_weights_each_leads_in_its_share_evenly_spread() -> None:
    assert "".join(leaders({"a": 3, "b": 1}, ["a", "b"], 8)) == "aabaaaba"
    assert "".join(leaders({"a": 1, "b": 1}, ["a", "b"], 4)) == "abab"
    assert "".join(leaders({"a": 1, "b": 2}, ["a", "b"], 6)) == "babbab"


@pytest.mark.parametrize(
    "weights", [{"a": 100, "b": 1}, {"a": 5, "b": 3, "c": 1}, {"a": 7, "b": 7, "c": 7, "d": 1}]
)
def test_in_every_stretch_as_long_as_the_sum_each_leads_as_often_as_it_weighs(
    weights: dict[str, int],
) -> None:
    total = sum(weights.values())
    found = leaders(weights, list(weights), 3 * total)
    for first in range(0, 3 * total, total):
        assert Counter(found[first : first + total]) == weights


def test_where_the_leader_has_nothing_the_others_keep_their_shares() -> None:
    turns = Turns({"empty": 4, "a": 3, "b": 1})
    seconds = Counter(
        next(name for name in turns.order(["empty", "a", "b"], 1) if name != "empty") for _ in range(80)
    )
    assert seconds["a"] > seconds["b"] >= 10


def test_a_turn_in_which_nothing_is_taken_is_nobodys() -> None:
    for weights in (None, {"a": 1, "b": 1}):
        turns, same = Turns(weights), Turns(weights)
        for _ in range(8):
            assert list(turns.order(["a", "b"], 0)) == ["a", "b"]
            assert list(turns.order(["a", "b"], 1)) == list(same.order(["a", "b"], 1))


def test_one_queue_is_always_first() -> None:
    assert leaders({"a": 5}, ["a"], 3) == ["a"] * 3
    assert leaders(None, ["a"], 5) == ["a"] * 5


@pytest.mark.parametrize("weight", [0, -1, 1.5, "3", None, True])
def test_a_weight_that_is_none_is_refused(weight: object) -> None:
    with pytest.raises(
        ValueError, match=r"queues=\{'mail': .*\}: a weight is a whole number, at least 1; leave"
    ):
        Worker(Shadow("unused", "memory://"), queues={"default": 1, "mail": weight})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


async def test_a_worker_gives_each_queue_its_share(name: str, url: str) -> None:
    seen: list[str] = []

    async def note(queue: str) -> None:
        seen.append(queue)

    async with Shadow(name, url) as shadows:
        for _ in range(40):
            await shadows.add(note, queue="low")("low")
            await shadows.add(note, queue="high")("high")
        async with Worker(shadows, concurrency=1, queues={"low": 1, "high": 3}) as worker:
            assert worker.queues == ("low", "high")
            await worker.run_until_finished()
    assert len(seen) == 80
    assert 27 <= seen[:40].count("high") <= 33
    assert 7 <= seen[:40].count("low") <= 13
