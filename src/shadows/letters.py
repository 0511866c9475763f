"""Dead letters: what failed for good, kept with its call until it is run again or thrown away."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shadows.clock import as_datetime
from shadows.errors import NotRequeued, PayloadError
from shadows.execution import Execution
from shadows.payload.call import Call, decode_call, encode_call
from shadows.payload.outcomes import decode_record
from shadows.protocol import letters as protocol
from shadows.protocol.blob import keeping, split_blob
from shadows.protocol.execution import Found, Stand
from shadows.protocol.letters import Letter, Requeued
from shadows.view import View


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One execution that failed for good.

    Attributes:
        id: what `requeue` and `discard` take.
        key: the idempotency key that it had; free again.
        function_name: the name of its task; empty where its call cannot be read.
        reason: failed (its own failure), deliveries (its workers died of it), unknown (no worker knew its task),
            undecodable (its call cannot be read), stricken, or lost (its call is gone).
        queue: the queue that it went through.
        died_at: when it was given up.
        error: `"ValueError: text"` where that is known.
        attempt: which run it was in, counted from 1.
        args, kwargs: its arguments, where its task is known here; else empty.
    """

    id: str
    key: str
    function_name: str
    reason: str
    queue: str
    died_at: datetime
    error: str | None
    attempt: int
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


async def list_letters(view: View, limit: int, before: str | None) -> list[DeadLetter]:
    """See `Shadow.dead_letters`."""
    if limit < 1:
        raise ValueError(f"limit={limit!r}: how many to list, at least 1")
    found: list[Letter] = []
    start, more = before or "", True
    while more and len(found) < limit:
        page = await protocol.letters(view.store, view.link, start, limit - len(found))
        if page is None:
            if found:  # what the page before ended with has just gone
                break
            raise ValueError(
                f"before={before!r}: no dead letter has this id, it was requeued or discarded: list again without `before`"
            )
        items, more = page
        found += items
        start = found[-1].id if found else ""
    return [_shown(view, letter) for letter in found]


async def requeue(view: View, id_: str) -> Execution[Any]:
    """See `Shadow.requeue`."""
    letter = await protocol.letter(view.store, view.link, id_)
    if letter is None:
        raise _refusal(Requeued.NONE, id_, "")
    answer = await protocol.requeue(view.store, view.link, id_, _afresh(letter.blob), stamp=view.stamp)
    if answer is Requeued.BAD:
        raise _refused(id_, str(await view.store.diagnose(view.link)))
    if answer is not Requeued.REQUEUED:
        raise _refusal(answer, id_, letter.key)
    execution = Execution[Any](view.source, letter.key, "")
    execution.update(Found(Stand.QUEUED, letter.queue, blob=letter.blob))
    execution.attempt = 1
    return execution


async def discard(view: View, id_: str) -> bool:
    """See `Shadow.discard`."""
    return await protocol.discard(view.store, view.link, id_)


def _call(blob: bytes) -> tuple[int, Call] | None:
    """The attempt and the call of a blob; None where it cannot be read."""
    try:
        attempt, _, _, data = split_blob(blob)
        return attempt, decode_call(data)
    except (ValueError, PayloadError):
        return None


def _afresh(blob: bytes) -> bytes:
    """The call as it runs again: it expires no more, and no worker has missed its task yet. Empty: as it is."""
    read = _call(blob)
    if read is None:
        return b""
    afresh = read[1]._replace(unknown_since_us=0, expires_us=0, begun=False)
    return keeping(encode_call(afresh), split_blob(blob).unique_ms)


def _shown(view: View, letter: Letter) -> DeadLetter:
    attempt, name, error = 1, "", None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}
    if read := _call(letter.blob):
        attempt, call = read
        name = call.function
        if plan := view.source.plan(name):
            try:
                given, kwargs = plan.decode(call.arguments)
                args = tuple(given)
            except PayloadError:
                pass
    try:
        record = decode_record(letter.info) if letter.info else None
    except PayloadError:
        record = None
    if record is not None:
        name, attempt = record.function, record.attempt
        if record.failure is not None:
            error = f"{record.failure.type_name}: {record.failure.message}"
    return DeadLetter(
        letter.id, letter.key, name, letter.reason, letter.queue, as_datetime(letter.died_ms * 1000), error, attempt,
        args, kwargs,
    )  # fmt: skip


def _refusal(answer: Requeued, id_: str, key: str) -> NotRequeued:
    why = {
        Requeued.NONE: "no dead letter has this id: it was requeued or discarded already",
        Requeued.TAKEN: f"its key {key!r} belongs to an unfinished execution: requeue it when that has ended",
        Requeued.LOST: "its call was lost, so there is nothing to run: discard it, and add the task again",
    }
    return _refused(id_, why[answer])


def _refused(id_: str, why: str) -> NotRequeued:
    return NotRequeued(f"the dead letter {id_!r} cannot be requeued: {why}")
