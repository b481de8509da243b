"""Map and reduce over a large file by a pool of processes, with a progress bar.

The processes share one counter with the loop. They add to it in thousands: each addition takes a
lock that all of them want.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import TypeVar

from corpus import cut
from pool import SPAWN
from wordcount import count_words, merge, summary

T = TypeVar("T")

#: In a process of the pool: the counter that it was started with.
_lines_done: Synchronized[int]


def remember(counter: Synchronized[int]) -> None:
    """Runs first in each process of the pool: a counter is inherited, not sent with a job."""
    global _lines_done
    _lines_done = counter


def count_and_report(path: Path, start: int, stop: int) -> dict[str, int]:
    return count_words(path, start, stop, report=add_lines)


def add_lines(lines: int) -> None:
    # `value += 1` reads, adds and writes: without the lock, additions are lost.
    with _lines_done.get_lock():
        _lines_done.value += lines


async def map_reduce(
    executor: Executor,
    mapper: Callable[[Path, int, int], dict[str, int]],
    path: Path,
    pieces: list[tuple[int, int]],
) -> dict[str, int]:
    """Maps all pieces and reduces the results, in `executor`, two at a time as they come."""
    loop = asyncio.get_running_loop()
    jobs = {loop.run_in_executor(executor, mapper, path, *piece) for piece in pieces}
    single: list[dict[str, int]] = []
    while jobs:
        done, jobs = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        single += [job.result() for job in done]
        while len(single) > 1:
            jobs.add(loop.run_in_executor(executor, merge, single.pop(), single.pop()))
    (result,) = single
    return result


async def with_progress(work: asyncio.Future[T], counter: Synchronized[int], total: int) -> T:
    """Shows how far the counter has come until `work` is done."""
    interactive = sys.stderr.isatty()
    while not work.done():
        share = counter.value / total
        if interactive:
            bar = "#" * int(40 * share)
            print(f"\r[{bar:<40}] {share:4.0%}", end="", file=sys.stderr, flush=True)
        await asyncio.wait([work], timeout=0.1)
    if interactive:
        print("\r\x1b[K", end="", file=sys.stderr)
    return await work


async def run(path: Path, lines: int, uses: int, workers: int) -> None:
    """Counts the words of a corpus with that many lines and uses."""
    start = time.perf_counter()
    counted = count_words(path, 0, path.stat().st_size)
    alone = time.perf_counter() - start
    print(f"mapreduce: one process, the loop deaf: {1e3 * alone:.0f} ms")

    counter = SPAWN.Value("Q", 0)
    with ProcessPoolExecutor(
        workers, mp_context=SPAWN, initializer=remember, initargs=(counter,)
    ) as executor:
        pieces = cut(path, 4 * workers)
        start = time.perf_counter()
        work = asyncio.ensure_future(map_reduce(executor, count_and_report, path, pieces))
        result = await with_progress(work, counter, lines)
        took = time.perf_counter() - start
    if (counter.value, sum(result.values()), result) != (lines, uses, counted):
        raise AssertionError(f"{counter.value} lines, {sum(result.values())} uses: not as written")
    print(
        f"mapreduce: {workers} processes, their start included: {1e3 * took:.0f} ms,"
        f" {len(pieces)} pieces, {counter.value} lines"
    )
    print(f"mapreduce: {summary(result)}")
