"""Classes that inherit from asyncio's and override one method, beside the plain ones."""

from __future__ import annotations

import asyncio
from typing import Any

from .descriptors import socketpair
from .operation import Bench, Run, operation

PAYLOAD = b"x" * 64


@operation("64 B there and back, to a StreamReader with a feed_eof of its own", per_run=100)
def subclass_reader(bench: Bench) -> Run:
    class Reader(asyncio.StreamReader):
        def feed_eof(self) -> None:
            super().feed_eof()

    yield from ping_pong(bench, Reader, asyncio.StreamWriter)


@operation("64 B there and back, to a StreamReader with a feed_data of its own", per_run=100)
def subclass_reader_feed_data(bench: Bench) -> Run:
    class Reader(asyncio.StreamReader):
        def feed_data(self, data: Any) -> None:
            super().feed_data(data)

    yield from ping_pong(bench, Reader, asyncio.StreamWriter)


@operation("64 B there and back, by a StreamWriter with a write of its own", per_run=100)
def subclass_writer(bench: Bench) -> Run:
    class Writer(asyncio.StreamWriter):
        def write(self, data: Any) -> None:
            super().write(data)

    yield from ping_pong(bench, asyncio.StreamReader, Writer)


@operation("64 B there and back, by the plain classes", per_run=100)
def subclass_none(bench: Bench) -> Run:
    yield from ping_pong(bench, asyncio.StreamReader, asyncio.StreamWriter)


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


def ping_pong(
    bench: Bench, reader_class: type[asyncio.StreamReader], writer_class: type[asyncio.StreamWriter]
) -> Run:
    loop = bench.loop

    async def connect(ours: Any, theirs: Any) -> tuple[Any, Any]:
        await loop.connect_accepted_socket(Echo, theirs)
        reader = reader_class(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_unix_connection(lambda: protocol, sock=ours)
        return reader, writer_class(transport, protocol, reader, loop)

    async def main(times: int) -> None:
        for _ in range(times * 100):
            writer.write(PAYLOAD)
            await writer.drain()
            await reader.readexactly(32)
            await reader.readexactly(32)

    async def close() -> None:
        writer.close()
        await writer.wait_closed()

    with socketpair() as (ours, theirs):
        reader, writer = loop.run_until_complete(connect(ours, theirs))
        yield lambda times: bench.complete(main(times))
        bench.complete(close())


@operation("put() into and get() from a Queue with a _put of its own", per_run=1000)
def subclass_queue(bench: Bench) -> Run:
    class Queue(asyncio.Queue[int]):
        def _put(self, item: int) -> None:
            super()._put(item)

    async def main(times: int) -> None:
        queue = Queue(10)
        for number in range(times * 1000):
            await queue.put(number)
            await queue.get()

    yield lambda times: bench.complete(main(times))


@operation("async with a Lock with a release of its own", per_run=1000)
def subclass_lock(bench: Bench) -> Run:
    class Lock(asyncio.Lock):
        def release(self) -> None:
            super().release()

    async def main(times: int) -> None:
        lock = Lock()
        for _ in range(times * 1000):
            async with lock:
                pass

    yield lambda times: bench.complete(main(times))


@operation("waiting for a Future with a set_result of its own", per_run=1000)
def subclass_future(bench: Bench) -> Run:
    class Future(asyncio.Future[None]):
        def set_result(self, result: None) -> None:
            super().set_result(result)

    async def main(times: int) -> None:
        loop = bench.loop
        for _ in range(times * 1000):
            future = Future(loop=loop)
            loop.call_soon(future.set_result, None)
            await future

    yield lambda times: bench.complete(main(times))


@operation("making and waiting for a Task with a cancel of its own", per_run=1000)
def subclass_task(bench: Bench) -> Run:
    class Task(asyncio.Task[None]):
        def cancel(self, msg: Any = None) -> bool:
            return super().cancel(msg)

    async def nothing() -> None:
        pass

    async def main(times: int) -> None:
        loop = bench.loop
        for _ in range(times * 1000):
            await Task(nothing(), loop=loop)

    yield lambda times: bench.complete(main(times))
