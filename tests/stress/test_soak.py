"""The same things again and again: memory and objects do not grow."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from tests import loops

from .conftest import Load, resident_kib

Loop = asyncio.AbstractEventLoop
LOCALHOST = "127.0.0.1"


def assert_no_growth(work: Callable[[], None], rounds: int, allowed_kib: int = 2048) -> str:
    """Runs `work` until memory has settled, then `rounds` times more, and compares.

    What is allowed is for what the allocators do, which may also take a step up once: what leaks
    grows each time, so it has three times to show that it does not.
    """
    for _ in range(rounds):
        work()
    for _ in range(3):
        gc.collect()
        # Counting makes objects too (the caches of Mapping's isinstance), so it comes before.
        kinds = Counter(type(thing).__name__ for thing in gc.get_objects())
        objects, memory = len(gc.get_objects()), resident_kib()
        for _ in range(rounds):
            work()
        gc.collect()
        grown, grown_kib = len(gc.get_objects()) - objects, resident_kib() - memory
        more = Counter(type(thing).__name__ for thing in gc.get_objects())
        more.subtract(kinds)
        assert grown < 200, more.most_common(5)
        if grown_kib < allowed_kib:
            return f"{2 * rounds} times; in the second half {grown} objects, {grown_kib} KiB more"
    raise AssertionError(f"{grown_kib} KiB more each {rounds} times")


@pytest.mark.filterwarnings("ignore:unclosed")
def test_loops_made_run_and_closed(
    new_loop: loops.Factory, descriptors: None, load: Load, figures: Callable[[str], None]
) -> None:
    """With something of each kind left over: a timer, a task, a connection, a generator."""

    async def count() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1000, print)
        asyncio.create_task(asyncio.sleep(1000))  # noqa: RUF006
        one, two = socket.socketpair()
        with two:
            await loop.create_connection(asyncio.Protocol, sock=one)
        async for _ in count():
            break
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.0001))

    def work() -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())

    figures(assert_no_growth(work, load(200, 5_000)))


def test_connections(loop: Loop, load: Load, figures: Callable[[str], None]) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(10_000):
            writer.write(data)
        writer.close()

    async def ask(address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(bytes(5000))
        await reader.readexactly(5000)
        writer.close()
        await writer.wait_closed()

    server = loop.run_until_complete(asyncio.start_server(echo, LOCALHOST, 0))
    address = server.sockets[0].getsockname()

    async def main() -> None:
        await asyncio.gather(*(ask(address) for _ in range(10)))

    grown = assert_no_growth(lambda: loop.run_until_complete(main()), load(100, 5_000))
    figures(f"10 connections, {grown}")
    server.close()
    loop.run_until_complete(server.wait_closed())


def test_timers_that_are_cancelled(loop: Loop) -> None:
    def work() -> None:
        for handle in [loop.call_later(1000 + n, int) for n in range(1000)]:
            handle.cancel()
        loop.run_until_complete(asyncio.sleep(0))

    assert_no_growth(work, 100)


def test_callbacks_and_tasks(loop: Loop) -> None:
    async def main() -> None:
        await asyncio.gather(*(asyncio.sleep(0, n) for n in range(100)))

    def work() -> None:
        for _ in range(500):
            loop.call_soon(int)
            loop.call_soon_threadsafe(int)
        loop.run_until_complete(main())

    assert_no_growth(work, 100)


def test_reference_counts_of_shared_objects_are_stable(loop: Loop) -> None:
    """None, the empty tuple and what callbacks are called with come out even."""
    marker = object()

    def work() -> None:
        loop.call_soon(lambda *args: None, marker, None, ())
        loop.call_later(0, lambda *args: None, marker)
        handle = loop.call_later(100, print, marker)
        handle.cancel()
        loop.run_until_complete(asyncio.sleep(0.0001, marker))

    for _ in range(50):
        work()
    before = sys.getrefcount(marker)
    for _ in range(200):
        work()
    assert sys.getrefcount(marker) == before
