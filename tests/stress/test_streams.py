"""Streams of ferrio's classes: nothing is kept of what has passed, and nobody who has gone."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from ferrio import aio

from tests.stress.conftest import Load

Loop = asyncio.AbstractEventLoop
LOCALHOST = "127.0.0.1"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def connection() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    server = await aio.start_server(echo, LOCALHOST, 0)
    reader, writer = await aio.open_connection(*server.sockets[0].getsockname())
    yield reader, writer
    writer.close()
    await writer.wait_closed()
    server.close()


def test_messages_leave_nothing_behind(
    descriptors: None, loop: Loop, no_gc: None, load: Load
) -> None:
    async def main() -> list[int]:
        blocks = []
        async with connection() as (reader, writer):
            for _ in range(3):
                for _ in range(load(2_000, 500_000)):
                    writer.write(b"a line of some length\n" * 2)
                    await reader.readexactly(22)
                    await reader.readline()
                blocks.append(sys.getallocatedblocks())
        return blocks

    first, *others = loop.run_until_complete(main())
    assert max(others) < first + 500


def test_many_small_pieces_take_little_memory(loop: Loop, no_gc: None) -> None:
    reader = aio.StreamReader(loop=loop)
    before = sys.getallocatedblocks()
    for number in range(50_000):
        reader.feed_data(b"%05d" % number)
    # A bytes object for each would be a block for each.
    assert sys.getallocatedblocks() < before + 2000
    data = loop.run_until_complete(reader.readexactly(250_000))
    assert data == b"".join(b"%05d" % number for number in range(50_000))


def test_what_waits_for_a_reader_that_has_gone_is_dropped(loop: Loop, no_gc: None) -> None:
    reader = aio.StreamReader(loop=loop)
    protocol = aio.StreamReaderProtocol(reader, loop=loop)
    protocol.data_received(b"x" * 1000)
    watched = weakref.ref(reader)
    del reader
    assert watched() is None
    protocol.data_received(b"for nobody")
    assert protocol.eof_received()


def test_abandoned_streams_are_collected(descriptors: None, loop: Loop) -> None:
    watched: list[weakref.ref[Any]] = []

    async def main() -> None:
        server = await aio.start_server(echo, LOCALHOST, 0)
        for _ in range(10):
            reader, writer = await aio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"line\n")
            await reader.readline()
            watched.extend(map(weakref.ref, (reader, writer, writer.transport.get_protocol())))
        server.close()

    with pytest.warns(ResourceWarning, match="unclosed <StreamWriter"):
        loop.run_until_complete(main())
    # Closed by their finalizers, for the other end to see.
    loop.run_until_complete(asyncio.sleep(0.1))
    gc.collect()
    assert [one() for one in watched] == [None] * len(watched)


def test_cancelled_reads_leave_nothing_behind(loop: Loop, no_gc: None) -> None:
    reader = aio.StreamReader(loop=loop)

    async def main() -> list[int]:
        blocks = []
        for _ in range(3):
            for method in (reader.readline, reader.read, reader.readuntil) * 500:
                task = loop.create_task(method())
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                del task
            blocks.append(sys.getallocatedblocks())
        return blocks

    first, *others = loop.run_until_complete(main())
    assert max(others) < first + 500
