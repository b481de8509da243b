"""load: the same bounded load on each application, one after the other.

Everybody waits for an answer before asking again ("closed loop"), so the figures say how many
requests a crowd of this size gets answered, not what happens beyond. Who asks is a process of its
own, and on a machine of few cores takes its share of them.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import parts
from aiohttp import ClientSession, TCPConnector
from processes import started
from serving import REST
from yarl import URL

#: Asked for in turn: one tool, and a list of fifteen.
PATHS = ("/tools/1", "/tools?category=garden")


@dataclass(frozen=True)
class Result:
    """What one application did under load."""

    name: str
    seconds: float
    #: Of each request, in seconds.
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: int) -> float:
        """In seconds."""
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1]

    def __str__(self) -> str:
        return (
            f"{self.name:10} {len(self.latencies):6} requests {self.rate:7.0f}/s   "
            f"median {1e3 * self.percentile(50):6.1f} ms   99 % {1e3 * self.percentile(99):6.1f} ms"
        )


async def run(dsn: str, requests: int, crowd: int, plot: Path | None) -> None:
    results = []
    lacking = parts.lacking()
    for name in REST:
        if name in lacking:
            continue
        async with started(name, dsn) as base:
            # Not measured: pools fill, caches warm up, modules are imported.
            await put_load_on(name, base, 4 * crowd, crowd)
            result = await put_load_on(name, base, requests, crowd)
        print(f"  {result}", flush=True)
        results.append(result)
    if plot is not None:
        # It takes a second to import.
        from plot import draw

        loop = type(asyncio.get_running_loop())
        draw(results, f"{crowd} at a time, on {loop.__module__}.{loop.__qualname__}", plot)
        print(f"  drawn into {plot}")


async def put_load_on(name: str, base: URL, requests: int, crowd: int) -> Result:
    latencies: list[float] = []
    left = iter(range(requests))

    async def visitor(session: ClientSession) -> None:
        for number in left:
            start = time.perf_counter()
            path = PATHS[number % len(PATHS)]
            async with session.get(path, raise_for_status=True) as response:
                await response.read()
            latencies.append(time.perf_counter() - start)

    async with ClientSession(base, connector=TCPConnector(limit=crowd)) as session:
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(crowd):
                group.create_task(visitor(session))
        return Result(name, time.perf_counter() - start, latencies)
