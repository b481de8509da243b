"""Last in, first out: the same walk through a tree by a queue and by a stack.

Workers that put in what they find make a queue walk level by level, with a whole level waiting. A
`LifoQueue` walks to the bottom first, and little waits. Nothing else in the program changes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator


def children(node: str, width: int, depth: int) -> Iterator[str]:
    """The nodes below one. Its name is the way to it: "0.2.1"."""
    if node.count(".") < depth:
        yield from (f"{node}.{n}" for n in range(width))


async def walk(to_visit: asyncio.Queue[str], width: int, depth: int) -> tuple[list[str], int]:
    """All nodes in the order of their visit, and how many waited at most."""
    visited: list[str] = []
    waiting = 0

    async def worker() -> None:
        nonlocal waiting
        while True:
            node = await to_visit.get()
            visited.append(node)
            for child in children(node, width, depth):
                to_visit.put_nowait(child)
            waiting = max(waiting, to_visit.qsize())
            to_visit.task_done()

    to_visit.put_nowait("0")
    task = asyncio.create_task(worker())
    await to_visit.join()
    task.cancel()
    await asyncio.wait([task])
    return visited, waiting


async def run(width: int, depth: int) -> None:
    queues: dict[str, asyncio.Queue[str]] = {
        "first in, first out": asyncio.Queue(),
        "last in, first out": asyncio.LifoQueue(),
    }
    for name, queue in queues.items():
        start = time.perf_counter()
        visited, waiting = await walk(queue, width, depth)
        took = time.perf_counter() - start
        print(
            f"lifo: {name}: {len(visited)} nodes, up to {waiting} waiting,"
            f" {1e3 * took:.0f} ms; begins {', '.join(visited[:5])}"
        )
