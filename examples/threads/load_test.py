"""Many requests to one URL, so many at a time. Knows of no window."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector


@dataclass
class Tally:
    """How far a test has come. Written by the loop's thread alone; others may look at any time."""

    planned: int
    #: Seconds that each answer took.
    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    started: float = field(default_factory=time.perf_counter)
    #: Seconds that the test took; None as long as it goes on.
    took: float | None = None

    @property
    def done(self) -> int:
        return len(self.seconds) + self.failed

    @property
    def rate(self) -> float:
        """Answers a second."""
        elapsed = self.took or time.perf_counter() - self.started
        return len(self.seconds) / elapsed


async def load(url: str, connections: int, tally: Tally) -> None:
    """Requests `url` as often as planned. One that fails counts, and does not end the test."""
    try:
        async with ClientSession(
            connector=TCPConnector(limit=connections), timeout=ClientTimeout(total=30)
        ) as session:
            numbers = iter(range(tally.planned))
            async with asyncio.TaskGroup() as group:
                for _ in range(connections):
                    group.create_task(send(session, url, numbers, tally))
    finally:
        tally.took = time.perf_counter() - tally.started


async def send(session: ClientSession, url: str, numbers: Iterator[int], tally: Tally) -> None:
    for _ in numbers:
        start = time.perf_counter()
        try:
            async with session.get(url) as response:
                response.raise_for_status()
                await response.read()
        except (ClientError, TimeoutError, ValueError):
            # ValueError: what was typed is no URL.
            tally.failed += 1
        else:
            tally.seconds.append(time.perf_counter() - start)
