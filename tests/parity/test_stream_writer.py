"""`StreamWriter` and `StreamReaderProtocol`: drain, close, TLS, and what becomes of errors."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests import loops
from tests.certificates import Certificates

from .peers import LOCALHOST
from .trace import Trace
from .twin import namespace, twin


class Written:
    """As much of a transport as a writer knows; answers what it is told to."""

    def __init__(self, note: Callable[..., None]) -> None:
        self.note = note
        self.is_closed = False

    def __repr__(self) -> str:
        return "<written>"

    def write(self, data: Any) -> None:
        self.note("write", data)

    def writelines(self, data: Any) -> None:
        self.note("writelines", list(data))

    def write_eof(self) -> str:
        return "eof written"

    def can_write_eof(self) -> str:
        return "perhaps"

    def close(self) -> str:
        self.is_closed = True
        return "closed"

    def is_closing(self) -> bool:
        return self.is_closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (name, default)

    def abort(self) -> None:
        self.note("abort")

    def pause_reading(self) -> None:
        self.note("pause_reading")

    def resume_reading(self) -> None:
        self.note("resume_reading")


def make(trace: Trace, aio: Any) -> tuple[Any, Any, Any, Written]:
    loop = asyncio.get_running_loop()
    transport = Written(trace)
    reader = aio.StreamReader(loop=loop)
    protocol = aio.StreamReaderProtocol(reader, loop=loop)
    protocol.connection_made(transport)
    return reader, aio.StreamWriter(transport, protocol, reader, loop), protocol, transport


@twin
async def test_every_method_is_the_transports(trace: Trace, aio: Any) -> None:
    _, writer, protocol, transport = make(trace, aio)
    trace("writer", repr(writer), writer.transport is transport, writer._transport is transport)
    trace("parts", writer._protocol is protocol, writer._complete_fut.done())
    trace.call(writer.write, b"bytes")
    trace.call(writer.write, "text")
    trace.call(writer.writelines, [b"one", b"two"])
    for method in (writer.write_eof, writer.can_write_eof, writer.is_closing, writer.close):
        trace.call(method)
    trace.call(writer.get_extra_info, "name")
    trace.call(writer.get_extra_info, "name", default=5)
    for arguments in ((), (1, 2, 3)):
        trace("refused", refuses(writer.write, *arguments), refuses(writer.drain, *arguments))


def refuses(function: Callable[..., Any], *arguments: Any) -> bool:
    try:
        function(*arguments)
    except TypeError:
        return True
    return False


@twin
async def test_a_writer_needs_a_reader_or_none(trace: Trace, aio: Any) -> None:
    _, _writer, protocol, transport = make(trace, aio)
    loop = asyncio.get_running_loop()
    transport.is_closed = True
    with trace.raises("refused"):
        aio.StreamWriter(transport, protocol, object(), loop)
    other = aio.StreamWriter(transport, protocol, None, loop)
    trace("writer", repr(other))
    await other.drain()
    trace(
        "a reader of asyncio's own",
        aio.StreamWriter(transport, protocol, asyncio.StreamReader(), loop),
    )


@twin
async def test_drain(trace: Trace, aio: Any) -> None:
    reader, writer, protocol, _transport = make(trace, aio)
    trace("nothing pends", await writer.drain())
    protocol.pause_writing()
    with trace.raises("twice"):
        protocol.pause_writing()
    waiting = [asyncio.ensure_future(writer.drain()) for _ in range(3)]
    await asyncio.sleep(0)
    trace("waiters", len(protocol._drain_waiters), protocol._paused)
    waiting[1].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    trace("waiters", [one.done() for one in waiting], len(protocol._drain_waiters))
    protocol.resume_writing()
    with trace.raises("twice"):
        protocol.resume_writing()
    trace("drained", await asyncio.gather(*waiting, return_exceptions=True))
    reader.set_exception(ValueError("of the reader"))
    with trace.raises("reader"):
        await writer.drain()


@pytest.mark.parametrize("error", [None, ConnectionAbortedError("gone")])
@twin
async def test_drain_when_the_connection_is_lost(trace: Trace, aio: Any, error: Any) -> None:
    reader, writer, protocol, transport = make(trace, aio)
    protocol.pause_writing()
    waiting = asyncio.ensure_future(writer.drain())
    closed = asyncio.ensure_future(writer.wait_closed())
    await asyncio.sleep(0)
    protocol.connection_lost(error)
    for result in await asyncio.gather(waiting, closed, return_exceptions=True):
        trace("waited", result)
    trace("reader", repr(reader), protocol._connection_lost)
    for _ in range(2):
        with trace.raises("drain"):
            await writer.drain()
        with trace.raises("closed"):
            await writer.wait_closed()
    transport.close()


@twin
async def test_drain_of_a_closing_writer_yields_once(trace: Trace, aio: Any) -> None:
    _, writer, _, transport = make(trace, aio)
    transport.is_closed = True
    coroutine = writer.drain()
    trace("yields", coroutine.send(None))
    with trace.raises("ends"):
        coroutine.send(None)
    coroutine = writer.drain()
    coroutine.send(None)
    with trace.raises("thrown"):
        coroutine.throw(ValueError("thrown in"))
    writer.drain()


@twin
async def test_a_protocol_that_drains_its_own_way(trace: Trace, aio: Any) -> None:
    loop = asyncio.get_running_loop()

    class Protocol(aio.StreamReaderProtocol):  # type: ignore[misc]
        async def _drain_helper(self) -> None:
            trace("helper")
            await super()._drain_helper()

        def _get_close_waiter(self, stream: Any) -> Any:
            trace("close waiter", stream is writer)
            return super()._get_close_waiter(stream)

    transport = Written(trace)
    protocol = Protocol(None, loop=loop)
    protocol.connection_made(transport)
    writer = aio.StreamWriter(transport, protocol, None, loop)
    await writer.drain()
    protocol.pause_writing()
    waiting = asyncio.ensure_future(writer.drain())
    await asyncio.sleep(0)
    protocol.resume_writing()
    await waiting
    protocol.connection_lost(None)
    await writer.wait_closed()
    trace("eof", protocol.eof_received(), protocol.data_received(b"for nobody"))
    transport.close()


@twin
async def test_protocols_attributes(trace: Trace, aio: Any) -> None:
    loop = asyncio.get_running_loop()
    reader = aio.StreamReader(loop=loop)
    protocol = aio.StreamReaderProtocol(reader, lambda reader, writer: None, loop=loop)
    names = (
        "_paused",
        "_connection_lost",
        "_over_ssl",
        "_reject_connection",
        "_task",
        "_transport",
    )
    for name in names:
        trace(name, getattr(protocol, name))
    trace("reader", protocol._stream_reader is reader, protocol._strong_reader is reader)
    transport = Written(trace)
    protocol._reject_connection = True
    loop.set_exception_handler(trace.exception_handler)
    protocol.connection_made(transport)
    protocol._reject_connection = False
    protocol.connection_made(transport)
    trace("reader", protocol._stream_reader is reader, protocol._strong_reader)
    trace("over TLS", protocol._over_ssl)
    del reader
    gc.collect()
    trace("dropped", protocol._stream_reader, protocol.data_received(b"x"), protocol.eof_received())
    transport.close()


# On sockets.

Handler = Callable[[Any, Any], Awaitable[None] | None]


@asynccontextmanager
async def connected(
    aio: Any, handler: Handler, ssl: Any = (None, None), **options: Any
) -> AsyncIterator[tuple[Any, Any]]:
    server = await aio.start_server(handler, LOCALHOST, 0, ssl=ssl[1], **options)
    address = server.sockets[0].getsockname()
    tls = {"ssl": ssl[0], "server_hostname": "localhost"} if ssl[0] else {}
    reader, writer = await aio.open_connection(*address, **tls, **options)
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()
        # Of both ends.
        for _ in range(10):
            await asyncio.sleep(0)


async def echo(reader: Any, writer: Any) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@twin
async def test_classes_of_a_connection(trace: Trace, aio: Any) -> None:
    async def handler(reader: Any, writer: Any) -> None:
        trace.on("server", type(reader) is aio.StreamReader, type(writer) is aio.StreamWriter)
        protocol = writer.transport.get_protocol()
        trace.on("server", type(protocol) is aio.StreamReaderProtocol)
        await echo(reader, writer)

    async with connected(aio, handler) as (reader, writer):
        trace("client", type(reader) is aio.StreamReader, type(writer) is aio.StreamWriter)
        writer.write(b"there and back\n")
        trace("line", await reader.readline())
        writer.write_eof()
        trace("end", await reader.read(), reader.at_eof())


@pytest.mark.parametrize("size", [1, 1000, 65536, 1 << 22])
@pytest.mark.parametrize("tls", [False, True])
@twin
async def test_echo_of_any_size(
    trace: Trace, aio: Any, size: int, tls: bool, certificates: Certificates
) -> None:
    contexts = (certificates.client(), certificates.server()) if tls else (None, None)
    async with connected(aio, echo, contexts) as (reader, writer):
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)

        async def send() -> None:
            writer.write(data)
            await writer.drain()

        sending = asyncio.ensure_future(send())
        trace("same", await reader.readexactly(size) == data)
        await sending


@twin
async def test_a_hook_on_the_way_is_called(trace: Trace, aio: Any) -> None:
    def hook(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def hooked(data: Any) -> None:
            trace.merge(name, "bytes", len(data))
            original(data)

        setattr(owner, name, hooked)

    async with connected(aio, echo) as (reader, writer):
        for round_, owner, name in (
            (0, None, ""),
            (1, writer.transport.get_protocol(), "data_received"),
            (2, reader, "feed_data"),
        ):
            if owner is not None:
                hook(owner, name)
            writer.write(b"round %d\n" % round_)
            trace("line", await reader.readline())


@pytest.mark.parametrize("kind", ["function", "coroutine", "plain"])
@twin
async def test_a_handler_that_fails(trace: Trace, aio: Any, kind: str) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(trace.exception_handler)

    # Who has a writer that nobody closes, is warned when it is collected: that is another test.
    kept = []

    def function(reader: Any, writer: Any) -> None:
        kept.append(writer)
        raise ValueError("of a function")

    async def coroutine(reader: Any, writer: Any) -> None:
        await reader.readline()
        raise ValueError("of a coroutine")

    def plain(reader: Any, writer: Any) -> None:
        kept.append(writer)
        writer.write(b"good bye\n")
        writer.close()

    handler = {"function": function, "coroutine": coroutine, "plain": plain}[kind]
    async with connected(aio, handler) as (reader, writer):
        # Closed with something unread, a connection is reset, and what was sent may be lost.
        if kind != "plain":
            writer.write(b"line\n")
        if kind != "function":
            trace("read", await reader.read())
        await asyncio.sleep(0.05)
        for writer in kept:
            trace("closing", writer.is_closing())
            writer.close()


@twin
def test_a_handler_that_ends_the_run(trace: Trace, loop: Any, aio: Any) -> None:
    class End(BaseException):
        pass

    def handler(reader: Any, writer: Any) -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        server = await aio.start_server(handler, LOCALHOST, 0)
        _, writer = await aio.open_connection(*server.sockets[0].getsockname())
        writer.close()
        server.close()
        await asyncio.sleep(0.2)

    task = loop.create_task(main())
    with trace.raises("ended"):
        loop.run_until_complete(task)
    with trace.raises("then"):
        loop.run_until_complete(task)
    loop.run_until_complete(asyncio.sleep(0))


@twin
async def test_a_cancelled_handler(trace: Trace, aio: Any) -> None:
    tasks: list[Any] = []

    async def handler(reader: Any, writer: Any) -> None:
        tasks.append(asyncio.current_task())
        await reader.read()

    async with connected(aio, handler) as (_reader, writer):
        writer.write(b"x")
        while not tasks:
            await asyncio.sleep(0)
        tasks[0].cancel()
        done, _ = await asyncio.wait(tasks)
        trace("cancelled", [task.cancelled() for task in done])
        await asyncio.sleep(0.02)


@twin
def test_an_abandoned_writer(trace: Trace, loop: Any, aio: Any) -> None:
    async def main() -> Any:
        server = await aio.start_server(echo, LOCALHOST, 0)
        _, writer = await aio.open_connection(*server.sockets[0].getsockname())
        kept = writer
        _, writer = await aio.open_connection(*server.sockets[0].getsockname())
        # Dropped, and closed by its finalizer.
        del writer, _
        gc.collect()
        await asyncio.sleep(0.01)
        server.close()
        return kept

    writer = loop.run_until_complete(main())
    loop.run_until_complete(asyncio.sleep(0.01))
    writer.close()
    loop.run_until_complete(asyncio.sleep(0.01))


@twin
async def test_an_abandoned_reader(trace: Trace, aio: Any) -> None:
    async with connected(aio, echo) as (reader, writer):
        gone = weakref.ref(reader)
        writer._reader = None
        del reader
        gc.collect()
        trace("the generator's own is left", gone() is not None)
        writer.write(b"for nobody")
        await writer.drain()


@twin
async def test_start_tls_of_both_writers(
    trace: Trace, aio: Any, certificates: Certificates
) -> None:
    async def handler(reader: Any, writer: Any) -> None:
        trace.on("server", await reader.readline())
        writer.write(b"go ahead\n")
        await writer.start_tls(certificates.server())
        trace.on("server", writer.get_extra_info("sslcontext") is not None)
        await echo(reader, writer)

    async with connected(aio, handler) as (reader, writer):
        writer.write(b"may I\n")
        trace("plain", await reader.readline())
        before = writer.transport
        await writer.start_tls(certificates.client(), server_hostname="localhost")
        trace("new", writer.transport is not before)
        trace("over TLS", writer._protocol._over_ssl)
        writer.write(b"secret\n")
        trace("line", await reader.readline())
        big = bytes(1 << 20)
        sending = asyncio.ensure_future(send_all(writer, big))
        trace("much", await reader.readexactly(len(big)) == big)
        await sending


async def send_all(writer: Any, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


@twin
async def test_unix_sockets(trace: Trace, aio: Any, tmp_path: Any) -> None:
    path = str(tmp_path / "socket")
    server = await aio.start_unix_server(echo, path)
    reader, writer = await aio.open_unix_connection(path)
    trace("classes", type(reader) is aio.StreamReader, type(writer) is aio.StreamWriter)
    writer.write(b"over a file\n")
    trace("line", await reader.readline())
    writer.close()
    await writer.wait_closed()
    server.close()


@twin
def test_functions_look_like_asyncios(trace: Trace, loop: Any, aio: Any) -> None:
    for name in ("open_connection", "start_server", "open_unix_connection", "start_unix_server"):
        function = getattr(aio, name)
        trace(name, inspect.iscoroutinefunction(function), str(inspect.signature(function)))
        trace(name, function.__module__, function.__qualname__, function.__doc__)
    trace("start_tls", str(inspect.signature(aio.StreamWriter.start_tls)))


def test_writers_and_cycles_are_collected() -> None:
    aio = namespace(loops.DEFAULT)
    loop = loops.factory_named(loops.DEFAULT)()

    async def main() -> list[Any]:
        async with connected(aio, echo) as (reader, writer):
            writer.write(b"x\n")
            await reader.readline()
            protocol = writer.transport.get_protocol()
            return [weakref.ref(one) for one in (reader, writer, protocol)]

    gc.collect()
    gc.disable()
    try:
        references = loop.run_until_complete(main())
        loop.run_until_complete(asyncio.sleep(0.01))
        assert [reference() for reference in references] == [None, None, None]
        reader = aio.StreamReader(loop=loop)
        protocol = aio.StreamReaderProtocol(reader, loop=loop)
        writer = aio.StreamWriter(Written(lambda *event: None), protocol, reader, loop)
        writer.close()
        writer.itself = protocol.writer = writer
        cycle = weakref.ref(writer)
        del writer, protocol, reader
    finally:
        gc.enable()
    gc.collect()
    assert cycle() is None
    loop.close()
