"""`sendfile` and `sock_sendfile`: what is sent, from where, and where the file is afterwards."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from .peers import connected, socket_pair
from .trace import Trace
from .twin import twin

# More than the buffers of two sockets hold.
SIZE = 12_000_000


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(SIZE)


@pytest.fixture
def file(content: bytes) -> Any:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file


async def receive(sock: socket.socket, into: bytearray) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(sock, 1 << 16):
        into += data


@asynccontextmanager
async def sockets() -> AsyncIterator[tuple[socket.socket, bytearray, Any]]:
    """A socket, what its peer has received, and a function that waits for the peer to be done."""
    one, two = socket_pair()
    received = bytearray()
    task = asyncio.create_task(receive(two, received))

    async def finish() -> bytearray:
        one.close()
        await task
        return received

    try:
        yield one, received, finish
    finally:
        task.cancel()
        one.close()
        two.close()


@pytest.mark.parametrize(
    ("offset", "count"),
    [(0, None), (1000, None), (0, 5000), (700_000, 100_000), (SIZE - 10, 100), (SIZE, None)],
)
@pytest.mark.parametrize("plain", [True, False])
@twin
async def test_sock_sendfile(
    trace: Trace, file: Any, content: bytes, offset: int, count: int | None, plain: bool
) -> None:
    source = file if plain else io.BytesIO(content)
    source.seek(0)
    async with sockets() as (sock, _, finish):
        loop = asyncio.get_running_loop()
        sent = await loop.sock_sendfile(sock, source, offset, count)
        trace("sent", sent, "at", source.tell())
        end = None if count is None else offset + count
        trace("same", await finish() == content[offset:end])


@twin
async def test_sock_sendfile_arguments(trace: Trace, file: Any) -> None:
    loop = asyncio.get_running_loop()
    file.seek(0)
    async with sockets() as (sock, _, _):
        for label, args in {
            "offset text": ("0",),
            "offset negative": (-1,),
            "offset float": (1.5,),
            "count text": (0, "1"),
            "count zero": (0, 0),
            "count negative": (0, -1),
            "count float": (0, 1.5),
        }.items():
            with trace.raises(label):
                await loop.sock_sendfile(sock, file, *args)  # type: ignore[arg-type]
        with trace.raises("text file"), open(os.devnull) as text:
            await loop.sock_sendfile(sock, text)  # type: ignore[arg-type]
        with (
            trace.raises("datagrams"),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        ):
            datagrams.setblocking(False)
            await loop.sock_sendfile(datagrams, file)
        with trace.raises("no fallback"):
            await loop.sock_sendfile(sock, io.BytesIO(b"x"), fallback=False)
        with tempfile.TemporaryFile() as empty:
            trace("empty", await loop.sock_sendfile(sock, empty))


@twin
async def test_sock_sendfile_cancelled(trace: Trace, file: Any) -> None:
    loop = asyncio.get_running_loop()
    file.seek(0)
    one, two = socket_pair()
    task = asyncio.create_task(loop.sock_sendfile(one, file, 0, None))
    await asyncio.sleep(0.01)
    task.cancel()
    with trace.raises():
        await task
    # The descriptor is free for others.
    trace("writer", loop.remove_writer(one))
    two.close()
    one.close()


@twin
async def test_sock_sendfile_to_a_peer_that_goes(trace: Trace, file: Any) -> None:
    loop = asyncio.get_running_loop()
    file.seek(0)
    one, two = socket_pair()
    task = asyncio.create_task(loop.sock_sendfile(one, file, 0, None, fallback=False))
    await asyncio.sleep(0.01)
    two.close()
    try:
        await task
    except ConnectionError:
        trace("position", 0 < file.tell() < SIZE)
    one.close()


@pytest.mark.parametrize(
    ("offset", "count"), [(0, None), (1000, None), (0, 5000), (700_000, 100_000), (SIZE, None)]
)
@pytest.mark.parametrize("fallback", [True, False])
@twin
async def test_transport(
    trace: Trace, file: Any, content: bytes, offset: int, count: int | None, fallback: bool
) -> None:
    loop = asyncio.get_running_loop()
    file.seek(0)
    async with connected(trace) as (client, server):
        client.transport.write(b"before")
        sent = await loop.sendfile(client.transport, file, offset, count, fallback=fallback)
        trace("sent", sent, "at", file.tell(), client.transport.is_reading())
        client.transport.write(b"after")
        end = None if count is None else offset + count
        expected = b"before" + content[offset:end] + b"after"
        trace("same", await server.wait_for(len(expected)) == expected)
        server.transport.write(b"answer")
        await client.wait_for(6)
    forget_flow(trace)


def forget_flow(trace: Trace) -> None:
    """Who is paused when is the kernel's affair."""
    for name in ("client flow", "server flow"):
        trace.channels.pop(name, None)


@twin
async def test_transport_and_a_file_without_descriptor(trace: Trace, content: bytes) -> None:
    loop = asyncio.get_running_loop()
    async with connected(trace) as (client, server):
        source = io.BytesIO(content)
        with trace.raises("no fallback"):
            await loop.sendfile(client.transport, source, fallback=False)
        trace("sent", await loop.sendfile(client.transport, source), source.tell())
        trace("same", await server.wait_for(SIZE) == content)
        trace("protocol", client.transport.get_protocol() is client, client.transport.is_reading())
    forget_flow(trace)


@twin
async def test_writing_meanwhile(trace: Trace, file: Any, content: bytes) -> None:
    loop = asyncio.get_running_loop()
    file.seek(0)
    async with connected(trace) as (client, server):
        server.transport.pause_reading()
        task = asyncio.create_task(loop.sendfile(client.transport, file))
        await asyncio.sleep(0.01)
        with trace.raises("write"):
            client.transport.write(b"x")
        with trace.raises("writelines"):
            client.transport.writelines([b"x"])
        trace("done", task.done(), client.transport.is_reading())
        server.transport.resume_reading()
        trace("sent", await task)
        client.transport.write(b"!")
        trace("same", await server.wait_for(SIZE + 1) == content + b"!")
    forget_flow(trace)


@twin
async def test_what_is_received_meanwhile_comes_later(trace: Trace, file: Any) -> None:
    loop = asyncio.get_running_loop()
    file.seek(0)
    async with connected(trace) as (client, server):
        server.transport.pause_reading()
        task = asyncio.create_task(loop.sendfile(client.transport, file))
        await asyncio.sleep(0.01)
        server.transport.write(b"early answer")
        await asyncio.sleep(0.01)
        trace("received", len(client.received))
        server.transport.resume_reading()
        await task
        await client.wait_for(12)
        await server.wait_for(SIZE)
    forget_flow(trace)


@twin
async def test_paused_before_and_after(trace: Trace, file: Any) -> None:
    loop = asyncio.get_running_loop()
    file.seek(0)
    async with connected(trace) as (client, server):
        client.transport.pause_reading()
        await loop.sendfile(client.transport, file)
        trace("reading", client.transport.is_reading())
        await server.wait_for(SIZE)
    forget_flow(trace)


@twin
async def test_peer_that_goes(trace: Trace, file: Any) -> None:
    loop = asyncio.get_running_loop()
    file.seek(0)
    async with connected(trace) as (client, server):
        server.transport.pause_reading()
        task = asyncio.create_task(loop.sendfile(client.transport, file))
        await asyncio.sleep(0.01)
        server.transport.abort()
        with pytest.raises(ConnectionError):
            await task
        trace("position", 0 < file.tell() < SIZE)
    trace.channels.clear()
    trace("over")


@twin
async def test_closed_and_other_transports(trace: Trace, file: Any) -> None:
    loop = asyncio.get_running_loop()
    async with connected(trace) as (client, _):
        client.transport.close()
        with trace.raises("closing"):
            await loop.sendfile(client.transport, file)
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    with trace.raises("datagrams"):
        await loop.sendfile(transport, file)  # type: ignore[arg-type]
    transport.close()
    await asyncio.sleep(0)


@twin
async def test_closed_meanwhile(trace: Trace, file: Any) -> None:
    loop = asyncio.get_running_loop()
    file.seek(0)
    async with connected(trace) as (client, server):
        server.transport.pause_reading()
        task = asyncio.create_task(loop.sendfile(client.transport, file))
        await asyncio.sleep(0.01)
        client.transport.close()
        await client.lost
        server.transport.resume_reading()
        done, _ = await asyncio.wait([task], timeout=0.1)
        if not done:
            # asyncio never hears of it again.
            task.cancel()
            await asyncio.wait([task])
        trace("failed", task.cancelled() or task.exception() is not None)
    forget_flow(trace)
    # asyncio tells a waiter that knows already.
    trace.channels.pop("log", None)
    trace.channels.pop("server", None)


@twin
async def test_cancelled(trace: Trace, file: Any) -> None:
    loop = asyncio.get_running_loop()
    file.seek(0)
    async with connected(trace) as (client, server):
        server.transport.pause_reading()
        task = asyncio.create_task(loop.sendfile(client.transport, file))
        await asyncio.sleep(0.01)
        task.cancel()
        with trace.raises():
            await task
        # The transport is whole again.
        client.transport.write(b"the rest")
        server.transport.resume_reading()
        while not server.received.endswith(b"the rest"):
            await asyncio.sleep(0.001)
        server.transport.write(b"answer")
        await client.wait_for(6)
    forget_flow(trace)
    trace.channels["server"] = [e for e in trace.channels["server"] if not e.startswith("data")]
