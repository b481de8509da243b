"""Locks and queues in numbers: memory stays flat, and nothing is left of those who gave up."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from ferrio import aio

from .conftest import Load, resident_kib

Loop = asyncio.AbstractEventLoop

QUEUES = (aio.Queue, aio.PriorityQueue, aio.LifoQueue)
every_queue = pytest.mark.parametrize("cls", QUEUES, ids=lambda cls: cls.__name__)


@every_queue
def test_a_million_items(
    loop: Loop, no_gc: None, load: Load, figures: Callable[[str], None], cls: Any
) -> None:
    """In, and out again: by those who wait, and by those who need not."""
    left = load(200_000, 1_000_000)

    async def produce(queue: Any, count: int) -> None:
        for number in range(count):
            await queue.put(number + 1_000)

    async def consume(queue: Any) -> None:
        while True:
            await queue.get()
            queue.task_done()

    async def main(count: int) -> None:
        queue = cls(100)
        consumers = [asyncio.create_task(consume(queue)) for _ in range(3)]
        await asyncio.gather(*(produce(queue, count // 4) for _ in range(4)))
        await queue.join()
        for consumer in consumers:
            consumer.cancel()
        await asyncio.gather(*consumers, return_exceptions=True)

    blocks, memory = [], []
    for _ in range(10):
        loop.run_until_complete(main(left // 10))
        gc.collect()
        blocks.append(sys.getallocatedblocks())
        memory.append(resident_kib())
    assert blocks[-1] - blocks[4] < 500, blocks
    figures(
        f"{left:,} items; in the second half {blocks[-1] - blocks[4]} blocks, "
        f"{memory[-1] - memory[4]} KiB more"
    )


@every_queue
def test_items_in_a_queue_that_is_dropped_are_freed(no_gc: None, cls: Any) -> None:
    class Thing:
        def __lt__(self, other: object) -> bool:
            return False

    queue = cls()
    watched = []
    for _ in range(1000):
        thing = Thing()
        watched.append(weakref.ref(thing))
        queue.put_nowait(thing)
        del thing
    assert all(reference() is not None for reference in watched)
    del queue
    assert all(reference() is None for reference in watched)


GUARDS: dict[str, Callable[[], Any]] = {
    "lock": aio.Lock,
    "condition": aio.Condition,
    "semaphore": lambda: aio.Semaphore(3),
    "bounded": lambda: aio.BoundedSemaphore(3),
}


@pytest.mark.parametrize("kind", GUARDS)
def test_many_who_give_up(loop: Loop, no_gc: None, load: Load, kind: str) -> None:
    """A crowd at one door, from which some are cancelled at any moment."""
    rng = random.Random(7)

    async def want(guard: Any) -> None:
        async with guard:
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)

    async def main() -> None:
        guard = GUARDS[kind]()
        tasks = [asyncio.create_task(want(guard)) for _ in range(300)]
        while not all(task.done() for task in tasks):
            rng.choice(tasks).cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not guard.locked()
        assert "waiters" not in repr(guard)

    blocks = []
    for _ in range(load(8, 80)):
        loop.run_until_complete(main())
        gc.collect()
        blocks.append(sys.getallocatedblocks())
    assert blocks[-1] - blocks[len(blocks) // 2] < 500, blocks


def test_a_coroutine_in_a_cycle_with_its_lock_is_collected() -> None:
    class Thing:
        pass

    async def main() -> weakref.ref[Thing]:
        lock: Any = aio.Lock()
        await lock.acquire()
        lock.thing = thing = Thing()
        # Begun, and then forgotten by everybody but the lock itself.
        coroutine = lock.acquire()
        coroutine.send(None)
        lock.coroutine = coroutine
        return weakref.ref(thing)

    watched = asyncio.run(main())
    gc.collect()
    assert watched() is None
