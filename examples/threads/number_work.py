"""Threads that use several cores: hashing and NumPy let go of the GIL while they work.

Pure Python does not. There threads take turns, and the work takes as long as in one.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")


def hash_password(password: str, rounds: int) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", rounds).hex()


def row_medians(piece: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.median(piece, axis=1))


def digit_sum(number: int) -> int:
    """The only one of the three in Python."""
    total = 0
    for digit in str(3**number):
        total += int(digit)
    return total


async def compare(name: str, jobs: Iterable[Callable[[], T]], workers: int) -> list[T]:
    """Does all jobs in the loop and then in threads; returns the results, which must agree."""
    jobs = list(jobs)
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    alone = [job() for job in jobs]
    in_loop = time.perf_counter() - start
    with ThreadPoolExecutor(workers) as executor:
        start = time.perf_counter()
        together = await asyncio.gather(*(loop.run_in_executor(executor, job) for job in jobs))
        in_threads = time.perf_counter() - start
    if not all(
        np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(alone, together, strict=True)
    ):
        raise AssertionError(f"{name}: threads found something else")
    print(
        f"numbers: {name}: in the loop {1e3 * in_loop:.0f} ms, by {workers} threads"
        f" {1e3 * in_threads:.0f} ms, the same results"
    )
    return together


async def run(passwords: int, rounds: int, rows: int, workers: int) -> None:
    jobs = [partial(hash_password, f"password {n}", rounds) for n in range(passwords)]
    await compare(f"{passwords} passwords hashed", jobs, workers)

    matrix = np.random.default_rng(rows).normal(size=(rows, 1000))
    pieces = np.array_split(matrix, 4 * workers)
    medians = await compare(
        f"medians of {rows} rows by NumPy",
        [partial(row_medians, piece) for piece in pieces],
        workers,
    )
    if not np.array_equal(np.concatenate(medians), row_medians(matrix)):
        raise AssertionError("the pieces are not those of the matrix")

    await compare(
        "digits summed in Python", [partial(digit_sum, 5000 + n) for n in range(40)], workers
    )
