"""Priorities, and what becomes of two that are the same.

A priority queue compares what is put into it. Of two tuples with the same first item it compares
the second: if that cannot be compared, `put` raises, and has put it in all the same. If it can, the
order of equals is whatever the comparison says, not who came first. A number in between settles it.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

URGENT, NORMAL, LATER = 0, 1, 2

#: Who comes to the surgery, in this order.
PATIENTS = [
    ("Nadia", NORMAL, {"complaint": "cough"}),
    ("Bruno", NORMAL, {"complaint": "knee"}),
    ("Zoe", URGENT, {"complaint": "chest pain"}),
    ("Anton", LATER, {"complaint": "a form to sign"}),
    ("Carla", NORMAL, {"complaint": "rash"}),
    ("Yusuf", URGENT, {"complaint": "cut hand"}),
]


@dataclass(order=True)
class Visit:
    """Ordered by urgency and then by arrival; what else is known of it is not compared."""

    urgency: int
    arrival: int
    name: str = field(compare=False)
    notes: dict[str, str] = field(compare=False)


async def ties_that_cannot_be_compared() -> None:
    queue: asyncio.PriorityQueue[tuple[int, dict[str, str]]] = asyncio.PriorityQueue()
    await queue.put((NORMAL, {"complaint": "cough"}))
    try:
        await queue.put((NORMAL, {"complaint": "knee"}))
    except TypeError as problem:
        # heapq had appended it before it compared. A queue after such an error is of no use.
        print(f"priorities: TypeError: {problem}; yet the queue holds {queue.qsize()}")


async def ties_in_an_order_nobody_meant() -> None:
    queue: asyncio.PriorityQueue[tuple[int, str]] = asyncio.PriorityQueue()
    for name, urgency, _ in PATIENTS:
        await queue.put((urgency, name))
    names = [(await queue.get())[1] for _ in PATIENTS]
    print(f"priorities: by urgency and name:    {', '.join(names)}")


async def ties_in_the_order_of_arrival() -> None:
    queue: asyncio.PriorityQueue[Visit] = asyncio.PriorityQueue()
    arrivals = itertools.count()
    for name, urgency, notes in PATIENTS:
        await queue.put(Visit(urgency, next(arrivals), name, notes))
    visits = [await queue.get() for _ in PATIENTS]
    print(f"priorities: by urgency and arrival: {', '.join(visit.name for visit in visits)}")


async def run() -> None:
    await ties_that_cannot_be_compared()
    await ties_in_an_order_nobody_meant()
    await ties_in_the_order_of_arrival()
