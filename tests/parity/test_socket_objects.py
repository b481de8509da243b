"""Sockets whose methods are the program's own: of a subclass, put into `socket.socket`, or of what
stands in its place. Each is called wherever asyncio calls it."""

from __future__ import annotations

import asyncio
import collections
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificates

from .peers import LOCALHOST
from .trace import Trace
from .twin import twin

Socket = socket.socket

METHODS = (
    "accept",
    "bind",
    "close",
    "connect",
    "detach",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "recv",
    "recv_into",
    "recvfrom",
    "recvfrom_into",
    "send",
    "sendmsg",
    "sendto",
    "setblocking",
    "setsockopt",
    "shutdown",
)


class Calls:
    """Which methods were called, by what a socket is for."""

    def __init__(self) -> None:
        self.seen: dict[str, set[str]] = collections.defaultdict(set)

    def method(self, name: str, role: str) -> Callable[..., Any]:
        original = getattr(Socket, name)

        def method(sock: Socket, *arguments: Any) -> Any:
            self.seen[role].add(name)
            return original(sock, *arguments)

        return method

    def subclass(self, role: str) -> type[Socket]:
        namespace = {name: self.method(name, role) for name in METHODS}
        return type("Spy", (Socket,), {"__slots__": (), **namespace})

    def tell(self, trace: Trace) -> None:
        for role, names in sorted(self.seen.items()):
            trace.on(role, *sorted(names))


def spying(calls: Calls) -> tuple[type[Socket], type[Socket]]:
    """A class for listeners, whose connections are of the second one."""
    listener, connection = calls.subclass("listener"), calls.subclass("connection")

    def accept(sock: Socket) -> tuple[Socket, Any]:
        calls.seen["listener"].add("accept")
        accepted, address = Socket.accept(sock)
        return connection(fileno=accepted.detach()), address

    listener.accept = accept  # type: ignore[assignment, method-assign]
    return listener, connection


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100_000):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    writer.close()


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    if writer.can_write_eof():
        writer.write_eof()
        assert await reader.read() == b"hello"
    else:
        assert await reader.readexactly(5) == b"hello"
    writer.close()
    await writer.wait_closed()
    # The other side has closed its end as well.
    await asyncio.sleep(0.02)


@pytest.mark.parametrize("family", ["tcp", "unix"])
@twin
async def test_a_listener_of_a_subclass(trace: Trace, tmp_path: Path, family: str) -> None:
    calls = Calls()
    listener_class, _ = spying(calls)
    if family == "tcp":
        listener = listener_class()
        listener.bind((LOCALHOST, 0))
        server = await asyncio.start_server(echo, sock=listener)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
    else:
        path = str(tmp_path / f"socket{id(trace)}")
        listener = listener_class(socket.AF_UNIX)
        listener.bind(path)
        server = await asyncio.start_unix_server(echo, sock=listener)
        reader, writer = await asyncio.open_unix_connection(path)
    await talk(reader, writer)
    server.close()
    calls.tell(trace)


@twin
async def test_a_listener_of_a_subclass_with_tls(trace: Trace, certificates: Certificates) -> None:
    calls = Calls()
    listener_class, _ = spying(calls)
    listener = listener_class()
    listener.bind((LOCALHOST, 0))
    server = await asyncio.start_server(echo, sock=listener, ssl=certificates.server())
    connecting = asyncio.open_connection(
        *listener.getsockname(), ssl=certificates.client(), server_hostname="localhost"
    )
    reader, writer = await connecting
    trace("shown", type(writer.get_extra_info("ssl_object")) is ssl.SSLObject)
    await talk(reader, writer)
    server.close()
    calls.tell(trace)


@twin
async def test_what_a_protocol_is_told_of_a_connection_of_a_subclass(trace: Trace) -> None:
    calls = Calls()
    listener_class, connection_class = spying(calls)
    made = asyncio.get_running_loop().create_future()

    class Told(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.set_result(transport)

    listener = listener_class()
    listener.bind((LOCALHOST, 0))
    server = await asyncio.get_running_loop().create_server(Told, sock=listener)
    with socket.create_connection(listener.getsockname()) as client:
        transport = await made
        trace("peer", transport.get_extra_info("peername") == client.getsockname())
        trace("socket", type(transport.get_extra_info("socket")))
        trace("inside", type(transport.get_extra_info("socket")._sock) is connection_class)
        transport.abort()
    server.close()


@pytest.mark.parametrize("error", [OSError(12, "no memory"), RuntimeError("not today"), None])
@twin
async def test_accept_of_a_subclass_fails(trace: Trace, error: Exception | None) -> None:
    class Failing(Socket):
        failures = [error] if error else [ConnectionAbortedError(), BlockingIOError()]

        def accept(self) -> tuple[Socket, Any]:
            if self.failures:
                raise self.failures.pop()
            return super().accept()

    reported = asyncio.Event()

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        trace("reported", context["exception"], sorted(context.keys() & {"socket", "message"}))
        reported.set()

    asyncio.get_running_loop().set_exception_handler(report)
    listener = Failing()
    listener.bind((LOCALHOST, 0))
    server = await asyncio.start_server(echo, sock=listener)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    if error is not None:
        await reported.wait()
    await talk(reader, writer)
    trace("served")
    server.close()


@twin
async def test_a_connected_socket_of_a_subclass(trace: Trace) -> None:
    calls = Calls()
    server = await asyncio.start_server(echo, LOCALHOST, 0)
    sock = calls.subclass("client")()
    sock.connect(server.sockets[0].getsockname())
    await talk(*await asyncio.open_connection(sock=sock))
    server.close()
    calls.tell(trace)


@twin
async def test_an_accepted_socket_of_a_subclass(trace: Trace) -> None:
    calls = Calls()
    one, other = socket.socketpair()
    with other:
        sock = calls.subclass("accepted")(fileno=one.detach())
        arrived = asyncio.get_running_loop().create_future()

        class Buffered(asyncio.BufferedProtocol):
            buffer = bytearray(10)

            def get_buffer(self, sizehint: int) -> bytearray:
                return self.buffer

            def buffer_updated(self, nbytes: int) -> None:
                arrived.set_result(nbytes)

        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(Buffered, sock)
        other.send(b"x")
        trace("arrived", await arrived)
        transport.writelines([b"a", b"b"])
        trace("sent", other.recv(10))
        transport.close()
        await asyncio.sleep(0.01)
    calls.tell(trace)


@twin
async def test_a_datagram_socket_of_a_subclass(trace: Trace) -> None:
    calls = Calls()
    sock = calls.subclass("datagrams")(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LOCALHOST, 0))
    arrived = asyncio.get_running_loop().create_future()

    class Receiver(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            arrived.set_result(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Receiver, sock=sock)
    transport.sendto(b"x", transport.get_extra_info("sockname"))
    trace("arrived", await arrived)
    transport.close()
    await asyncio.sleep(0.01)
    calls.tell(trace)


@twin
async def test_sock_methods_of_a_subclass(trace: Trace) -> None:
    calls = Calls()
    loop = asyncio.get_running_loop()
    listener = spying(calls)[0]()
    listener.bind((LOCALHOST, 0))
    listener.listen()
    client = calls.subclass("client")()
    for sock in (listener, client):
        sock.setblocking(False)
    accepting = asyncio.ensure_future(loop.sock_accept(listener))
    await loop.sock_connect(client, listener.getsockname())
    served, _ = await accepting
    trace("same class", type(served).__name__)
    await loop.sock_sendall(client, b"hello")
    trace("received", await loop.sock_recv(served, 2))
    trace("received", await loop.sock_recv_into(served, bytearray(10)))
    for sock in (listener, client, served):
        sock.close()
    calls.tell(trace)


# --------------------------------------------------- what stands in the place of socket.socket


@contextmanager
def replaced(new: Any) -> Iterator[None]:
    socket.socket = new  # type: ignore[misc]
    try:
        yield
    finally:
        socket.socket = Socket  # type: ignore[misc]


async def converse(certificates: Certificates | None = None) -> None:
    """A server and a client on sockets that the loop makes."""
    contexts = (certificates.server(), certificates.client()) if certificates else (None, None)
    options: Any = {"server_hostname": "localhost"} if certificates else {}
    server = await asyncio.start_server(echo, LOCALHOST, 0, ssl=contexts[0])
    port = server.sockets[0].getsockname()[1]
    await talk(*await asyncio.open_connection(LOCALHOST, port, ssl=contexts[1], **options))
    server.close()


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "TLS"])
@twin
async def test_a_class_in_the_place_of_socket(
    trace: Trace, certificates: Certificates, with_tls: bool
) -> None:
    calls = Calls()
    with replaced(calls.subclass("all")):
        await converse(certificates if with_tls else None)
    calls.tell(trace)
    calls.seen.clear()
    await converse(certificates if with_tls else None)
    trace("afterwards", sorted(calls.seen))


@pytest.mark.parametrize("name", METHODS)
@twin
async def test_a_method_put_into_the_class(
    trace: Trace, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    calls = Calls()
    await converse()
    with monkeypatch.context() as patch:
        patch.setattr(Socket, name, calls.method(name, "all"))
        await converse()
    calls.tell(trace)
    trace("called", bool(calls.seen))
    calls.seen.clear()
    await converse()
    trace("afterwards", sorted(calls.seen))


@twin
async def test_a_class_that_forbids_sockets(trace: Trace) -> None:
    class Guard(Socket):
        def __new__(cls, *args: Any, **kwargs: Any) -> Guard:
            trace("asked for", args, sorted(kwargs))
            raise RuntimeError("forbidden in this test")

    server = await asyncio.start_server(echo, LOCALHOST, 0)
    address = server.sockets[0].getsockname()
    with replaced(Guard), trace.raises("forbidden"):
        await asyncio.open_connection(*address)
    await talk(*await asyncio.open_connection(*address))
    trace("allowed")
    server.close()


@twin
async def test_a_function_in_the_place_of_socket(trace: Trace) -> None:
    made = []

    def make(*args: Any, **kwargs: Any) -> Socket:
        made.append(sorted(kwargs))
        return Socket(*args, **kwargs)

    server = await asyncio.start_server(echo, LOCALHOST, 0)
    address = server.sockets[0].getsockname()
    with replaced(make):
        await talk(*await asyncio.open_connection(*address))
    trace("made", made)
    server.close()
