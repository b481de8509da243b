"""A lock lets one in at a time, in the order of asking; and two ways to wait for ever."""

from __future__ import annotations

import asyncio

#: Seconds after which we believe that a deadlock is one.
DEADLOCK = 0.5


async def main() -> None:
    await in_order()
    await cancelled_in_the_queue()
    await itself()
    await each_other()


async def in_order() -> None:
    """First come, first served, even if the lock is free for a moment in between."""
    bench = asyncio.Lock()
    order: list[str] = []

    async def sit(name: str) -> None:
        async with bench:
            order.append(name)
            await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as group:
        for name in ("ann", "bob", "eve"):
            group.create_task(sit(name))
    print(f"in the order of asking: {', '.join(order)}")


async def cancelled_in_the_queue() -> None:
    """Who is cancelled while waiting leaves the queue; those behind move up."""
    bench = asyncio.Lock()
    async with bench:
        first, second = (asyncio.create_task(bench.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
    await asyncio.wait([first, second])
    print(f"first in the queue: cancelled {first.cancelled()}; second has it: {second.result()}")


async def itself() -> None:
    """asyncio's lock does not ask who holds it: a task that takes it twice waits for itself.

    So a method that takes the lock must not call another one that does. Split them: the outer one
    takes the lock, the inner one, named with an underscore, expects it to be taken.
    """
    lock = asyncio.Lock()
    async with lock:
        try:
            async with asyncio.timeout(DEADLOCK), lock:
                pass
        except TimeoutError:
            print(f"taken twice by one task: nothing happens, for {DEADLOCK} s and for ever")


async def each_other() -> None:
    """Two tasks, two locks, taken in different order. The cure: one order for everybody."""
    salt, pepper = asyncio.Lock(), asyncio.Lock()

    async def eat(one: asyncio.Lock, other: asyncio.Lock) -> None:
        async with one:
            await asyncio.sleep(0)  # Long enough for the neighbour to take the other.
            async with other:
                pass

    neighbours = {"in different order": (pepper, salt), "in one order": (salt, pepper)}
    for title, second in neighbours.items():
        try:
            async with asyncio.timeout(DEADLOCK):
                await asyncio.gather(eat(salt, pepper), eat(*second))
        except TimeoutError:
            print(f"two locks, {title}: both wait, each for the other")
        else:
            print(f"two locks, {title}: both have eaten")
