"""`connect_read_pipe` and `connect_write_pipe`: what may be connected, what is told of its end."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import fcntl
import gc
import os
import pty
import socket
import sys
import tempfile
import termios
from typing import Any

import pytest

from .peers import verbose
from .trace import Trace
from .twin import Loop, twin

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes of Unix")


class Reader(asyncio.Protocol):
    def __init__(self, trace: Trace, name: str = "reader") -> None:
        self.trace = trace
        self.name = name
        self.received = bytearray()
        self.lost: asyncio.Future[BaseException | None] = asyncio.Future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.trace.on(self.name, "connection_made")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.trace.merge(self.name, "data", len(data))

    def eof_received(self) -> None:
        self.trace.on(self.name, "eof_received", self.transport.is_closing())

    def connection_lost(self, exc: BaseException | None) -> None:
        self.trace.on(self.name, "connection_lost", exc)
        self.lost.set_result(exc)

    async def wait_for(self, count: int) -> None:
        while len(self.received) < count:
            await asyncio.sleep(0.001)


class Writer(asyncio.BaseProtocol):
    def __init__(self, trace: Trace, name: str = "writer") -> None:
        self.trace = trace
        self.name = name
        self.lost: asyncio.Future[BaseException | None] = asyncio.Future()
        self.resumed: asyncio.Future[None] = asyncio.Future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.trace.on(self.name, "connection_made")
        self.transport = transport

    def pause_writing(self) -> None:
        self.trace.on(self.name, "pause_writing")

    def resume_writing(self) -> None:
        self.trace.on(self.name, "resume_writing")
        if not self.resumed.done():
            self.resumed.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.trace.on(self.name, "connection_lost", exc)
        self.lost.set_result(exc)


def pipe() -> tuple[Any, Any]:
    reader, writer = os.pipe()
    return os.fdopen(reader, "rb", 0), os.fdopen(writer, "wb", 0)


async def reading(trace: Trace, file: Any, name: str = "reader") -> Reader:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_read_pipe(lambda: Reader(trace, name), file)
    trace("made", protocol.transport is transport, transport.get_protocol() is protocol)
    return protocol


async def writing(trace: Trace, file: Any, name: str = "writer") -> Writer:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(lambda: Writer(trace, name), file)
    trace("made", protocol.transport is transport, transport.get_protocol() is protocol)
    return protocol


def drain(fd: int) -> int:
    """Reads all there is."""
    count = 0
    os.set_blocking(fd, False)
    while True:
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return count
        if not data:
            return count
        count += len(data)


@twin
async def test_read_until_the_writer_closes(trace: Trace) -> None:
    file, writer = pipe()
    protocol = await reading(trace, file)
    transport = protocol.transport
    trace("info", transport.get_extra_info("pipe") is file, transport.get_extra_info("socket", 7))
    trace("is", isinstance(transport, asyncio.ReadTransport), transport.is_reading())
    writer.write(b"some")
    await protocol.wait_for(4)
    writer.write(b" more")
    writer.close()
    trace("lost", await protocol.lost)
    trace("closed", file.closed, transport.is_closing(), transport.get_protocol())
    transport.close()


@twin
async def test_close_of_a_reader(trace: Trace) -> None:
    file, writer = pipe()
    protocol = await reading(trace, file)
    protocol.transport.close()
    trace("closing", protocol.transport.is_closing(), protocol.transport.is_reading(), file.closed)
    protocol.transport.close()
    await protocol.lost
    trace("closed", file.closed)
    with trace.raises("write"):
        writer.write(b"x")
    writer.close()


@twin
async def test_pause_and_resume(trace: Trace) -> None:
    file, writer = pipe()
    protocol = await reading(trace, file)
    transport = protocol.transport
    transport.pause_reading()
    transport.pause_reading()
    trace("paused", transport.is_reading())
    writer.write(b"later")
    await asyncio.sleep(0.01)
    trace("received", len(protocol.received))
    transport.resume_reading()
    transport.resume_reading()
    await protocol.wait_for(5)
    transport.pause_reading()
    writer.write(b"the end")
    writer.close()
    await asyncio.sleep(0.01)
    trace("received", len(protocol.received))
    transport.resume_reading()
    await protocol.lost
    transport.resume_reading()
    transport.pause_reading()
    trace("after", transport.is_reading())


@twin
async def test_megabytes(trace: Trace) -> None:
    file, other = pipe()
    reader, writer = await reading(trace, file), await writing(trace, other)
    size = 5_000_000
    writer.transport.write(bytes(size))
    writer.transport.write_eof()
    await reader.lost
    await writer.lost
    trace("received", len(reader.received) == size)


@twin
async def test_protocol_that_fails(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    reports: list[str] = []
    loop.set_exception_handler(
        lambda loop, context: reports.append(
            f"{context['message'].split('(')[0].rpartition('.')[2]} {context['exception']!r}"
        )
    )
    file, writer = pipe()
    protocol = await reading(trace, file)

    def fail(data: bytes) -> None:
        trace("data", data)
        raise ValueError("no")

    protocol.data_received = fail  # type: ignore[method-assign]
    writer.write(b"1")
    await asyncio.sleep(0.01)
    trace("open", protocol.transport.is_closing())
    writer.write(b"2")
    await asyncio.sleep(0.01)
    writer.close()
    await protocol.lost
    trace("reports", reports)


@twin
async def test_factory_and_files_that_fail(trace: Trace) -> None:
    loop = asyncio.get_running_loop()

    def fail() -> Any:
        raise ValueError("no protocol")

    file, other = pipe()
    with file, other, tempfile.TemporaryFile() as regular, open(os.devnull, "rb") as closed:
        with trace.raises("factory"):
            await loop.connect_read_pipe(fail, file)
        with trace.raises("factory"):
            await loop.connect_write_pipe(fail, other)
        with trace.raises("regular file"):
            await loop.connect_read_pipe(lambda: Reader(trace), regular)
        with trace.raises("regular file"):
            await loop.connect_write_pipe(lambda: Writer(trace), regular)
        with trace.raises("no file"):
            await loop.connect_read_pipe(lambda: Reader(trace), object())
        closed.close()
        with trace.raises("closed"):
            await loop.connect_read_pipe(lambda: Reader(trace), closed)
        trace("still open", file.closed, other.closed, regular.closed)
    # asyncio's half-made transport trips over itself in its __del__ (3.13).
    gc.collect()
    trace.channels.pop("unraisable", None)


@twin
async def test_write_and_close(trace: Trace) -> None:
    file, other = pipe()
    protocol = await writing(trace, other)
    transport = protocol.transport
    trace("info", transport.get_extra_info("pipe") is other, transport.can_write_eof())
    trace(
        "is",
        isinstance(transport, asyncio.WriteTransport),
        isinstance(transport, asyncio.Transport),
    )
    for data in (b"bytes ", bytearray(b"array "), memoryview(b"view"), b""):
        transport.write(data)
    # At once, not at the end of the turn.
    trace("read", file.read(100))
    transport.writelines([b"a", bytearray(b"b"), memoryview(b"c")])
    trace("read", file.read(100))
    trace("buffer", transport.get_write_buffer_size(), transport.get_write_buffer_limits())
    transport.close()
    transport.close()
    trace("closing", transport.is_closing(), other.closed)
    await protocol.lost
    trace("closed", other.closed, file.read(), transport.get_protocol())
    file.close()


@twin
async def test_write_eof_sends_what_waits(trace: Trace) -> None:
    file, other = pipe()
    protocol = await writing(trace, other)
    transport = protocol.transport
    transport.set_write_buffer_limits(high=1 << 24)
    transport.write(bytes(1_000_000))
    waits = transport.get_write_buffer_size()
    trace("some wait", 0 < waits < 1_000_000)
    transport.write_eof()
    transport.write_eof()
    trace("closing", transport.is_closing(), protocol.lost.done())
    for _ in range(7):
        transport.write(b"too late")
    total = 0
    while not protocol.lost.done():
        total += drain(file.fileno())
        await asyncio.sleep(0)
    trace("total", total + drain(file.fileno()), other.closed)
    file.close()


@twin
async def test_flow_control(trace: Trace) -> None:
    file, other = pipe()
    protocol = await writing(trace, other)
    transport = protocol.transport
    size = fcntl.fcntl(file, fcntl.F_GETPIPE_SZ)
    transport.write(bytes(size))
    trace("fits", transport.get_write_buffer_size())
    transport.write(bytes(65536))
    trace("at high", transport.get_write_buffer_size(), transport._protocol_paused)
    transport.write(b"x")
    trace("above high", transport.get_write_buffer_size(), transport._protocol_paused)
    while not protocol.resumed.done():
        drain(file.fileno())
        await asyncio.sleep(0)
    trace("resumed", transport._protocol_paused)
    transport.set_write_buffer_limits(high=100, low=10)
    trace("limits", transport.get_write_buffer_limits())
    with trace.raises("limits"):
        transport.set_write_buffer_limits(high=1, low=2)
    transport.set_write_buffer_limits(low=5)
    trace("limits", transport.get_write_buffer_limits())
    transport.abort()
    await protocol.lost
    file.close()


@twin
async def test_abort_drops_what_waits(trace: Trace) -> None:
    file, other = pipe()
    protocol = await writing(trace, other)
    protocol.transport.write(bytes(1_000_000))
    protocol.transport.abort()
    trace("buffer", protocol.transport.get_write_buffer_size(), protocol.transport.is_closing())
    await protocol.lost
    trace("got", drain(file.fileno()) < 1_000_000, other.closed)
    file.close()


@twin
async def test_readers_go(trace: Trace) -> None:
    for waiting in (False, True):
        file, other = pipe()
        protocol = await writing(trace, other, f"writer {waiting}")
        if waiting:
            protocol.transport.write(bytes(1_000_000))
        file.close()
        await protocol.lost
        trace("closed", other.closed)
        for _ in range(7):
            protocol.transport.write(b"x")


@twin
async def test_write_error(trace: Trace) -> None:
    file, other = pipe()
    protocol = await writing(trace, other)
    file.close()
    # Before the loop has heard of it.
    protocol.transport.write(b"x")
    for _ in range(7):
        protocol.transport.write(b"y")
    trace("lost", await protocol.lost)


@pytest.mark.parametrize("data", ["text", 3, None, [b"x"]])
@twin
async def test_what_is_no_data(trace: Trace, data: Any) -> None:
    file, other = pipe()
    protocol = await writing(trace, other)
    with trace.raises():
        protocol.transport.write(data)
    protocol.transport.close()
    await protocol.lost
    file.close()


@twin
async def test_sockets(trace: Trace) -> None:
    one, two = socket.socketpair()
    reader, writer = await reading(trace, one), await writing(trace, two)
    writer.transport.write(b"through a socket")
    await reader.wait_for(16)
    reader.transport.close()
    await reader.lost
    await writer.lost


@twin
async def test_a_sockets_other_end_speaks(trace: Trace) -> None:
    # asyncio takes it for the end: who writes to a pipe expects nothing from it.
    one, two = socket.socketpair()
    writer = await writing(trace, two)
    one.send(b"hello")
    await writer.lost
    one.close()


@twin
async def test_terminal(trace: Trace) -> None:
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~(termios.ECHO | termios.ICANON)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    screen = os.fdopen(os.dup(slave), "wb", 0)
    keys = os.fdopen(slave, "rb", 0)
    reader, writer = await reading(trace, keys), await writing(trace, screen)
    writer.transport.write(b"prompt> ")
    trace("shown", os.read(master, 100))
    os.write(master, b"typed")
    await reader.wait_for(5)
    writer.transport.close()
    await writer.lost
    os.close(master)
    await reader.lost


@twin
async def test_terminal_that_is_slow(trace: Trace) -> None:
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    writer = await writing(trace, os.fdopen(slave, "wb", 0))
    writer.transport.set_write_buffer_limits(high=1 << 20)
    writer.transport.write(bytes(200_000))
    trace("some wait", writer.transport.get_write_buffer_size() > 0)
    writer.transport.close()
    total = 0
    os.set_blocking(master, False)
    while not writer.lost.done() or total < 200_000:
        with contextlib.suppress(OSError):
            total += len(os.read(master, 1 << 16))
        await asyncio.sleep(0)
    trace("total", total)
    os.close(master)


@twin
async def test_null_device(trace: Trace) -> None:
    writer = await writing(trace, os.fdopen(os.open(os.devnull, os.O_WRONLY), "wb", 0))
    writer.transport.write(bytes(1_000_000))
    trace("buffer", writer.transport.get_write_buffer_size())
    writer.transport.close()
    await writer.lost


@twin
async def test_fifo_with_a_name(trace: Trace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        name = f"{directory}/fifo"
        os.mkfifo(name)
        reader = await reading(
            trace, os.fdopen(os.open(name, os.O_RDONLY | os.O_NONBLOCK), "rb", 0)
        )
        writer = await writing(trace, os.fdopen(os.open(name, os.O_WRONLY), "wb", 0))
        writer.transport.write(b"named")
        await reader.wait_for(5)
        writer.transport.close()
        await writer.lost
        await reader.lost


@twin
async def test_same_file_twice(trace: Trace) -> None:
    file, other = pipe()
    again = os.fdopen(os.dup(other.fileno()), "wb", 0)
    first, second = await writing(trace, other, "first"), await writing(trace, again, "second")
    first.transport.write(b"one ")
    second.transport.write(b"two")
    trace("read", file.read(100))
    first.transport.close()
    await first.lost
    second.transport.write(b"three")
    trace("read", file.read(100))
    file.close()
    await second.lost


@twin
async def test_context_of_callbacks(trace: Trace) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    file, other = pipe()

    class Seen(Reader):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            trace("made", variable.get())

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            trace("data", variable.get())
            variable.set("inside")

        def connection_lost(self, exc: Any) -> None:
            super().connection_lost(exc)
            trace("lost", variable.get())

    variable.set("connecting")
    _, protocol = await asyncio.get_running_loop().connect_read_pipe(lambda: Seen(trace), file)
    variable.set("later")
    other.write(b"x")
    await protocol.wait_for(1)
    other.write(b"x")
    await protocol.wait_for(2)
    other.close()
    await protocol.lost


@twin
def test_unclosed_transports_warn(trace: Trace, loop: Loop) -> None:
    file, other = pipe()
    trace.hide(file.fileno(), "FD")
    trace.hide(other.fileno(), "FD")

    async def body() -> None:
        await loop.connect_read_pipe(lambda: Reader(trace), file)
        await loop.connect_write_pipe(lambda: Writer(trace), other)

    loop.run_until_complete(body())
    loop.close()


@twin
def test_debug_log(trace: Trace, loop: Loop) -> None:
    loop.set_debug(True)

    async def body() -> None:
        file, other = pipe()
        trace.hide(file.fileno(), "FD")
        trace.hide(other.fileno(), "FD")
        reader, writer = await reading(trace, file), await writing(trace, other)
        reader.transport.pause_reading()
        reader.transport.resume_reading()
        writer.transport.write(b"x")
        await reader.wait_for(1)
        writer.transport.close()
        await reader.lost
        file, other = pipe()
        writer = await writing(trace, other)
        file.close()
        await writer.lost
        file, other = pipe()
        writer = await writing(trace, other)
        file.close()
        writer.transport.write(b"x")
        await writer.lost

    with verbose():
        loop.run_until_complete(body())


@twin
async def test_streams_over_pipes(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    file, other = pipe()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, other)
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    for number in range(100):
        writer.write(b"%d\n" % number)
        await writer.drain()
    writer.close()
    lines = [line async for line in reader]
    trace("lines", len(lines), lines[:2])


@twin
async def test_protocols_that_programs_set(trace: Trace) -> None:
    file, other = pipe()
    reader, writer = await reading(trace, file), await writing(trace, other)
    for end in (reader, writer):
        trace("protocol", end.transport._protocol is end)
        end.transport._protocol = None
        trace("none", end.transport.get_protocol())
        end.transport._protocol = end
        trace("back", end.transport.get_protocol() is end)
    writer.transport.write(b"x")
    writer.transport.close()
    await reader.lost
