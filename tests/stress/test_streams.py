"""Streams of ferrio's classes: nothing is kept of what has passed, and nobody who has gone."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from ferrio import aio

from .conftest import Load, resident_kib

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
    descriptors: None, loop: Loop, no_gc: None, load: Load, figures: Callable[[str], None]
) -> None:
    count = load(2_000, 250_000)
    memory = []

    async def main() -> list[int]:
        blocks = []
        async with connection() as (reader, writer):
            for _ in range(3):
                for _ in range(count):
                    writer.write(b"a line of some length\n" * 2)
                    await reader.readexactly(22)
                    await reader.readline()
                blocks.append(sys.getallocatedblocks())
                memory.append(resident_kib())
        return blocks

    first, *others = loop.run_until_complete(main())
    assert max(others) < first + 500
    figures(
        f"{2 * 3 * count:,} lines there and back; in the last two thirds "
        f"{others[-1] - first} blocks, {memory[-1] - memory[0]} KiB more"
    )


def test_connections_leave_nothing_behind(
    descriptors: None, loop: Loop, no_gc: None, load: Load, figures: Callable[[str], None]
) -> None:
    """Streams over socket pairs: ports need a minute before they can be used again."""
    count = load(300, 20_000)
    blocks, memory = [], []

    async def exchange() -> None:
        one, other = socket.socketpair()
        (reader, writer), (far_reader, far_writer) = await asyncio.gather(
            aio.open_connection(sock=one), aio.open_connection(sock=other)
        )
        writer.write(b"there")
        assert await far_reader.readexactly(5) == b"there"
        far_writer.close()
        assert await reader.read() == b""
        writer.close()
        await asyncio.gather(writer.wait_closed(), far_writer.wait_closed())

    async def main() -> None:
        for _ in range(count):
            await exchange()

    for _ in range(4):
        loop.run_until_complete(main())
        gc.collect()
        blocks.append(sys.getallocatedblocks())
        memory.append(resident_kib())
    assert blocks[-1] - blocks[1] < 500, blocks
    figures(
        f"{2 * 4 * count:,} pairs of streams; in the second half {blocks[-1] - blocks[1]} blocks, "
        f"{memory[-1] - memory[1]} KiB more"
    )


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
