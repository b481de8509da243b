"""Letting others run: an iteration of the loop, forced, and what only looks like one.

In each turn the loop runs what was ready at its beginning. A task goes on until it awaits something
that is not there yet; an `await` of something that is there does not stop it, and gives nobody else
a turn. `asyncio.sleep(0)` always does.
"""

from __future__ import annotations

import asyncio


def main() -> None:
    asyncio.run(order())
    asyncio.run(greedy_consumer())
    asyncio.run(long_computation())


async def order() -> None:
    """Who runs when: callbacks and tasks in one queue, in the order of getting ready."""
    loop = asyncio.get_running_loop()
    log: list[str] = []

    async def task() -> None:
        log.append("task")
        loop.call_soon(log.append, "callback of the task")

    loop.call_soon(log.append, "first callback")
    running = asyncio.create_task(task())
    loop.call_soon(log.append, "last callback")
    log.append("nothing has run yet")
    await asyncio.sleep(0)
    log.append("one turn later")
    await asyncio.sleep(0)
    log.append("two turns later")
    await running
    for event in log:
        print(f"order: {event}")


async def greedy_consumer() -> None:
    """A queue with something in it never makes its consumer wait."""
    for is_polite in (False, True):
        queue: asyncio.Queue[int] = asyncio.Queue()
        for number in range(1000):
            queue.put_nowait(number)
        turns = 0

        async def bystander() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        watching = asyncio.create_task(bystander())
        while not queue.empty():
            await queue.get()
            if is_polite:
                await asyncio.sleep(0)
        watching.cancel()
        how = "with sleep(0)" if is_polite else "with get() only"
        print(f"1000 items, {how}: others had {turns} turns")


async def long_computation() -> None:
    """To be asked for each step of a computation would be dear: for each batch is often enough."""
    shown: list[int] = []
    progress = 0

    async def display() -> None:
        while True:
            shown.append(progress)
            await asyncio.sleep(0)

    displaying = asyncio.create_task(display())
    for progress in range(10_001):
        if progress % 2500 == 0:
            await asyncio.sleep(0)
    displaying.cancel()
    print(f"progress as seen from outside: {shown}")
