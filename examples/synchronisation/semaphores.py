"""A bridge that bears three wagons, and what becomes of it when somebody counts wrong."""

from __future__ import annotations

import asyncio

BEARS = 3
WAGONS = 12


class Bridge:
    """Counts who is on it."""

    def __init__(self) -> None:
        self.load = 0
        self.most = 0

    async def cross(self) -> None:
        self.load += 1
        self.most = max(self.most, self.load)
        await asyncio.sleep(0.002)
        self.load -= 1


async def convoy(guard: asyncio.Semaphore) -> int:
    """Sends all wagons; how many were on the bridge at once, at most."""
    bridge = Bridge()

    async def wagon() -> None:
        async with guard:
            await bridge.cross()

    async with asyncio.TaskGroup() as group:
        for _ in range(WAGONS):
            group.create_task(wagon())
    return bridge.most


async def main() -> None:
    print(
        f"{WAGONS} wagons, a semaphore of {BEARS}: {await convoy(asyncio.Semaphore(BEARS))} at once"
    )

    # One release too many, say in a `finally` whose `acquire` never came to pass, is another wagon
    # for all time. Nobody is told.
    guard = asyncio.Semaphore(BEARS)
    guard.release()
    print(f"after one release too many: {await convoy(guard)} at once")

    # A bounded semaphore knows how many there can be, and complains at the place of the mistake.
    bounded = asyncio.BoundedSemaphore(BEARS)
    try:
        bounded.release()
    except ValueError as error:
        print(f"a bounded one, released too often: ValueError: {error}")
    print(f"it is as it was: {await convoy(bounded)} at once")
