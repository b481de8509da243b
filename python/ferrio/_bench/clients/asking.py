"""The measured process: `main(["LOOP", "CLIENT", "ADDRESS", "SECONDS"])` asks and asks, and writes
what a request cost it.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from collections.abc import Awaitable, Callable

from .. import allocator, loops

Ask = Callable[[], Awaitable[None]]
"""One request, from the call to its whole answer."""

WARM_UP_SECONDS = 0.3


async def ask_for(seconds: float, ask: Ask, workers: int) -> int:
    """Has so many workers ask, each of them one request after the other; how many those were."""
    is_over = False

    def end() -> None:
        nonlocal is_over
        is_over = True

    async def work() -> int:
        count = 0
        while not is_over:
            await ask()
            count += 1
        return count

    asyncio.get_running_loop().call_later(seconds, end)
    return sum(await asyncio.gather(*(work() for _ in range(workers))))


async def measure(module: str, address: str, seconds: float) -> dict[str, float]:
    client = importlib.import_module(f".{module}_client", __package__)
    async with client.client(address) as ask:
        await ask_for(WARM_UP_SECONDS, ask, client.WORKERS)
        cpu, wall = time.process_time(), time.perf_counter()
        requests = await ask_for(seconds, ask, client.WORKERS)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "cpu_us": cpu / requests * 1e6,
        "requests_per_second": requests / wall,
        "busy": cpu / wall,
    }


def main(argv: list[str]) -> None:
    loop_name, module, address, seconds = argv
    allocator.settle()
    with asyncio.Runner(loop_factory=loops.factory(loop_name)) as runner:
        report = runner.run(measure(module, address, float(seconds)))
    print(json.dumps(report), flush=True)
