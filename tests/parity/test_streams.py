"""asyncio's own streams on the loop's transports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest

from .peers import LOCALHOST
from .trace import Trace
from .twin import twin

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
Handler = Callable[[Reader, Writer], Awaitable[None]]


@asynccontextmanager
async def connection(handler: Handler, **options: Any) -> AsyncIterator[tuple[Reader, Writer]]:
    handled = asyncio.Event()

    async def handle(reader: Reader, writer: Writer) -> None:
        try:
            await handler(reader, writer)
        finally:
            handled.set()

    server = await asyncio.start_server(handle, LOCALHOST, 0, **options)
    address = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(*address, **options)
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()
        # Before 3.12.1, wait_closed() does not wait for connections.
        await handled.wait()
        await server.wait_closed()


async def echo(reader: Reader, writer: Writer) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@twin
async def test_lines(trace: Trace) -> None:
    async with connection(echo) as (reader, writer):
        writer.write(b"one\ntwo\nthree")
        trace("line", await reader.readline())
        trace("line", await reader.readline())
        writer.write_eof()
        trace("last", await reader.readline())
        trace("end", await reader.readline(), reader.at_eof())


@twin
async def test_iteration_over_lines(trace: Trace) -> None:
    async with connection(echo) as (reader, writer):
        writer.writelines([b"one\n", b"two\n", b"unfinished"])
        writer.write_eof()
        async for line in reader:
            trace("line", line)


@twin
async def test_readexactly_and_readuntil(trace: Trace) -> None:
    async with connection(echo) as (reader, writer):
        writer.write(b"12345separator|rest")
        trace("exactly", await reader.readexactly(5))
        trace("until", await reader.readuntil(b"|"))
        writer.write_eof()
        with trace.raises("incomplete"):
            await reader.readexactly(100)
        with trace.raises("incomplete"):
            await reader.readuntil(b"|")


@twin
async def test_a_line_beyond_the_limit(trace: Trace) -> None:
    async with connection(echo, limit=100) as (reader, writer):
        writer.write(b"x" * 500 + b"\nshort\n")
        with trace.raises("readline"):
            await reader.readline()
        trace("next", await reader.readuntil(b"short\n") != b"")


@pytest.mark.parametrize("size", [1, 1000, 65536, 1 << 20, 1 << 23])
@twin
async def test_echo_of_any_size(trace: Trace, size: int) -> None:
    async with connection(echo) as (reader, writer):
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)
        writing = asyncio.create_task(send(writer, data))
        trace("same", await reader.readexactly(len(data)) == data)
        await writing


async def send(writer: Writer, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


@twin
async def test_drain_waits_for_the_peer(trace: Trace) -> None:
    go_on = asyncio.Event()

    async def slow(reader: Reader, writer: Writer) -> None:
        await go_on.wait()
        while await reader.read(1 << 20):
            pass
        writer.close()

    async with connection(slow) as (_, writer):
        writer.write(bytes(1 << 24))
        draining = asyncio.create_task(writer.drain())
        await asyncio.sleep(0.02)
        trace("drained", draining.done())
        go_on.set()
        await draining
        trace("drained", draining.done())


@twin
async def test_drain_after_the_peer_is_gone(trace: Trace) -> None:
    async def hang_up(reader: Reader, writer: Writer) -> None:
        writer.transport.abort()

    async with connection(hang_up) as (reader, writer):
        trace("read", await reader.read())
        await asyncio.sleep(0.01)
        failed = False
        for _ in range(5):
            writer.write(b"x" * 1000)
            try:
                await writer.drain()
            except ConnectionError:
                failed = True
            await asyncio.sleep(0.01)
        trace("drain failed", failed)


@twin
async def test_close_and_wait_closed(trace: Trace) -> None:
    async with connection(echo) as (_, writer):
        trace("closing", writer.is_closing())
        writer.close()
        trace("closing", writer.is_closing())
        await writer.wait_closed()
        trace("closed")


@twin
async def test_the_peer_closes(trace: Trace) -> None:
    async def good_bye(reader: Reader, writer: Writer) -> None:
        writer.write(b"good bye")
        writer.close()
        await writer.wait_closed()
        trace.on("server", "closed")

    async with connection(good_bye) as (reader, writer):
        trace("all", await reader.read(), reader.at_eof())
        writer.close()
        await writer.wait_closed()


@twin
async def test_half_close_by_write_eof(trace: Trace) -> None:
    async def answer_all(reader: Reader, writer: Writer) -> None:
        question = await reader.read()
        writer.write(b"you said " + question)
        writer.close()

    async with connection(answer_all) as (reader, writer):
        trace("can", writer.can_write_eof())
        writer.write(b"hello")
        writer.write_eof()
        trace("answer", await reader.read())


@twin
async def test_extra_info_and_transport(trace: Trace) -> None:
    async with connection(echo) as (_, writer):
        trace("peer", writer.get_extra_info("peername")[0])
        trace("unknown", writer.get_extra_info("unknown", 5))
        trace("transport", isinstance(writer.transport, asyncio.Transport))


@twin
async def test_flow_control_of_the_reader(trace: Trace) -> None:
    async def flood(reader: Reader, writer: Writer) -> None:
        writer.write(bytes(1 << 22))
        await writer.drain()
        writer.close()

    async with connection(flood, limit=1000) as (reader, writer):
        await asyncio.sleep(0.05)
        trace("paused", not writer.transport.is_reading())  # type: ignore[attr-defined]
        count = 0
        while data := await reader.read(65536):
            count += len(data)
        trace("received", count)


@twin
async def test_cancelled_reads_lose_nothing(trace: Trace) -> None:
    async with connection(echo) as (reader, writer):
        for number in range(5):
            waiting = asyncio.create_task(reader.readexactly(3))
            await asyncio.sleep(0)
            waiting.cancel()
            with trace.raises("cancelled"):
                await waiting
            writer.write(b"%03d" % number)
            trace("read", await reader.readexactly(3))


@twin
async def test_two_reads_at_once_are_refused(trace: Trace) -> None:
    async with connection(echo) as (reader, _):
        waiting = asyncio.create_task(reader.readline())
        await asyncio.sleep(0)
        with trace.raises():
            await reader.readline()
        waiting.cancel()


@twin
async def test_many_connections_at_once(trace: Trace) -> None:
    server = await asyncio.start_server(echo, LOCALHOST, 0, backlog=100)
    address = server.sockets[0].getsockname()

    async def ask(number: int) -> bool:
        reader, writer = await asyncio.open_connection(*address)
        question = b"question %d\n" % number
        writer.write(question)
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer == question

    trace("all right", all(await asyncio.gather(*map(ask, range(50)))))
    server.close()
    await server.wait_closed()


@twin
async def test_open_connection_refused(trace: Trace) -> None:
    from .peers import free_port

    port = free_port()
    trace.hide(port, "PORT")
    with trace.raises():
        await asyncio.open_connection(LOCALHOST, port)
