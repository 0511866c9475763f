"""`attend.lua`: somebody listens, for a while."""

from shadows.protocol.events import ATTENTION_MS, attend
from tests.protocol.bench import Bench, now


def listening(bench: Bench) -> str:
    return str(bench.ask("HGET", "meta", "listening"))


def test_news_are_published_until_the_time_is_over(bench: Bench) -> None:
    now(attend(bench.store, bench.link, stamp=bench.stamp))
    assert listening(bench) == str(bench.instant + ATTENTION_MS)
    bench.instant += 10
    now(attend(bench.store, bench.link, stamp=bench.stamp, span_ms=5))
    assert listening(bench) == str(bench.instant + 5)


def test_a_full_server_is_listened_to_as_well(bench: Bench) -> None:
    with bench.full():
        now(attend(bench.store, bench.link, stamp=bench.stamp))
    assert listening(bench) == str(bench.instant + ATTENTION_MS)
