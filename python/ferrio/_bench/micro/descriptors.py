"""Sockets, streams and watched descriptors, both ends in one loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

from .operation import Bench, Run, operation

PAYLOAD = b"x" * 64


@contextlib.contextmanager
def socketpair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        yield one, other


@operation("64 B there and back by sock_sendall and sock_recv, over a socketpair", per_run=10)
def sock_ping_pong_socketpair(bench: Bench) -> Run:
    loop = bench.loop

    async def main(one: socket.socket, other: socket.socket, times: int) -> None:
        async def answer() -> None:
            for _ in range(times * 10):
                await loop.sock_sendall(other, await loop.sock_recv(other, 1024))

        task = asyncio.create_task(answer())
        for _ in range(times * 10):
            await loop.sock_sendall(one, PAYLOAD)
            await loop.sock_recv(one, 1024)
        await task

    with socketpair() as (one, other):
        yield lambda times: bench.complete(main(one, other, times))


LINE = b"x" * 63 + b"\n"


@operation("readline() of 64 B from a StreamReader that has them", per_run=1000)
def stream_readline(bench: Bench) -> Run:
    async def main(times: int) -> None:
        reader = asyncio.StreamReader(loop=bench.loop)
        for _ in range(times):
            reader.feed_data(LINE * 1000)
            for _ in range(1000):
                await reader.readline()

    yield lambda times: bench.complete(main(times))


@operation("read() of 1 KiB that were just fed to a StreamReader", per_run=1000)
def stream_read(bench: Bench) -> Run:
    data = bytes(1024)

    async def main(times: int) -> None:
        reader = asyncio.StreamReader(loop=bench.loop)
        for _ in range(times * 1000):
            reader.feed_data(data)
            await reader.read(65536)

    yield lambda times: bench.complete(main(times))


@operation("drain() of a StreamWriter with nothing to wait for", per_run=1000)
def stream_drain(bench: Bench) -> Run:
    async def main(times: int) -> None:
        for _ in range(times * 1000):
            await writer.drain()

    async def connect(sock: socket.socket) -> asyncio.StreamWriter:
        return (await asyncio.open_unix_connection(sock=sock))[1]

    async def close() -> None:
        writer.close()
        await writer.wait_closed()

    with socketpair() as (one, _):
        writer = bench.loop.run_until_complete(connect(one))
        yield lambda times: bench.complete(main(times))
        bench.complete(close())


@operation("64 B there and back by asyncio's streams, over TCP", per_run=10)
def stream_ping_pong(bench: Bench) -> Run:
    loop = bench.loop

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, times: int) -> None:
        for _ in range(times * 10):
            writer.write(PAYLOAD)
            await writer.drain()
            await reader.readexactly(len(PAYLOAD))

    server = loop.run_until_complete(asyncio.start_server(answer, "127.0.0.1", 0))
    address = server.sockets[0].getsockname()
    reader, writer = loop.run_until_complete(asyncio.open_connection(*address))
    yield lambda times: bench.complete(ask(reader, writer, times))
    writer.close()
    loop.run_until_complete(writer.wait_closed())
    server.close()


@operation("connect, accept, and close on both sides", per_run=10)
def tcp_connect_close(bench: Bench) -> Run:
    loop = bench.loop

    class Peer(asyncio.Protocol):
        def __init__(self) -> None:
            self.lost = loop.create_future()

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set_result(None)

    accepted: asyncio.Queue[Peer] = asyncio.Queue()

    class Accepted(Peer):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.put_nowait(self)

    async def main(times: int) -> None:
        for _ in range(times * 10):
            transport, connected = await loop.create_connection(Peer, *address)
            other = await accepted.get()
            transport.close()
            await connected.lost
            await other.lost

    server = loop.run_until_complete(loop.create_server(Accepted, "127.0.0.1", 0))
    address = server.sockets[0].getsockname()
    yield lambda times: bench.complete(main(times))
    server.close()


@operation("add_reader and remove_reader", per_run=100)
def add_remove_reader(bench: Bench) -> Run:
    loop = bench.loop

    async def main(descriptor: int, times: int) -> None:
        for _ in range(times):
            for _ in range(100):
                loop.add_reader(descriptor, int)
                loop.remove_reader(descriptor)
            await asyncio.sleep(0)

    with socketpair() as (one, _):
        yield lambda times: bench.complete(main(one.fileno(), times))


@operation("a readable descriptor's callback, which makes it readable again", per_run=100)
def reader_wakeup(bench: Bench) -> Run:
    loop = bench.loop

    with socketpair() as (one, other):

        def run(times: int) -> None:
            left = times * 100

            def readable() -> None:
                nonlocal left
                try:
                    one.recv(16)
                except BlockingIOError:
                    # rloop calls now and then for nothing, and programs must bear that.
                    return
                left -= 1
                if left:
                    other.send(b"x")
                else:
                    loop.stop()

            loop.add_reader(one.fileno(), readable)
            other.send(b"x")
            loop.run_forever()
            loop.remove_reader(one.fileno())

        yield run
