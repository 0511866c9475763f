"""How much there is of which task: all that is unfinished, or, where that is a great deal, a sample of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shadows.clock import as_datetime
from shadows.errors import PayloadError
from shadows.payload.call import decode_call
from shadows.payload.heads import function_name
from shadows.protocol.blob import split_blob
from shadows.protocol.look import MOST_ITEMS, Ask, Depth, Kind, Standing, Totals, look
from shadows.view import Listing, View, read_page

EXACT = 10_000
"""Up to so many unfinished tasks are counted one by one."""
SAMPLE = 5_000
"""Of more than that a sample of about so many: a share is then off by 1.4 % of all at most, nineteen times of twenty."""
RUN = 10
"""How many neighbours a sample takes from one place."""
HEAD = 1024
"""Bytes of a call that are read to count it: its function stands in front."""
UNREADABLE = "?"
"""What a task is called whose call cannot be read."""


@dataclass(frozen=True, slots=True)
class FunctionCounts:
    """How many unfinished executions one task has, and the first and last instants at which the queued ones are to run."""

    total: int
    running: int
    queued: int
    """Scheduled, waiting or ready."""
    oldest_queued: datetime | None
    latest_queued: datetime | None


async def read_on(view: View, listings: list[Listing]) -> list[Standing]:
    """All that is unfinished: what was listed, and the heads of the rest."""
    for listing in listings:
        while listing.end:
            await read_page(view, listing, MOST_ITEMS, HEAD)
    return [item for listing in listings for item in listing.items]


async def sample(view: View, totals: Totals) -> list[Standing]:
    """The heads of some of what is unfinished, each kind and queue in its proportion, from evenly spaced places."""

    def share(many: int) -> int:
        return -(-many * SAMPLE // totals.unfinished)

    places = -(-share(totals.scheduled) // RUN)
    asks = [Ask(Kind.DUE, "", f"@{place * totals.scheduled // places}", RUN) for place in range(places)]
    for queue, depth in totals.queues.items():
        asks += _spread(queue, depth, -(-share(depth.ready) // RUN))
    items: list[Standing] = []
    for first in range(0, len(asks), MOST_ITEMS // RUN):
        batch = asks[first : first + MOST_ITEMS // RUN]
        _, pages = await look(view.store, view.link, batch, cut=HEAD, stamp=view.stamp)
        items += [item for page in pages for item in page.items]
    for queue, depth in totals.queues.items():
        # Of what came all at once, few places can be told apart: the others are taken from the beginning.
        seen = {item.key for item in items if item.queue == queue and item.kind is Kind.READY}
        items += await _first(view, Listing(Kind.READY, queue), share(depth.ready), seen)
        items += await _first(view, Listing(Kind.RUNNING, queue), share(depth.running), set())
    return items + await _first(view, Listing(Kind.WAITING), share(totals.waiting), set())


def by_function(items: Iterable[Standing]) -> dict[str, FunctionCounts]:
    """What was read, by the name of the task."""
    running: dict[str, int] = {}
    queued: dict[str, list[datetime]] = {}
    for item in _distinct(items):
        name, when = _facts(item)
        if item.kind is Kind.RUNNING:
            running[name] = running.get(name, 0) + 1
        else:
            queued.setdefault(name, []).append(when)
    return {
        name: FunctionCounts(
            running.get(name, 0) + len(times),
            running.get(name, 0),
            len(times),
            min(times, default=None),
            max(times, default=None),
        )
        for name in sorted(running.keys() | queued)
        for times in [queued.get(name, [])]
    }


def _spread(queue: str, depth: Depth, places: int) -> list[Ask]:
    """Wishes for runs of what is ready, at evenly spaced instants."""
    if depth.oldest_ms is None or depth.newest_ms is None:
        return []
    span = depth.newest_ms - depth.oldest_ms
    starts = dict.fromkeys(f"{depth.oldest_ms + place * span // places}-0" for place in range(places))
    return [Ask(Kind.READY, queue, start, RUN) for start in starts]


async def _first(view: View, listing: Listing, most: int, seen: set[str]) -> list[Standing]:
    """The first of a list, until so many were seen."""
    while listing.end and len(seen) < most:
        seen.update(item.key for item in await read_page(view, listing, most - len(seen), HEAD))
    return listing.items


def _distinct(items: Iterable[Standing]) -> Iterable[Standing]:
    """Each task once, as it was read last; what has no key, each time."""
    return {item.key or id(item): item for item in items}.values()


def _facts(item: Standing) -> tuple[str, datetime]:
    """The name of its task, and when it is to run."""
    placed = as_datetime(item.instant_ms * 1000)
    try:
        attempt, _, _, data = split_blob(item.blob)
    except ValueError:
        return UNREADABLE, placed
    try:
        call = decode_call(data)
    except PayloadError:
        return function_name(data) or UNREADABLE, placed
    again = item.kind is Kind.DUE and attempt > 1
    return call.function, placed if again else as_datetime(call.when_us)
