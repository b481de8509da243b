"""Timers: never early, in order, and gone when they are cancelled."""

from __future__ import annotations

import asyncio
import gc
import random
from array import array
from collections.abc import Callable

from .conftest import Load, resident_kib

Loop = asyncio.AbstractEventLoop
TEN_YEARS = 10 * 365 * 86_400.0


def test_a_million_timers_none_early(
    loop: Loop, load: Load, figures: Callable[[str], None]
) -> None:
    """One in a hundred comes to its end while the others are being cancelled, in any order."""
    count = load(50_000, 1_000_000)
    span = load(1, 10)
    rng = random.Random(1)
    early: list[float] = []
    disorder: list[tuple[float, int]] = []
    last = (0.0, 0)
    # Not a list, whose floats would come to lie all over the memory that is to be given back.
    late = array("d")
    cancelled_ran: list[int] = []

    def due(number: int, when: float) -> None:
        nonlocal last
        now = loop.time()
        if now < when:
            early.append(when - now)
        if (when, number) < last:
            disorder.append((when, number))
        last = (when, number)
        late.append(now - when)

    def far(number: int) -> asyncio.TimerHandle:
        delay = 1_000 + rng.choice([0.000001, 0.001, 10 * rng.random(), TEN_YEARS])
        return loop.call_later(delay, cancelled_ran.append, number)

    gc.collect()
    before = resident_kib()
    handles = [far(number) for number in range(count - count // 100)]
    rng.shuffle(handles)
    full = resident_kib()

    async def main() -> None:
        base = loop.time() + 0.1
        for number in range(count // 100):
            # Many share a deadline, and then keep their order.
            when = base + rng.choice([0, 0.000001, 0.001, rng.randrange(span * 100) / 100])
            loop.call_at(when, due, number, when)
        async with asyncio.timeout(600):
            while handles:
                for handle in handles[-100:]:
                    handle.cancel()
                del handles[-100:], handle
                await asyncio.sleep(0)
            while len(late) < count // 100:
                await asyncio.sleep(0.01)

    loop.run_until_complete(main())
    loop.run_until_complete(asyncio.sleep(0.01))
    gc.collect()
    after = resident_kib()
    assert early == []
    assert cancelled_ran == []
    assert disorder == []
    times = sorted(late)
    median, most = times[len(times) // 2] * 1e3, times[len(times) * 99 // 100] * 1e3
    figures(
        f"{count} timers, {len(times)} due, 0 early; late by {median:.2f} ms (median), "
        f"{most:.2f} ms (99 %); {(full - before) // 1024} MiB with all of them, "
        f"{(after - before) // 1024} MiB after"
    )


def test_a_crowd_of_cancelled_timers_gives_its_memory_back(
    loop: Loop, load: Load, figures: Callable[[str], None]
) -> None:
    count = load(100_000, 1_000_000)
    rng = random.Random(1)
    gc.collect()
    before = resident_kib()
    handles = [loop.call_later(1000 + rng.random(), int, number) for number in range(count)]
    full = resident_kib()
    # In another order than they were made in: what is kept must not lie in every part of memory.
    rng.shuffle(handles)
    for handle in handles:
        handle.cancel()
    del handle, handles
    loop.run_until_complete(asyncio.sleep(0))
    gc.collect()
    after = resident_kib()
    figures(
        f"{count} timers: {(full - before) / 1024:.0f} MiB, "
        f"{(after - before) / 1024:.0f} MiB once they were cancelled"
    )
    # What stays is the list of timers, vacant now, as long as it ever was: 40 bytes for each, and
    # as much again where it has just been doubled. All of it would be 350 bytes for each.
    assert after - before < count * 100 // 1024 + 6144
