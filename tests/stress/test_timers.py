"""Timers: never early, in order, and gone when they are cancelled."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Callable

from .conftest import Load, resident_kib

Loop = asyncio.AbstractEventLoop
TEN_YEARS = 10 * 365 * 86_400.0


def test_a_million_timers_none_early(
    loop: Loop, load: Load, figures: Callable[[str], None]
) -> None:
    """One in a hundred comes to its end; the others are cancelled, in any order."""
    count = load(50_000, 1_000_000)
    span = load(1, 10)
    rng = random.Random(1)
    began = 0.0
    early: list[float] = []
    late: list[float] = []
    order: list[tuple[float, int]] = []
    cancelled_ran: list[int] = []

    def due(number: int, when: float) -> None:
        now = loop.time()
        if now < when:
            early.append(when - now)
        # Those due while others were still being added could not be in time.
        if when > began:
            late.append(now - when)
        order.append((when, number))

    gc.collect()
    before = resident_kib()
    start = time.monotonic()
    # About as long as adding takes, on a slow machine.
    base = loop.time() + span / 2
    kept = 0
    handles = []
    for number in range(count):
        if number % 100 == 0:
            # Many share a deadline, and then keep their order.
            when = base + rng.choice([0, 0.000001, 0.001, rng.randrange(span * 100) / 100])
            loop.call_at(when, due, number, when)
            kept += 1
        else:
            delay = rng.choice([0.000001, 0.001, span * rng.random(), TEN_YEARS])
            handles.append(loop.call_at(base + span + delay, cancelled_ran.append, number))
    full = resident_kib()
    rng.shuffle(handles)
    for handle in handles:
        handle.cancel()
    added = time.monotonic() - start
    del handle, handles

    began = loop.time()

    async def main() -> None:
        async with asyncio.timeout(600):
            while len(order) < kept:
                await asyncio.sleep(0.01)

    loop.run_until_complete(main())
    loop.run_until_complete(asyncio.sleep(0.01))
    gc.collect()
    after = resident_kib()
    assert early == []
    assert cancelled_ran == []
    assert order == sorted(order)
    late.sort()
    median, most = late[len(late) // 2] * 1e3, late[len(late) * 99 // 100] * 1e3
    figures(
        f"{count} timers, {kept} due, 0 early; late by {median:.2f} ms (median), {most:.2f} ms "
        f"(99 %); added and cancelled in {added:.1f} s; {(full - before) // 1024} MiB with all of "
        f"them, {(after - before) // 1024} MiB after"
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
    assert after - before < count * 100 // 1024 + 4096
