"""Timers: what one costs while there are many."""

from __future__ import annotations

import asyncio
import gc
import time

from .clock import Lap, resident_bytes

FAR_SECONDS = 3600.0
RESOLUTION_SECONDS = 0.003
"""Loops that count milliseconds may round a deadline up, and what they take for now down."""


def nothing() -> None:
    pass


def scattered(size: int, first: float, span: float) -> list[float]:
    """Delays that are spread over `span` seconds and come in no order, as those of programs."""
    return [first + span * (number * 7919 % size) / size for number in range(size)]


async def one_pass(size: int) -> dict[str, float]:
    """Costs of a timer, in nanoseconds of CPU time and bytes, while `size` are pending."""
    costs = await set_and_cancel(size)
    return costs | {"due_ns": await come_due(size)}


async def set_and_cancel(size: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    delays = scattered(size, FAR_SECONDS, FAR_SECONDS)
    # A tenth of them, later by half a step, so that they end up all among the others.
    more = [delay + FAR_SECONDS / size / 2 for delay in delays[::10]]
    handles: list[asyncio.TimerHandle | None] = [None] * size
    before = resident_bytes()
    for number, delay in enumerate(delays):
        handles[number] = loop.call_later(delay, nothing)
    memory = resident_bytes() - before

    lap = Lap()
    gc.collect()
    collect = lap.each(size)

    lap = Lap()
    added = [loop.call_later(delay, nothing) for delay in more]
    call_later = lap.each(len(more))

    pending = [handle for handle in handles if handle is not None] + added
    handles.clear()
    added.clear()
    lap = Lap()
    for handle in pending:
        handle.cancel()
    # Some loops throw cancelled timers away in their turn: that is part of the price.
    await asyncio.sleep(0)
    cancel = lap.each(len(pending))
    return {
        "call_later_ns": call_later,
        "cancel_ns": cancel,
        "collect_ns": collect,
        "memory_bytes": memory / size,
    }


async def come_due(size: int) -> float:
    """Nanoseconds of CPU time for each of `size` timers that are due at once."""
    loop = asyncio.get_running_loop()
    # Spread over about as long as it takes to set them, or they would come in order after all.
    span = size * 1e-6
    delays = scattered(size, RESOLUTION_SECONDS, span)
    fired = loop.create_future()
    left = size

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            fired.set_result(None)

    for delay in delays:
        loop.call_later(delay, count)
    # Blocks the loop on purpose: every deadline is past when it looks again.
    time.sleep(span + 2 * RESOLUTION_SECONDS)
    lap = Lap()
    await fired
    return lap.each(size)
