"""Subclasses of the stream classes that override one step, by whichever way: it is called where
asyncio's code calls it, and all else is done as if nothing were overridden."""

from __future__ import annotations

import asyncio
import functools
import inspect
import socket
from collections.abc import Callable
from typing import Any

import pytest

from .trace import Trace
from .twin import twin

READER_METHODS = [
    "_maybe_resume_transport",
    "_wait_for_data",
    "_wakeup_waiter",
    "at_eof",
    "exception",
    "feed_data",
    "feed_eof",
    "read",
    "readexactly",
    "readline",
    "readuntil",
    "set_exception",
    "set_transport",
]
READER_ATTRIBUTES = ["_eof", "_exception", "_limit", "_paused", "_transport", "_waiter"]
PROTOCOL_METHODS = ["_drain_helper", "data_received", "eof_received"]
PROTOCOL_ATTRIBUTES = ["_connection_lost", "_paused"]
WRITER_METHODS = ["close", "drain", "is_closing", "write", "writelines"]


def overriding(trace: Trace, method: Any, name: str) -> Any:
    """What calls the method and says so."""

    @functools.wraps(method)
    def override(*args: Any, **kwargs: Any) -> Any:
        shown = [len(it) if isinstance(it, bytes) else it for it in args[1:]]
        trace(name, *(it if isinstance(it, int | str) else "object" for it in shown))
        return method(*args, **kwargs)

    return override


def by_subclass(trace: Trace, kind: type, name: str) -> tuple[type, Callable[[Any], None]]:
    return type(
        kind.__name__, (kind,), {name: overriding(trace, getattr(kind, name), name)}
    ), nothing


def by_instance(trace: Trace, kind: type, name: str) -> tuple[type, Callable[[Any], None]]:
    def patch(instance: Any) -> None:
        method = getattr(kind, name)
        setattr(instance, name, functools.partial(overriding(trace, method, name), instance))

    return type(kind.__name__, (kind,), {}), patch


def by_class_afterwards(trace: Trace, kind: type, name: str) -> tuple[type, Callable[[Any], None]]:
    def patch(instance: Any) -> None:
        setattr(type(instance), name, overriding(trace, getattr(kind, name), name))

    return type(kind.__name__, (kind,), {}), patch


def nothing(_: Any) -> None:
    pass


WAYS = [by_subclass, by_instance, by_class_afterwards]


def with_attribute(trace: Trace, kind: type, name: str) -> type:
    """A subclass that keeps the attribute itself, and counts who asks for it."""

    def get(self: Any) -> Any:
        trace.on("reads", name)
        return self.__dict__["own " + name]

    def put(self: Any, value: Any) -> None:
        self.__dict__["own " + name] = value

    return type(kind.__name__, (kind,), {name: property(get, put)})


async def connected(
    aio: Any, reader: Any, protocol_kind: Any = None, writer_kind: Any = None
) -> tuple[Any, Any, socket.socket]:
    """A protocol and a writer around the reader, and the socket of the peer."""
    loop = asyncio.get_running_loop()
    ours, peer = socket.socketpair()
    peer.setblocking(False)
    protocol = (protocol_kind or aio.StreamReaderProtocol)(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
    writer = (writer_kind or aio.StreamWriter)(transport, protocol, reader, loop)
    return protocol, writer, peer


async def converse(trace: Trace, reader: Any, writer: Any, peer: socket.socket) -> None:
    """Every way to read, with data that is there and data that comes later."""
    loop = asyncio.get_running_loop()

    async def said(data: bytes) -> None:
        await loop.sock_sendall(peer, data)

    async def later(reading: Any, *data: bytes) -> Any:
        task = loop.create_task(reading)
        for part in data:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await said(part)
            await asyncio.sleep(0.01)
        try:
            trace("gave", await task)
        except Exception as error:
            trace("failed", type(error).__name__, str(error))

    await later(reader.read(4), b"abcdef")
    await later(reader.read(100))
    await later(reader.read(0))
    await later(reader.readexactly(6), b"abc", b"defgh")
    await later(reader.readline(), b"ij\nkl\n")
    await later(reader.__anext__())
    await later(reader.readuntil(b"."), b"m", b"n.")
    await later(reader.readline(), b"x" * 50 + b"\n")
    await later(reader.readuntil(b"\n"), b"y" * 50 + b"\nz")
    trace("drained", await writer.drain())
    writer.write(b"answer")
    writer.writelines([b"1", b"2"])
    trace("answer", await loop.sock_recv(peer, 100))
    task = loop.create_task(reader.read(-1))
    await said(b"rest")
    await asyncio.sleep(0.01)
    peer.shutdown(socket.SHUT_WR)
    trace("rest", await task)
    trace("at eof", reader.at_eof())
    await later(reader.readexactly(2))
    await later(reader.readline())
    reader.set_exception(ValueError("set"))
    await later(reader.read(1))
    try:
        await writer.drain()
    except ValueError as error:
        trace("drain", str(error))
    writer.close()
    await writer.wait_closed()
    peer.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", READER_METHODS)
@twin
async def test_a_method_of_the_reader(trace: Trace, aio: Any, way: Any, name: str) -> None:
    kind, patch = way(trace, aio.StreamReader, name)
    reader = kind(limit=32, loop=asyncio.get_running_loop())
    patch(reader)
    _, writer, peer = await connected(aio, reader)
    await converse(trace, reader, writer, peer)


@pytest.mark.parametrize("name", READER_ATTRIBUTES)
@twin
async def test_an_attribute_of_the_reader(trace: Trace, aio: Any, name: str) -> None:
    kind = with_attribute(trace, aio.StreamReader, name)
    reader = kind(limit=32, loop=asyncio.get_running_loop())
    _, writer, peer = await connected(aio, reader)
    trace("repr", repr(reader).split(" transport=")[0])
    await converse(trace, reader, writer, peer)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROTOCOL_METHODS)
@twin
async def test_a_method_of_the_protocol(trace: Trace, aio: Any, way: Any, name: str) -> None:
    kind, patch = way(trace, aio.StreamReaderProtocol, name)
    reader = aio.StreamReader(limit=32, loop=asyncio.get_running_loop())
    protocol, writer, peer = await connected(aio, reader, kind)
    patch(protocol)
    await converse(trace, reader, writer, peer)


@pytest.mark.parametrize("name", PROTOCOL_ATTRIBUTES)
@twin
async def test_an_attribute_of_the_protocol(trace: Trace, aio: Any, name: str) -> None:
    kind = with_attribute(trace, aio.StreamReaderProtocol, name)
    reader = aio.StreamReader(limit=32, loop=asyncio.get_running_loop())
    _, writer, peer = await connected(aio, reader, kind)
    await converse(trace, reader, writer, peer)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", WRITER_METHODS)
@twin
async def test_a_method_of_the_writer(trace: Trace, aio: Any, way: Any, name: str) -> None:
    kind, patch = way(trace, aio.StreamWriter, name)
    reader = aio.StreamReader(limit=32, loop=asyncio.get_running_loop())
    _, writer, peer = await connected(aio, reader, writer_kind=kind)
    patch(writer)
    await converse(trace, reader, writer, peer)


@pytest.mark.parametrize("name", ["_wait_for_data", "_maybe_resume_transport", "_wakeup_waiter"])
@pytest.mark.parametrize("on_class", [True, False])
@twin
async def test_patched_while_somebody_waits(
    trace: Trace, aio: Any, name: str, on_class: bool
) -> None:
    kind = type("Reader", (aio.StreamReader,), {})
    reader = kind(limit=4, loop=asyncio.get_running_loop())
    task = asyncio.ensure_future(reader.readexactly(30))
    await asyncio.sleep(0)
    override = overriding(trace, getattr(aio.StreamReader, name), name)
    if on_class:
        setattr(kind, name, override)
    else:
        setattr(reader, name, functools.partial(override, reader))
    for _ in range(3):
        reader.feed_data(b"x" * 10)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    trace("gave", await task)
    if on_class:
        delattr(kind, name)
    else:
        delattr(reader, name)
    reader.feed_data(b"x" * 10)
    trace("gave", await reader.read(10))


@twin
async def test_waiting_of_ones_own(trace: Trace, aio: Any) -> None:
    """`_wait_for_data` may do anything, and be cancelled in it."""

    class Reader(aio.StreamReader):  # type: ignore[misc]
        async def _wait_for_data(self, func_name: str) -> None:
            trace("wait", func_name)
            try:
                await asyncio.sleep(0.001)
                self.feed_data(b"ab")
                if len(self._buffer) >= 4:
                    await super()._wait_for_data(func_name)
            except asyncio.CancelledError:
                trace("cancelled")
                raise

    reader = Reader(loop=asyncio.get_running_loop())
    task = asyncio.ensure_future(reader.readexactly(6))
    for _ in range(2):
        await asyncio.sleep(0.05)
        reader.feed_data(b"c")
    trace("gave", await task)
    task = asyncio.ensure_future(reader.readuntil(b"?"))
    await asyncio.sleep(0.05)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        trace("all cancelled", bytes(reader._buffer))
    trace("is coroutine function", inspect.iscoroutinefunction(reader.read))


@pytest.mark.parametrize("name", ["_transport", "_protocol", "_reader"])
@twin
async def test_a_writer_with_a_property(trace: Trace, aio: Any, name: str) -> None:
    got: list[str] = []

    def get(self: Any) -> Any:
        got.append(name)
        return vars(self)[name]

    def put(self: Any, value: Any) -> None:
        trace("set", name)
        vars(self)[name] = value

    kind: Any = type("Writer", (aio.StreamWriter,), {name: property(get, put)})
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with theirs:
        reader = aio.StreamReader()
        protocol = aio.StreamReaderProtocol(reader)
        transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
        writer = kind(transport, protocol, reader, loop)
        for step in (
            lambda: writer.write(b"one"),
            lambda: writer.writelines([b"two"]),
            lambda: writer.can_write_eof(),
            lambda: writer.is_closing(),
            lambda: writer.get_extra_info("none"),
            lambda: writer.transport is transport,
        ):
            trace("step", step(), bool(got))
            got.clear()
        await writer.drain()
        trace("drained", bool(got), "transport=" in repr(writer))
        writer.write_eof()
        writer.close()
        trace("closed")
        await writer.wait_closed()
        trace("end")
        theirs.setblocking(False)
        trace("received", theirs.recv(100))
