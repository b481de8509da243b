"""Cancellations at any moment: each is seen once, and what was waited for is as it was."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

from .conftest import Load, resident_kib

Loop = asyncio.AbstractEventLoop
AT_ONCE = 200


class Waits:
    """Ways to wait, each for something that may or may not come."""

    def __init__(self, loop: Loop, rng: random.Random) -> None:
        self.loop = loop
        self.rng = rng
        self.queue: asyncio.Queue[int] = asyncio.Queue()
        self.lock = asyncio.Lock()
        self.semaphore = asyncio.Semaphore(3)
        self.event = asyncio.Event()
        self.condition = asyncio.Condition()
        self.put = self.got = 0
        self.holding = 0
        self.pairs = [socket.socketpair() for _ in range(4)]
        for pair in self.pairs:
            for end in pair:
                end.setblocking(False)

    async def sleep(self) -> None:
        await asyncio.sleep(self.rng.choice([0, 0.0001, 1000]))

    async def wait_for(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(1000), self.rng.choice([0, 0.0001, 1000]))

    async def timeout(self) -> None:
        try:
            async with asyncio.timeout(self.rng.choice([0, 0.0001, 1000])):
                await asyncio.sleep(1000)
        except TimeoutError:
            pass

    async def group(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
            group.create_task(asyncio.sleep(self.rng.choice([0, 1000])))

    async def locked(self) -> None:
        async with self.lock:
            self.holding += 1
            assert self.holding == 1
            try:
                await asyncio.sleep(0)
            finally:
                self.holding -= 1

    async def counted(self) -> None:
        async with self.semaphore:
            await asyncio.sleep(0)

    async def take(self) -> None:
        if self.rng.random() < 0.5:
            self.put += 1
            self.queue.put_nowait(self.put)
        await self.queue.get()
        self.got += 1

    async def hear(self) -> None:
        await self.event.wait()

    async def notified(self) -> None:
        async with self.condition:
            await self.condition.wait()

    async def receive(self) -> None:
        await self.loop.sock_recv(self.rng.choice(self.pairs)[0], 10)

    async def shielded(self) -> None:
        await asyncio.shield(asyncio.sleep(0))

    async def gathered(self) -> None:
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(1000))

    async def elsewhere(self) -> None:
        future: asyncio.Future[None] = self.loop.create_future()
        self.loop.call_soon_threadsafe(lambda: future.done() or future.set_result(None))
        await future

    def kinds(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            *(self.sleep, self.wait_for, self.timeout, self.group, self.locked, self.counted),
            *(self.take, self.hear, self.notified, self.receive, self.shielded, self.gathered),
            self.elsewhere,
        ]

    def close(self) -> None:
        for pair in self.pairs:
            for end in pair:
                end.close()


def test_cancellation_storm(
    loop: Loop, load: Load, reported: list[Any], figures: Callable[[str], None]
) -> None:
    wanted = load(10_000, 1_000_000)
    rng = random.Random(1)
    cancelled = seen = done = 0

    async def observed(what: Callable[[], Awaitable[None]]) -> None:
        nonlocal seen
        try:
            await what()
        except asyncio.CancelledError:
            seen += 1
            raise

    async def main() -> None:
        nonlocal cancelled, done
        waits = Waits(loop, rng)
        kinds = waits.kinds()
        while cancelled + done < wanted:
            tasks = [asyncio.create_task(observed(rng.choice(kinds))) for _ in range(AT_ONCE)]
            for turns in range(4):
                await asyncio.sleep(0)
                for task in tasks[turns::4]:
                    task.cancel()
            await asyncio.wait(tasks)
            ended = sum(task.cancelled() for task in tasks)
            # Those cancelled before their first step never came to see it.
            cancelled += ended
            done += len(tasks) - ended
            for task in tasks:
                if not task.cancelled():
                    assert task.exception() is None
            while not waits.queue.empty():
                waits.queue.get_nowait()
                waits.got += 1
        # All that was waited for works as on the first day.
        assert waits.got == waits.put
        assert waits.holding == 0
        assert not waits.lock.locked()
        for _ in range(3):
            await asyncio.wait_for(waits.semaphore.acquire(), 60)
        waits.queue.put_nowait(0)
        assert await asyncio.wait_for(waits.queue.get(), 60) == 0
        one, two = waits.pairs[0]
        two.send(b"x")
        assert await asyncio.wait_for(loop.sock_recv(one, 10), 60) == b"x"
        waits.close()

    start = time.monotonic()
    loop.run_until_complete(main())
    seconds = time.monotonic() - start
    loop.run_until_complete(asyncio.sleep(0))
    gc.collect()
    assert cancelled == seen
    assert reported == []
    left = [task for task in asyncio.all_tasks(loop) if not task.done()]
    assert left == []
    figures(
        f"{cancelled} cancelled, each seen once; {done} were done before; {seconds:.1f} s, "
        f"{resident_kib() // 1024} MiB resident"
    )


def test_timers_of_cancelled_waits_are_gone(
    loop: Loop, load: Load, figures: Callable[[str], None]
) -> None:
    """A cancelled wait gives its memory back at once, however far its deadline is."""
    count = load(20_000, 1_000_000)

    async def once() -> None:
        task = asyncio.create_task(asyncio.wait_for(asyncio.Event().wait(), 1_000_000))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    async def many(times: int) -> None:
        for _ in range(times):
            await once()

    loop.run_until_complete(many(count // 10))
    gc.collect()
    before = resident_kib()
    loop.run_until_complete(many(count))
    gc.collect()
    grown = resident_kib() - before
    figures(f"{count} waits of 11 days each, cancelled: {grown} KiB more resident")
    # A timer with its handle is some 200 bytes: 4 MiB for the short form, had they stayed.
    assert grown < 2048
