"""What a call that blocks or computes does to everybody else, seen by a heartbeat.

A loop runs one thing at a time. What does not wait by `await` keeps the loop from all else: no
other task runs, no timer fires, no packet is read. The cures depend on what the call does:

    it waits for something      a thread, in which it may block        asyncio.to_thread
    it computes, in pieces      a pause after each piece               await asyncio.sleep(0)
    it computes, in one piece   another process, if it takes long      ProcessPoolExecutor
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor

#: Seconds from beat to beat.
BEAT = 0.01
#: Seconds for which the blocking call blocks.
BLOCKED = 0.3
#: How far to count: some tenths of a second on the CPU.
FAR = 3_000_000
PIECES = 60


class Heartbeat:
    """Beats every 10 ms while the loop is free to; remembers the longest pause."""

    def __init__(self) -> None:
        self.beats = 0
        #: Seconds from one beat to the next, at worst.
        self.pause = 0.0

    async def beat(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(BEAT)
            now = time.perf_counter()
            self.beats += 1
            self.pause = max(self.pause, now - last)
            last = now


def wait_for_paper() -> None:
    """Stands for a library that knows nothing of asyncio: `requests`, a database, a file."""
    time.sleep(BLOCKED)


def add_up(first: int = 0, last: int = FAR) -> int:
    return sum(number % 7 for number in range(first, last))


async def awaited() -> None:
    await asyncio.sleep(BLOCKED)


async def blocking() -> None:
    wait_for_paper()


async def blocking_in_a_thread() -> None:
    await asyncio.to_thread(wait_for_paper)


async def computing() -> int:
    return add_up()


async def computing_in_pieces() -> int:
    size = FAR // PIECES
    total = 0
    for piece in range(PIECES):
        total += add_up(piece * size, (piece + 1) * size)
        await asyncio.sleep(0)
    return total


async def computing_in_a_thread() -> int:
    """Beats, but badly: the thread holds the GIL, and gives it up every 5 ms or so only."""
    return await asyncio.to_thread(add_up)


async def computing_in_a_process() -> int:
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(1) as pool:
        return await loop.run_in_executor(pool, add_up)


async def main() -> None:
    results = set()
    for way in (
        awaited,
        blocking,
        blocking_in_a_thread,
        computing,
        computing_in_pieces,
        computing_in_a_thread,
        computing_in_a_process,
    ):
        result = await watched(way)
        if result is not None:
            results.add(result)
    print(f"\nevery way of computing gives the same: {len(results) == 1}")


async def watched(way: Callable[[], Awaitable[int | None]]) -> int | None:
    heart = Heartbeat()
    beating = asyncio.create_task(heart.beat())
    # It has to have begun, or it would not notice that it is late.
    await asyncio.sleep(0)
    start = time.perf_counter()
    result = await way()
    seconds = time.perf_counter() - start
    pause = max(heart.pause, seconds if heart.beats == 0 else 0.0)
    print(
        f"{way.__name__:<24} {seconds * 1000:4.0f} ms, {heart.beats:3} beats, "
        f"longest pause {pause * 1000:4.0f} ms"
    )
    beating.cancel()
    return result
