"""The same sum four ways: in the loop, in threads, in processes, and all at once in processes.

What counts is not only how long it takes, but for how long the loop was deaf meanwhile: no other
task ran, no connection was served.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

#: Fork would copy a process in which threads and a loop are running, locks held and all.
SPAWN = get_context("spawn")


def count_primes(start: int, stop: int) -> int:
    """How many primes are in `start`..`stop`-1, found the slow way."""
    return sum(is_prime(number) for number in range(max(start, 2), stop))


def is_prime(number: int) -> bool:
    divisor = 2
    while divisor * divisor <= number:
        if number % divisor == 0:
            return False
        divisor += 1
    return True


def ranges(limit: int, parts: int) -> Iterator[tuple[int, int]]:
    """More parts than processes: the last ones take longest, and nobody should wait for one."""
    for part in range(parts):
        yield limit * part // parts, limit * (part + 1) // parts


class Heartbeat:
    """A task that wakes up every few milliseconds, and notices when it could not."""

    INTERVAL = 0.005

    def __init__(self) -> None:
        #: Seconds for which it was longest kept from running.
        self.longest_pause = 0.0

    @contextlib.asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._beat())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            await asyncio.sleep(self.INTERVAL)
            task.cancel()

    async def _beat(self) -> None:
        before = time.perf_counter()
        while True:
            await asyncio.sleep(self.INTERVAL)
            now = time.perf_counter()
            self.longest_pause = max(self.longest_pause, now - before - self.INTERVAL)
            before = now


async def in_the_loop(limit: int, parts: int) -> int:
    return sum([count_primes(*part) for part in ranges(limit, parts)])


async def in_executor(executor: Executor, limit: int, parts: int) -> int:
    loop = asyncio.get_running_loop()
    counts = await asyncio.gather(
        *(loop.run_in_executor(executor, count_primes, *part) for part in ranges(limit, parts))
    )
    return sum(counts)


async def run(limit: int, workers: int) -> None:
    parts = 4 * workers
    with (
        ThreadPoolExecutor(workers) as threads,
        ProcessPoolExecutor(workers, mp_context=SPAWN) as processes,
    ):
        # The first job of a new process waits until that has imported this program.
        await in_executor(processes, 10, workers)
        ways: dict[str, Callable[[], Awaitable[int]]] = {
            "in the loop": lambda: in_the_loop(limit, parts),
            f"{workers} threads": lambda: in_executor(threads, limit, parts),
            f"{workers} processes": lambda: in_executor(processes, limit, parts),
        }
        found = set()
        for name, way in ways.items():
            heartbeat = Heartbeat()
            start = time.perf_counter()
            async with heartbeat.beating():
                found.add(await way())
            took = time.perf_counter() - start
            pause = f"the loop deaf for {1e3 * heartbeat.longest_pause:.0f} ms"
            print(f"pool: {name}: {1e3 * took:.0f} ms, {pause}")
    (primes,) = found
    print(f"pool: all found {primes} primes below {limit}")
