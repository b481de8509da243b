"""Tasks: what one costs while there are many."""

from __future__ import annotations

import asyncio
import gc

from .clock import Lap, resident_bytes


async def step() -> None:
    await asyncio.sleep(0)


async def wait(gate: asyncio.Future[None]) -> None:
    await gate


async def one_pass(size: int) -> dict[str, float]:
    """Costs of a task, in nanoseconds of CPU time and bytes, while there are `size`."""
    costs = await wait_and_wake(size)
    return costs | {"run_ns": await run(size)}


async def run(size: int) -> float:
    """From `create_task` to the end, with one `sleep(0)` in between."""
    lap = Lap()
    tasks = [asyncio.create_task(step()) for _ in range(size)]
    for task in tasks:
        await task
    return lap.each(size)


async def wait_and_wake(size: int) -> dict[str, float]:
    """All wait for one future, which then has its result."""
    gate = asyncio.get_running_loop().create_future()
    tasks: list[asyncio.Task[None] | None] = [None] * size
    before = resident_bytes()
    for number in range(size):
        tasks[number] = asyncio.create_task(wait(gate))
    # They start in this turn, and this one goes on in the next.
    await asyncio.sleep(0)
    memory = resident_bytes() - before

    lap = Lap()
    gc.collect()
    collect = lap.each(size)

    lap = Lap()
    gate.set_result(None)
    for task in tasks:
        if task is not None:
            await task
    wake = lap.each(size)
    return {"wake_ns": wake, "collect_ns": collect, "memory_bytes": memory / size}
