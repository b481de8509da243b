"""What two threads can do at the same time, and what the GIL has to do with it.

A thread of CPython needs the global interpreter lock, the GIL, to run Python code. So two threads
that compute in Python take turns, on one CPU's worth of time. The lock is released by

    everything that waits       sleep, sockets, files, locks, queues
    C code that says so         hashing and compressing of larger buffers, much of NumPy, SQLite

and in builds without GIL (python3.13t and newer) it is not there at all.

Measured here: how much time on the CPUs a job got for each second that passed. With two threads
that is 2 at most, if they never wait for one another.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
import zlib
from collections.abc import Callable

THREADS = 2
ROUNDS = 2


def sleep() -> None:
    time.sleep(0.2)


def count() -> None:
    sum(number % 7 for number in range(1_200_000))


def hash_large() -> None:
    """A few large buffers: the lock is released for each."""
    data = bytes(8_000_000)
    for _ in range(8):
        hashlib.sha256(data).digest()


def hash_small() -> None:
    """Many small ones: releasing the lock would take longer than hashing, so hashlib keeps it."""
    data = bytes(100)
    for _ in range(100_000):
        hashlib.sha256(data).digest()


def compress() -> None:
    data = os.urandom(1_000_000)
    for _ in range(3):
        zlib.compress(data)


async def main() -> None:
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"GIL: {'yes' if has_gil else 'no'}, CPUs that this process may use: {cpus}\n")
    print(f"{'':<12} {'one thread':>12} {f'{THREADS} threads':>12} {'CPUs used':>12}")
    for job in (sleep, count, hash_small, hash_large, compress):
        alone, _ = await measured(job, 1)
        together, used = await measured(job, THREADS)
        print(f"{job.__name__:<12} {alone * 1000:9.0f} ms {together * 1000:9.0f} ms {used:12.1f}")
    print(
        "\nTwice the work in the same time: the lock was released. In twice the time: it was not."
    )


async def measured(job: Callable[[], None], threads: int) -> tuple[float, float]:
    """Runs `job` in so many threads at once; seconds that passed, and how many CPUs were used.

    The quickest of a few rounds: what else the machine does can only make it slower.
    """
    rounds = []
    for _ in range(ROUNDS):
        start, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(asyncio.to_thread(job) for _ in range(threads)))
        seconds = time.perf_counter() - start
        rounds.append((seconds, (time.process_time() - used) / seconds))
    return min(rounds)
