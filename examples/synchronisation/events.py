"""Waiting for something that happens: a start, for all at once; the others, at a barrier."""

from __future__ import annotations

import asyncio

RUNNERS = ("ann", "bob", "eve")


async def main() -> None:
    await start()
    await late()
    await too_quick()
    await together()


async def start() -> None:
    """`set` wakes all who wait. No task asks again and again whether it is time."""
    shot = asyncio.Event()
    running: list[str] = []

    async def runner(name: str) -> None:
        await shot.wait()
        running.append(name)

    async with asyncio.TaskGroup() as group:
        for name in RUNNERS:
            group.create_task(runner(name))
        await asyncio.sleep(0.01)
        print(f"before the shot: {len(running)} run")
        shot.set()
    print(f"after the shot:  {len(running)} run: {', '.join(running)}")


async def late() -> None:
    """An event stays set: who comes late does not wait. That is what a condition does not do."""
    shot = asyncio.Event()
    shot.set()
    async with asyncio.timeout(1):
        await shot.wait()
    print("who comes after the shot runs at once")


async def too_quick() -> None:
    """`clear` right after `set` is seen by those who waited, but as the past: look again."""
    door = asyncio.Event()
    seen: list[bool] = []

    async def enter() -> None:
        await door.wait()
        seen.append(door.is_set())

    waiting = asyncio.create_task(enter())
    await asyncio.sleep(0)
    door.set()
    door.clear()
    await waiting
    print(f"woken by an open door, and found it open: {seen[0]}")


async def together() -> None:
    """A barrier holds everybody until all are there, lap after lap."""
    barrier = asyncio.Barrier(len(RUNNERS))
    laps: list[int] = []

    async def runner(pace: float) -> None:
        for lap in range(3):
            await asyncio.sleep(pace)
            laps.append(lap)
            await barrier.wait()

    await asyncio.gather(*(runner(0.004 * number) for number, _ in enumerate(RUNNERS)))
    print(f"laps in the order of being run: {laps}")
