"""Locks and queues."""

from __future__ import annotations

import asyncio

from .operation import Bench, Run, operation


@operation("async with a lock that nobody else wants", per_run=1000, quick=True)
def lock_uncontended(bench: Bench) -> Run:
    async def main(times: int) -> None:
        lock = asyncio.Lock()
        for _ in range(times * 1000):
            async with lock:
                pass

    yield lambda times: bench.complete(main(times))


@operation("async with a semaphore that has room", per_run=1000)
def semaphore_uncontended(bench: Bench) -> Run:
    async def main(times: int) -> None:
        semaphore = asyncio.Semaphore(2)
        for _ in range(times * 1000):
            async with semaphore:
                pass

    yield lambda times: bench.complete(main(times))


@operation("wait for an event that is set", per_run=1000)
def event_wait_set(bench: Bench) -> Run:
    async def main(times: int) -> None:
        event = asyncio.Event()
        event.set()
        for _ in range(times * 1000):
            await event.wait()

    yield lambda times: bench.complete(main(times))


@operation("one of 10 tasks has a semaphore of 3 for a turn", per_run=100)
def semaphore_contended(bench: Bench) -> Run:
    async def main(times: int) -> None:
        semaphore = asyncio.Semaphore(3)

        async def contend() -> None:
            for _ in range(times * 10):
                async with semaphore:
                    await asyncio.sleep(0)

        await asyncio.gather(*(contend() for _ in range(10)))

    yield lambda times: bench.complete(main(times))


@operation("two tasks take turns by a condition, there and back", per_run=100)
def condition(bench: Bench) -> Run:
    async def main(times: int) -> None:
        condition = asyncio.Condition()
        turn = 0

        async def play(number: int) -> None:
            nonlocal turn
            for _ in range(times * 100):
                async with condition:
                    while turn != number:
                        await condition.wait()
                    turn = 1 - number
                    condition.notify()

        await asyncio.gather(play(0), play(1))

    yield lambda times: bench.complete(main(times))


@operation("one of 5 tasks meets the others at a barrier", per_run=100)
def barrier(bench: Bench) -> Run:
    async def main(times: int) -> None:
        barrier = asyncio.Barrier(5)

        async def meet() -> None:
            for _ in range(times * 20):
                await barrier.wait()

        await asyncio.gather(*(meet() for _ in range(5)))

    yield lambda times: bench.complete(main(times))


@operation("put_nowait and get_nowait", per_run=1000)
def queue_put_get_nowait(bench: Bench) -> Run:
    async def main(times: int) -> None:
        queue: asyncio.Queue[None] = asyncio.Queue()
        for _ in range(times * 1000):
            queue.put_nowait(None)
            queue.get_nowait()

    yield lambda times: bench.complete(main(times))
