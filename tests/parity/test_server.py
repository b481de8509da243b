"""Servers: listening, closing, waiting for the end, and what becomes of the connections."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from .peers import LOCALHOST, Recorder, free_port, listening_socket
from .trace import Trace
from .twin import twin

since_313 = pytest.mark.skipif(sys.version_info < (3, 13), reason="came with 3.13")


@asynccontextmanager
async def serving(trace: Trace, **options: Any) -> AsyncIterator[tuple[Any, list[Recorder]]]:
    """A server and the protocols of the connections it has accepted."""
    accepted: list[Recorder] = []

    def accept() -> Recorder:
        accepted.append(Recorder(trace, f"server {len(accepted)}"))
        return accepted[-1]

    options = {"host": LOCALHOST, "port": 0, **options}
    server = await asyncio.get_running_loop().create_server(accept, **options)
    for sock in server.sockets:
        trace.hide(sock.getsockname()[1], "PORT")
    try:
        yield server, accepted
    finally:
        server.close()
        for protocol in accepted:
            if protocol.transport is not None and not protocol.lost.done():
                protocol.transport.abort()
        await server.wait_closed()


async def client_of(trace: Trace, server: Any, name: str = "client") -> Recorder:
    address = server.sockets[0].getsockname()[:2]
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(lambda: Recorder(trace, name), *address)
    return protocol


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@twin
async def test_states_of_a_server(trace: Trace) -> None:
    async with serving(trace) as (server, _):
        trace("serving", server.is_serving(), len(server.sockets))
        trace("instance", isinstance(server, asyncio.AbstractServer))
        trace("loop", server.get_loop() is asyncio.get_running_loop())
        server.close()
        trace("closed", server.is_serving(), server.sockets)
        server.close()
        await server.wait_closed()
        trace("over", server.is_serving(), server.sockets)
    trace("loop", server.get_loop() is asyncio.get_running_loop())


@twin
async def test_sockets_of_a_server(trace: Trace) -> None:
    async with serving(trace) as (server, _):
        sockets = server.sockets
        trace("types", type(sockets), [type(sock) for sock in sockets])
        trace("name", sockets[0].getsockname(), sockets[0].family, sockets[0].type)
        trace("blocking", sockets[0].gettimeout())
        reuse = sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        trace("reuse_address is the default", reuse != 0)
        trace("fresh list", server.sockets is not sockets)


@twin
async def test_start_serving_false_does_not_listen_yet(trace: Trace) -> None:
    async with serving(trace, start_serving=False) as (server, _):
        trace("serving", server.is_serving())
        with trace.raises("connect"):
            await client_of(trace, server)
        await server.start_serving()
        trace("serving", server.is_serving())
        await server.start_serving()
        client = await client_of(trace, server)
        client.transport.close()
        await client.lost


@twin
async def test_serve_forever_ends_when_cancelled_and_closes_the_server(trace: Trace) -> None:
    async with serving(trace, start_serving=False) as (server, _):
        task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0.01)
        trace("serving", server.is_serving())
        with trace.raises("a second time"):
            await server.serve_forever()
        task.cancel()
        with trace.raises("cancelled"):
            await task
        trace("serving", server.is_serving(), server.sockets)


@twin
async def test_serve_forever_on_a_closed_server_is_an_error(trace: Trace) -> None:
    async with serving(trace) as (server, _):
        server.close()
        with trace.raises():
            await server.serve_forever()
        with trace.raises("start_serving"):
            await server.start_serving()


@twin
async def test_close_ends_serve_forever(trace: Trace) -> None:
    async with serving(trace) as (server, _):
        task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0.01)
        server.close()
        with trace.raises():
            await task


@twin
async def test_async_with_closes(trace: Trace) -> None:
    async with serving(trace) as (server, _):
        async with server as entered:
            trace("entered", entered is server, server.is_serving())
        trace("left", server.is_serving(), server.sockets)


@twin
async def test_close_stops_accepting_but_keeps_connections(trace: Trace) -> None:
    async with serving(trace) as (server, accepted):
        address = server.sockets[0].getsockname()
        client = await client_of(trace, server)
        await until(lambda: accepted)
        server.close()
        with trace.raises("refused"):
            await asyncio.get_running_loop().create_connection(asyncio.Protocol, *address)
        client.transport.write(b"still here")
        trace("received", await accepted[0].wait_for(10))
        client.transport.close()
        await accepted[0].lost


@twin
async def test_wait_closed_with_an_open_connection(trace: Trace) -> None:
    async with serving(trace) as (server, accepted):
        client = await client_of(trace, server)
        await until(lambda: accepted)
        trace("while open")
        waiter = asyncio.create_task(server.wait_closed())
        await asyncio.sleep(0.01)
        trace("waiting", waiter.done())
        server.close()
        await asyncio.sleep(0.01)
        trace("closed, connection open", waiter.done())
        client.transport.close()
        await waiter
        trace("all gone", accepted[0].lost.done())


@twin
async def test_wait_closed_of_a_closed_server_returns(trace: Trace) -> None:
    async with serving(trace) as (server, _):
        server.close()
        trace("returned", await server.wait_closed())
        trace("and again", await server.wait_closed())


@twin
async def test_several_wait_closed_all_return(trace: Trace) -> None:
    async with serving(trace) as (server, accepted):
        client = await client_of(trace, server)
        await until(lambda: accepted)
        server.close()
        waiters = [asyncio.create_task(server.wait_closed()) for _ in range(3)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        await asyncio.sleep(0)
        client.transport.close()
        trace("results", await asyncio.gather(*waiters, return_exceptions=True))


@twin
async def test_wait_closed_is_a_coroutine(trace: Trace) -> None:
    async with serving(trace) as (server, _):
        coroutine = server.wait_closed()
        trace("coroutine", asyncio.iscoroutine(coroutine))
        coroutine.close()


@since_313
@twin
async def test_close_clients_closes_them(trace: Trace) -> None:
    async with serving(trace) as (server, accepted):
        client = await client_of(trace, server)
        await until(lambda: accepted)
        accepted[0].transport.write(bytes(1 << 20))
        server.close()
        trace("result", server.close_clients())
        trace("closing", accepted[0].transport.is_closing())
        await client.lost
        trace("received", len(client.received))
        await server.wait_closed()


@since_313
@twin
async def test_abort_clients_aborts_them(trace: Trace) -> None:
    async with serving(trace) as (server, accepted):
        client = await client_of(trace, server)
        await until(lambda: accepted)
        client.transport.pause_reading()
        accepted[0].transport.write(bytes(1 << 24))
        server.close()
        trace("result", server.abort_clients())
        await accepted[0].lost
        await server.wait_closed()
        client.transport.abort()
        await client.lost


@since_313
@twin
async def test_close_clients_without_clients(trace: Trace) -> None:
    async with serving(trace) as (server, _):
        trace("none", server.close_clients(), server.abort_clients())


@twin
async def test_a_hundred_connections_at_once(trace: Trace) -> None:
    async with serving(trace, backlog=200) as (server, accepted):
        clients = await asyncio.gather(*(client_of(Trace(), server) for _ in range(100)))
        await until(lambda: len(accepted) == 100)
        for client in clients:
            client.transport.write(b"x")
        for protocol in accepted:
            await protocol.wait_for(1)
        for client in clients:
            client.transport.close()
        for protocol in accepted:
            await protocol.lost
        trace("received", {bytes(protocol.received) for protocol in accepted})


@twin
async def test_a_failing_factory_is_reported_and_the_server_goes_on(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(trace.exception_handler)
    attempts = 0

    def factory() -> Recorder:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ValueError("not today")
        return Recorder(trace, "server")

    server = await loop.create_server(factory, LOCALHOST, 0)
    first = await client_of(Trace(), server)
    await first.lost
    second = await client_of(trace, server)
    second.transport.write(b"works")
    await asyncio.sleep(0.01)
    second.transport.close()
    await second.lost
    server.close()
    await asyncio.sleep(0.01)
    await server.wait_closed()


@pytest.mark.parametrize("method", ["connection_made", "data_received", "eof_received"])
@twin
async def test_a_failing_protocol_is_reported(trace: Trace, method: str) -> None:
    def fail(self: Recorder, *args: Any) -> None:
        if method == "connection_made":
            self.transport = args[0]
        self.note("fails")
        raise ValueError(f"in {method}")

    class Failing(Recorder):
        pass

    setattr(Failing, method, fail)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(trace.exception_handler)
    accepted: list[Recorder] = []
    server = await loop.create_server(
        lambda: accepted.append(Failing(trace, "server")) or accepted[-1], LOCALHOST, 0
    )
    client = await client_of(trace, server)
    client.transport.write(b"data")
    client.transport.write_eof()
    await asyncio.sleep(0.05)
    trace("server side", accepted[0].lost.done(), accepted[0].transport.is_closing())
    for protocol in (client, accepted[0]):
        if not protocol.lost.done():
            protocol.transport.abort()
            await protocol.lost
    server.close()
    await server.wait_closed()


@twin
async def test_a_failing_connection_lost_is_reported(trace: Trace) -> None:
    class Failing(Recorder):
        def connection_lost(self, exc: BaseException | None) -> None:
            super().connection_lost(exc)
            raise ValueError("in connection_lost")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(trace.exception_handler)
    server = await loop.create_server(lambda: Failing(trace, "server"), LOCALHOST, 0)
    client = await client_of(trace, server)
    client.transport.close()
    await client.lost
    await asyncio.sleep(0.02)
    server.close()
    await server.wait_closed()
    trace("over")


@pytest.mark.parametrize("method", ["pause_writing", "resume_writing"])
@twin
async def test_failing_flow_control_is_reported(trace: Trace, method: str) -> None:
    def fail(self: Recorder) -> None:
        raise ValueError(f"in {method}")

    class Failing(Recorder):
        pass

    setattr(Failing, method, fail)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(trace.exception_handler)
    async with serving(trace) as (server, accepted):
        address = server.sockets[0].getsockname()
        _, client = await loop.create_connection(lambda: Failing(trace, "client"), *address)
        await until(lambda: accepted)
        accepted[0].transport.pause_reading()
        client.transport.write(bytes(1 << 24))
        await asyncio.sleep(0.01)
        accepted[0].transport.resume_reading()
        await accepted[0].wait_for(1 << 24)
        client.transport.close()
        await client.lost


LISTENING = {
    "localhost": {"host": "localhost"},
    "ipv4": {"host": "127.0.0.1"},
    "ipv6": {"host": "::1"},
    "everything": {"host": None},
    "empty string": {"host": ""},
    "several": {"host": ["127.0.0.1", "::1"]},
    "the same twice": {"host": ["127.0.0.1", "127.0.0.1"]},
    "tuple": {"host": ("127.0.0.1",)},
    "family": {"host": "localhost", "family": socket.AF_INET},
    "family unspecified": {"host": "localhost", "family": socket.AF_UNSPEC},
    "text port": {"port": "0"},
    "reuse_port": {"reuse_port": True},
    "no reuse_address": {"reuse_address": False},
    "backlog": {"backlog": 1},
    "flags": {"flags": socket.AI_PASSIVE | socket.AI_NUMERICHOST},
}
if sys.version_info >= (3, 13):
    LISTENING["keep_alive"] = {"keep_alive": True}


@pytest.mark.parametrize("options", LISTENING)
@twin
async def test_where_a_server_listens(trace: Trace, options: str) -> None:
    async with serving(trace, **LISTENING[options]) as (server, accepted):  # type: ignore[arg-type]
        for sock in server.sockets:
            trace("listens", sock.family, sock.getsockname()[0], len(sock.getsockname()))
            for name in ("SO_REUSEADDR", "SO_REUSEPORT", "SO_KEEPALIVE"):
                trace(name, sock.getsockopt(socket.SOL_SOCKET, getattr(socket, name)) != 0)
            if sock.family == socket.AF_INET6:
                trace("v6only", sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
        client = await client_of(trace, server)
        await until(lambda: accepted)
        client.transport.close()
        await accepted[0].lost


REFUSED: dict[str, Any] = {
    "host and sock": {"sock": ...},
    "neither": {"host": None, "port": None},
    "no such host": {"host": "nobody.invalid"},
    "not our address": {"host": "192.0.2.1"},
    "port too large": {"port": 70000},
    "negative port": {"port": -1},
    "no such service": {"port": "no-such-service"},
    "ssl is no context": {"ssl": True},
    "ssl timeout without ssl": {"ssl_handshake_timeout": 1},
    "ssl shutdown timeout without ssl": {"ssl_shutdown_timeout": 1},
    "unknown option": {"unknown": 1},
    "host of a wrong type": {"host": 5},
    "backlog of a wrong type": {"backlog": "many"},
}


@pytest.mark.parametrize("options", REFUSED)
@twin
async def test_what_create_server_refuses(trace: Trace, options: str) -> None:
    arguments = {"host": LOCALHOST, "port": 0} | REFUSED[options]
    sock = listening_socket()
    if "sock" in arguments:
        arguments["sock"] = sock
    with trace.raises():
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, **arguments)
        server.close()
    sock.close()


@twin
async def test_a_port_in_use_is_refused(trace: Trace) -> None:
    async with serving(trace) as (server, _):
        port = server.sockets[0].getsockname()[1]
        with trace.raises():
            await asyncio.get_running_loop().create_server(asyncio.Protocol, LOCALHOST, port)
        with trace.raises():
            await asyncio.get_running_loop().create_server(
                asyncio.Protocol, ["::1", LOCALHOST], port
            )


@twin
async def test_two_servers_share_a_port_by_reuse_port(trace: Trace) -> None:
    port = free_port()
    async with (
        serving(trace, port=port, reuse_port=True) as (one, _),
        serving(trace, port=port, reuse_port=True) as (two, _),
    ):
        trace("serving", one.is_serving(), two.is_serving())


@twin
async def test_a_server_on_a_socket_of_ours(trace: Trace) -> None:
    sock = socket.socket()
    sock.bind((LOCALHOST, 0))
    async with serving(trace, host=None, port=None, sock=sock) as (server, accepted):
        trace("blocking", sock.gettimeout())
        trace("same name", server.sockets[0].getsockname() == sock.getsockname())
        client = await client_of(trace, server)
        await until(lambda: accepted)
        client.transport.close()
        await accepted[0].lost
    trace("closed with the server", sock.fileno())


@twin
async def test_a_server_refuses_a_socket_that_is_no_stream(trace: Trace) -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    with trace.raises():
        await asyncio.get_running_loop().create_server(asyncio.Protocol, sock=sock)
    trace("still ours", sock.fileno() >= 0)
    sock.close()


@twin
async def test_connect_accepted_socket(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket() as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    transport, protocol = await loop.connect_accepted_socket(
        lambda: Recorder(trace, "server"), accepted
    )
    trace("made", protocol.made.done(), protocol.transport is transport)
    client.sendall(b"hello")
    trace("received", await protocol.wait_for(5))
    client.close()
    await protocol.lost
    trace("closed", accepted.fileno())


@twin
async def test_connect_accepted_socket_refuses_a_datagram_socket(trace: Trace) -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    with trace.raises():
        await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, sock)
    sock.close()


@twin
async def test_closing_a_server_in_the_turn_of_an_accept(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    accepted = []

    class Closing(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            server.close()

    def factory() -> Recorder:
        accepted.append(Closing(trace, "server"))
        return accepted[-1]

    server = await loop.create_server(factory, LOCALHOST, 0)
    client = await client_of(trace, server)
    await until(lambda: accepted and accepted[0].made.done())
    trace("serving", server.is_serving())
    client.transport.close()
    await accepted[0].lost
    await server.wait_closed()


@twin
async def test_start_server_handler_that_fails_is_reported(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(trace.exception_handler)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()
        raise ValueError("in the handler")

    server = await asyncio.start_server(handle, LOCALHOST, 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"line\n")
    trace("answer", await reader.read())
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


def a_plain_factory(loop: Any, coro: Any, **options: Any) -> Any:
    return asyncio.Task(coro, loop=loop, **options)


FACTORIES: dict[str, Any] = {"plain": a_plain_factory}
if sys.version_info >= (3, 12):
    FACTORIES["eager"] = asyncio.eager_task_factory


@twin
@pytest.mark.parametrize("kind", FACTORIES)
async def test_connections_under_a_task_factory(trace: Trace, kind: str) -> None:
    """Which turn their protocols are made in, and what the factory is given."""
    loop = asyncio.get_running_loop()

    def factory(loop: Any, coro: Any, **options: Any) -> Any:
        trace("task of", coro.__name__)
        return FACTORIES[kind](loop, coro, **options)

    async with serving(trace) as (server, accepted):
        address = server.sockets[0].getsockname()[:2]
        loop.set_task_factory(factory)
        with socket.create_connection(address):
            for turn in range(6):
                await asyncio.sleep(0)
                trace("turn", turn, len(accepted))
            await until(lambda: accepted)
        loop.set_task_factory(None)
