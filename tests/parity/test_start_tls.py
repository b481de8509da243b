"""`start_tls`: TLS begun on a connection that is in use, on other transports, on TLS itself."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from tests.certificates import Certificates

from . import peers
from .peers import BufferedRecorder, Recorder, socket_pair
from .test_tls import pattern
from .trace import Trace
from .twin import twin

MIB = 1 << 20


async def upgrade(
    client: Any, server: Any, certificates: Certificates, **options: Any
) -> tuple[Any, Any]:
    """TLS on both ends; their new transports."""
    loop = asyncio.get_running_loop()
    new = await asyncio.gather(
        loop.start_tls(
            client.transport, client, certificates.client(), server_hostname="localhost", **options
        ),
        loop.start_tls(
            server.transport, server, certificates.server(), server_side=True, **options
        ),
    )
    client.transport, server.transport = new
    return new


@pytest.mark.parametrize("kind", [Recorder, BufferedRecorder])
@twin
async def test_both_ends_begin_tls(trace: Trace, certificates: Certificates, kind: Any) -> None:
    async with peers.connected(trace, kind, kind) as (client, server):
        client.transport.write(b"plain")
        await server.wait_for(5)
        old = client.transport
        await upgrade(client, server, certificates)
        trace("new", client.transport is not old, client.transport.get_extra_info("cipher"))
        trace("below", client.transport._ssl_protocol._transport is old)
        trace("protocol of the old one", old.get_protocol() is client.transport._ssl_protocol)
        for end in (client, server):
            end.note(end.transport.get_protocol() is end, end.transport.get_extra_info("peername"))
        data = pattern(300_000)
        client.transport.write(data)
        trace("there", (await server.wait_for(5 + len(data)))[5:] == data)
        server.transport.write(data)
        trace("back", await client.wait_for(len(data)) == data)
        client.transport.close()
        await asyncio.gather(client.lost, server.lost)


@twin
async def test_a_handshake_that_fails(trace: Trace, certificates: Certificates) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: trace.exception_handler(loop, context))
    async with peers.connected(trace) as (client, server):
        results = await asyncio.gather(
            loop.start_tls(
                client.transport, client, certificates.client(), server_hostname="elsewhere"
            ),
            loop.start_tls(server.transport, server, certificates.server(), server_side=True),
            return_exceptions=True,
        )
        trace("results", *results)
        await asyncio.gather(client.lost, server.lost)


@twin
async def test_a_handshake_that_takes_too_long(trace: Trace, certificates: Certificates) -> None:
    loop = asyncio.get_running_loop()
    async with peers.connected(trace) as (client, server):
        with trace.raises():
            await loop.start_tls(
                client.transport,
                client,
                certificates.client(),
                server_hostname="localhost",
                ssl_handshake_timeout=0.05,
            )
        await server.lost
        # A protocol hears nothing of the end of a connection whose handshake did not succeed.
        client.lost.done() or client.lost.set_result(None)


@twin
async def test_a_cancelled_handshake(trace: Trace, certificates: Certificates) -> None:
    loop = asyncio.get_running_loop()
    async with peers.connected(trace) as (client, server):
        for delay in (0, 0.01):
            starting = loop.start_tls(
                client.transport, client, certificates.client(), server_hostname="localhost"
            )
            with trace.raises():
                await asyncio.wait_for(starting, delay)
        await server.lost
        client.lost.done() or client.lost.set_result(None)


@twin
async def test_wrong_arguments(trace: Trace, certificates: Certificates) -> None:
    loop = asyncio.get_running_loop()
    context = certificates.client()

    class Other(asyncio.Transport):
        pass

    async with peers.connected(trace) as (client, _server):
        transport = client.transport
        cases: list[tuple[Any, Any, dict[str, Any]]] = [
            (transport, None, {}),
            (transport, True, {}),
            (None, context, {}),
            (Other(), context, {}),
            (transport, context, {"ssl_handshake_timeout": 0}),
            (transport, context, {"ssl_shutdown_timeout": -1}),
        ]
        for where, what, options in cases:
            with trace.raises():
                await loop.start_tls(where, client, what, **options)
        client.transport.abort()


@twin
async def test_streams(trace: Trace, certificates: Certificates) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trace.on("server", await reader.readline())
        writer.write(b"ready\n")
        await writer.drain()
        await writer.start_tls(certificates.server())
        trace.on("server", await reader.readline(), writer.get_extra_info("cipher"))
        writer.write(pattern(MIB))
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, peers.LOCALHOST, 0)
    reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
    writer.write(b"begin\n")
    trace("answer", await reader.readline())
    await writer.start_tls(certificates.client(), server_hostname="localhost")
    writer.write(b"secret\n")
    trace("same", await reader.read() == pattern(MIB))
    writer.close()
    await writer.wait_closed()
    listener.close()
    await listener.wait_closed()


@pytest.mark.parametrize("depth", [2, 3])
@twin
async def test_tls_in_tls(trace: Trace, certificates: Certificates, depth: int) -> None:
    async with peers.connected(trace) as (client, server):
        for _ in range(depth):
            await upgrade(client, server, certificates)
        data = pattern(MIB)
        client.transport.write(data)
        trace("there", await server.wait_for(len(data)) == data)
        server.transport.write(data)
        trace("back", await client.wait_for(len(data)) == data)
        trace("sockname", client.transport.get_extra_info("sockname"))
        client.transport.close()
        await asyncio.gather(client.lost, server.lost)


class Relay(asyncio.Transport):
    """A program's own transport: hands everything on to another one, on a later turn."""

    _start_tls_compatible = True

    def __init__(self, below: Any, buffered: bool) -> None:
        super().__init__()
        self.below = below
        self.buffered = buffered
        self.protocol: Any = None
        below.set_protocol(self)

    # The protocol of the transport below.

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_soon(self.deliver, data)

    def deliver(self, data: bytes) -> None:
        while self.buffered and data:
            buffer = self.protocol.get_buffer(len(data))
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            self.protocol.buffer_updated(count)
            data = data[count:]
        if data:
            self.protocol.data_received(data)

    def eof_received(self) -> bool:
        asyncio.get_running_loop().call_soon(self.protocol.eof_received)
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        self.protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self.protocol.resume_writing()

    # The transport.

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)

    def write(self, data: Any) -> None:
        self.below.write(data)

    def close(self) -> None:
        self.below.close()

    def abort(self) -> None:
        self.below.abort()

    def pause_reading(self) -> None:
        self.below.pause_reading()

    def resume_reading(self) -> None:
        self.below.resume_reading()

    def is_closing(self) -> bool:
        closing: bool = self.below.is_closing()
        return closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.below.get_extra_info(name, default)


@twin
async def test_transports_of_programs(trace: Trace, certificates: Certificates) -> None:
    async with peers.connected(trace) as (client, server):
        client.transport = Relay(client.transport, buffered=True)
        server.transport = Relay(server.transport, buffered=True)
        await upgrade(client, server, certificates)
        data = pattern(MIB)
        client.transport.write(data)
        trace("there", await server.wait_for(len(data)) == data)
        server.transport.write(data)
        trace("back", await client.wait_for(len(data)) == data)
        client.transport.close()
        await asyncio.gather(client.lost, server.lost)


@twin
async def test_socket_objects_with_methods_of_their_own(
    trace: Trace, certificates: Certificates
) -> None:
    class Counting(socket.socket):
        calls = 0

        def send(self, *args: Any) -> int:
            Counting.calls += 1
            return super().send(*args)

    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    counting = Counting(fileno=one.detach())
    counting.setblocking(False)
    (_, client), (_, server) = await asyncio.gather(
        loop.create_connection(
            lambda: Recorder(trace, "client"),
            sock=counting,
            ssl=certificates.client(),
            server_hostname="localhost",
        ),
        loop.connect_accepted_socket(
            lambda: Recorder(trace, "server"), other, ssl=certificates.server()
        ),
    )
    data = pattern(MIB)
    client.transport.write(data)
    trace("there", await server.wait_for(len(data)) == data)
    server.transport.write(data)
    trace("back", await client.wait_for(len(data)) == data)
    trace("called", Counting.calls > 0)
    client.transport.close()
    await asyncio.gather(client.lost, server.lost)
