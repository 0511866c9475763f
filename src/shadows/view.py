"""From where an operator looks at a shadow, and the lists that he reads there page by page."""

from dataclasses import dataclass, field

from shadows.execution import Source
from shadows.protocol.connection import Link
from shadows.protocol.look import BEGINNING, MOST_ITEMS, Ask, Kind, Standing, look
from shadows.protocol.store import Store


@dataclass(frozen=True, slots=True)
class View:
    """What it takes to look."""

    source: Source
    store: Store
    link: Link
    stamp: bytes
    silence_ms: int
    """For how long a living worker may be silent."""


@dataclass(slots=True)
class Listing:
    """What was read of one kind, and where it goes on: empty where nothing is left."""

    kind: Kind
    queue: str = ""
    end: bytes | str = BEGINNING
    items: list[Standing] = field(default_factory=list[Standing])

    def ask(self, most: int) -> Ask:
        """The wish for its next page."""
        return Ask(self.kind, self.queue, self.end, min(most, MOST_ITEMS))


async def read_page(view: View, listing: Listing, most: int, cut: int) -> list[Standing]:
    """One page more; what it brought."""
    _, (page,) = await look(view.store, view.link, [listing.ask(most)], cut=cut, stamp=view.stamp)
    listing.items += page.items
    listing.end = page.end
    return page.items
