"""What callers give in a wrong kind is told by its parameter, at once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from shadows import (
    Agenda,
    ConcurrencyLimit,
    ExponentialRetry,
    Perpetual,
    RateLimit,
    Retry,
    RetryAfter,
    Shadow,
    Timeout,
    Worker,
)


async def send() -> None: ...


@pytest.mark.parametrize(
    ("parameter", "make"),
    [
        ("delay", lambda: Retry(delay=cast("Any", 5))),
        ("delta", lambda: RetryAfter(cast("Any", 5))),
        ("maximum_delay", lambda: ExponentialRetry(maximum_delay=cast("Any", 5))),
        ("every", lambda: Perpetual(every=cast("Any", 5))),
        ("base", lambda: Timeout(cast("Any", 5))),
        ("per", lambda: RateLimit(1, per=cast("Any", 5))),
        ("grace", lambda: Worker(Shadow("orders"), grace=cast("Any", 5))),
        ("max_stall", lambda: Worker(Shadow("orders"), max_stall=cast("Any", 5))),
        ("redelivery_timeout", lambda: Worker(Shadow("orders"), redelivery_timeout=cast("Any", 5))),
        ("execution_ttl", lambda: Shadow("orders", execution_ttl=cast("Any", 5))),
        ("heartbeat_interval", lambda: Shadow("orders", heartbeat_interval=cast("Any", 5))),
        ("unique_for", lambda: Shadow("orders").add(send, unique_for=cast("Any", 5))),
    ],
)
def test_a_number_is_no_duration_and_the_parameter_is_named(
    parameter: str, make: Callable[[], object]
) -> None:
    with pytest.raises(TypeError, match=f"^{parameter}=5: a duration is a timedelta, as timedelta"):
        make()


async def test_an_agenda_wants_durations_too(name: str, url: str) -> None:
    async with Shadow(name, url) as shadows:
        for over, jitter in ((5, None), (timedelta(1), 5)):
            with pytest.raises(TypeError, match="=5: a duration is a timedelta"):
                await Agenda().scatter(shadows, over=cast("Any", over), jitter=cast("Any", jitter))


@pytest.mark.parametrize("number", [0, -1, 2.5, True, "3", None])
@pytest.mark.parametrize(
    ("parameter", "make"),
    [
        ("concurrency", lambda given: Worker(Shadow("orders"), concurrency=given)),
        ("max_deliveries", lambda given: Worker(Shadow("orders"), max_deliveries=given)),
        ("max_concurrent", lambda given: ConcurrencyLimit(max_concurrent=given)),
    ],
)
def test_what_is_counted_is_a_whole_number(
    parameter: str, make: Callable[[Any], object], number: object
) -> None:
    with pytest.raises(ValueError, match=f"^{parameter}={number!r}: a whole number, at least 1$"):
        make(number)


@pytest.mark.parametrize("attempts", [0, 2.5, True])
def test_attempts_are_counted_too_and_their_other_way_is_told(attempts: Any) -> None:
    with pytest.raises(
        ValueError, match=r"a whole number, at least 1 \(the first run counts\), or None for no end"
    ):
        Retry(attempts)
