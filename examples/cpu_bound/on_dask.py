"""The same job on Dask: the executor is another one, the rest of the program stays.

Here the workers are processes of this machine. With the address of a scheduler instead, they may be
on any machine that can read the file.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from corpus import cut
from dask.distributed import Client, LocalCluster
from mapreduce import map_reduce
from wordcount import count_words, summary


def connect(address: str | None, workers: int) -> tuple[Client, LocalCluster | None]:
    """A client of the scheduler at `address`, or of a cluster of our own."""
    if address is not None:
        return Client(address), None
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        # Any free port: even without a dashboard the scheduler serves HTTP, on 8787 if not told.
        dashboard_address=":0",
        # Dask closes the scheduler before the workers know: one whose heartbeat is under way then
        # would log it as an error. What fails in a job is raised by its future all the same.
        silence_logs=logging.CRITICAL,
    )
    return Client(cluster), cluster


async def run(path: Path, uses: int, workers: int, address: str | None) -> str:
    """Counts the words of a corpus with that many uses; returns the summary."""
    start = time.perf_counter()
    # Client and cluster wait for their processes: not in the loop. They have one of their own, in a
    # thread of theirs.
    client, cluster = await asyncio.to_thread(connect, address, workers)
    try:
        count = len(client.scheduler_info()["workers"])
        print(f"dask: {count} workers there after {time.perf_counter() - start:.1f} s")
        start = time.perf_counter()
        # Pure functions may be shared between equal calls; these read a file, which may change.
        executor = client.get_executor(pure=False)
        result = await map_reduce(executor, count_words, path, cut(path, 4 * count))
        took = time.perf_counter() - start
    finally:
        await asyncio.to_thread(client.close)
        if cluster is not None:
            await asyncio.to_thread(cluster.close)
    if sum(result.values()) != uses:
        raise AssertionError(f"{sum(result.values())} uses, {uses} were written")
    print(f"dask: {count} workers: {1e3 * took:.0f} ms")
    print(f"dask: {summary(result)}")
    return summary(result)
