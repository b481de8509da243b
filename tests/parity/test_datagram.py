"""`create_datagram_endpoint`: addresses, errors, order, flow control and the end."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import sys
import tempfile
from typing import Any

import pytest

from .peers import LOCALHOST, verbose
from .trace import Trace
from .twin import Loop, twin

since_313 = pytest.mark.skipif(sys.version_info < (3, 13), reason="empty datagrams came with 3.13")


class Recorder(asyncio.DatagramProtocol):
    def __init__(self, trace: Trace, name: str) -> None:
        self.trace = trace
        self.name = name
        self.transport: Any = None
        self.received: list[tuple[bytes, Any]] = []
        self.errors: list[Exception] = []
        self.lost: asyncio.Future[BaseException | None] = asyncio.Future()
        self._arrival = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.trace.on(self.name, "connection_made")
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.trace.on(self.name, "datagram", data, addr)
        self.received.append((data, addr))
        self._arrival.set()

    def error_received(self, exc: Exception) -> None:
        self.trace.on(self.name, "error", exc)
        self.errors.append(exc)
        self._arrival.set()

    def pause_writing(self) -> None:
        self.trace.on(self.name, "pause_writing")

    def resume_writing(self) -> None:
        self.trace.on(self.name, "resume_writing")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.trace.on(self.name, "connection_lost", exc)
        self.lost.set_result(exc)

    async def wait_for(self, count: int) -> None:
        while len(self.received) + len(self.errors) < count:
            self._arrival.clear()
            await self._arrival.wait()

    async def close(self) -> None:
        self.transport.close()
        await self.lost


async def endpoint(trace: Trace, name: str, **options: Any) -> Recorder:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Recorder(trace, name), **options
    )
    trace("made", transport is protocol.transport, transport.get_protocol() is protocol)
    address = transport.get_extra_info("sockname")
    if isinstance(address, tuple):
        trace.hide(address[1], f"{name.upper()}-PORT")
    return protocol


async def server_of(trace: Trace, **options: Any) -> tuple[Recorder, Any]:
    server = await endpoint(trace, "server", **{"local_addr": (LOCALHOST, 0)} | options)
    return server, server.transport.get_extra_info("sockname")


@twin
async def test_unconnected(trace: Trace) -> None:
    server, address = await server_of(trace)
    client = await endpoint(trace, "client", local_addr=(LOCALHOST, 0))
    for data in (b"bytes", bytearray(b"array"), memoryview(b"view")):
        client.transport.sendto(data, address)
    await server.wait_for(3)
    for data, sender in server.received:
        server.transport.sendto(data.upper(), sender)
    await client.wait_for(3)
    await client.close()
    await server.close()


@twin
async def test_connected(trace: Trace) -> None:
    server, address = await server_of(trace)
    client = await endpoint(trace, "client", remote_addr=address)
    trace("peer", client.transport.get_extra_info("peername"))
    client.transport.sendto(b"no address")
    client.transport.sendto(b"its address", address)
    await server.wait_for(2)
    with trace.raises("another address"):
        client.transport.sendto(b"x", (LOCALHOST, 1))
    with trace.raises("no address at all"):
        client.transport.sendto(b"x", "nonsense")
    await client.close()
    await server.close()


@twin
async def test_the_address_of_a_socket_that_was_connected_before(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((LOCALHOST, 0))
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect(peer.getsockname())
        transport: Any
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=sock)
        trace("before", transport._address)
        transport._address = transport.get_extra_info("peername")
        transport.sendto(b"x")
        trace(peer.recv(10))
        transport.sendto(b"y", peer.getsockname())
        trace(peer.recv(10))
        with trace.raises():
            try:
                transport.sendto(b"z", (LOCALHOST, 1))
            except ValueError as error:
                raise ValueError(str(error).partition("(")[0]) from None
        transport.close()


@twin
async def test_extra_info(trace: Trace) -> None:
    server, address = await server_of(trace)
    transport = server.transport
    trace("info", transport.get_extra_info("sockname") == address)
    trace("peer", transport.get_extra_info("peername"), transport.get_extra_info("other", 7))
    sock = transport.get_extra_info("socket")
    trace("socket", type(sock), sock.family, sock.type, sock.gettimeout())
    trace("is", isinstance(transport, asyncio.Transport))
    trace("states", transport.is_closing(), transport.is_reading())
    trace("buffer", transport.get_write_buffer_size(), transport.get_write_buffer_limits())
    await server.close()
    trace("closed", transport.is_closing(), transport.is_reading(), transport.get_protocol())
    trace("info", transport.get_extra_info("sockname") == address)


@pytest.mark.parametrize("data", ["text", 3, None, [b"x"]])
@twin
async def test_what_is_no_data(trace: Trace, data: Any) -> None:
    server, address = await server_of(trace)
    with trace.raises():
        server.transport.sendto(data, address)
    await server.close()


@twin
async def test_empty_datagram(trace: Trace) -> None:
    server, address = await server_of(trace)
    server.transport.sendto(b"", address)
    server.transport.sendto(b"after", address)
    await server.wait_for(1 + (sys.version_info >= (3, 13)))
    # Received, too.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOCALHOST, 0))
        trace.hide(sock.getsockname()[1], "PORT")
        sock.sendto(b"", address)
        await server.wait_for(2 + (sys.version_info >= (3, 13)))
    await server.close()


@twin
async def test_large_datagrams(trace: Trace) -> None:
    server, address = await server_of(trace)
    server.transport.sendto(bytes(65507), address)
    await server.wait_for(1)
    # One more is none: an error, told at once.
    server.transport.sendto(bytes(65508), address)
    trace("errors", server.errors)
    trace("still open", server.transport.is_closing())
    await server.close()


@twin
async def test_wrong_addresses(trace: Trace) -> None:
    server, _ = await server_of(trace)
    loop = asyncio.get_running_loop()
    reports: list[Any] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    for wrong in ((LOCALHOST, 99999), (LOCALHOST,), "text", 3, (LOCALHOST, "1"), None):
        other = await endpoint(trace, f"other {wrong}", local_addr=(LOCALHOST, 0))
        with trace.raises(f"sendto {wrong}"):
            other.transport.sendto(b"x", wrong)
        trace("closing", other.transport.is_closing(), len(other.errors))
        other.transport.close()
        await other.lost
    for report in reports:
        trace("report", report["message"], report["exception"], sorted(report))
    await server.close()


@twin
async def test_names_are_resolved(trace: Trace) -> None:
    server, address = await server_of(trace)
    server.transport.sendto(b"by name", ("localhost", address[1]))
    await server.wait_for(1)
    await server.close()


@twin
async def test_nobody_there(trace: Trace) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOCALHOST, 0))
        address = sock.getsockname()
    trace.hide(address[1], "PORT")
    client = await endpoint(trace, "client", remote_addr=address)
    client.transport.sendto(b"x")
    await client.wait_for(1)
    client.transport.sendto(b"y")
    await client.wait_for(2)
    await client.close()


@twin
async def test_order_against_other_callbacks(trace: Trace) -> None:
    """One datagram a turn: what it schedules runs before the next is received."""
    server, address = await server_of(trace)
    loop = asyncio.get_running_loop()
    receive = server.datagram_received

    def received(data: bytes, addr: Any) -> None:
        receive(data, addr)
        loop.call_soon(trace.on, "server", "scheduled by", data)

    server.datagram_received = received  # type: ignore[method-assign]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOCALHOST, 0))
        trace.hide(sock.getsockname()[1], "PORT")
        for number in range(5):
            sock.sendto(b"%d" % number, address)
    await server.wait_for(5)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await server.close()


@twin
async def test_order_in_a_burst(trace: Trace) -> None:
    """What some datagrams of many schedule or pause comes where it comes in asyncio."""
    server, address = await server_of(trace)
    loop = asyncio.get_running_loop()
    receive = server.datagram_received

    def resume() -> None:
        trace.on("server", "resumed")
        server.transport.resume_reading()

    def received(data: bytes, addr: Any) -> None:
        receive(data, addr)
        match int(data) % 20:
            case 3:
                loop.call_soon(trace.on, "server", "scheduled by", data)
            case 7:
                server.transport.pause_reading()
                loop.call_soon(loop.call_soon, resume)

    server.datagram_received = received  # type: ignore[method-assign]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOCALHOST, 0))
        trace.hide(sock.getsockname()[1], "PORT")
        for number in range(100):
            sock.sendto(b"%d" % number, address)
    await server.wait_for(100)
    await server.close()


@twin
async def test_close_in_a_burst(trace: Trace) -> None:
    """Nothing is received after `close()`, however much has come."""
    server, address = await server_of(trace)
    receive = server.datagram_received

    def received(data: bytes, addr: Any) -> None:
        receive(data, addr)
        if data == b"40":
            server.transport.close()

    server.datagram_received = received  # type: ignore[method-assign]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOCALHOST, 0))
        trace.hide(sock.getsockname()[1], "PORT")
        for number in range(60):
            sock.sendto(b"%d" % number, address)
    await server.lost
    trace("received", len(server.received))


@twin
async def test_sendto_from_callbacks(trace: Trace) -> None:
    server, address = await server_of(trace)

    class Eager(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.sendto(b"from connection_made", address)

        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if len(self.received) < 3:
                self.transport.sendto(b"from datagram_received", addr)

        def error_received(self, exc: Exception) -> None:
            super().error_received(exc)
            self.transport.sendto(b"from error_received", address)

        def connection_lost(self, exc: BaseException | None) -> None:
            self.transport.sendto(b"from connection_lost", address)
            super().connection_lost(exc)

    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(
        lambda: Eager(trace, "client"), local_addr=(LOCALHOST, 0)
    )
    own = transport.get_extra_info("sockname")
    trace.hide(own[1], "CLIENT-PORT")
    transport.sendto(b"to itself", own)
    await client.wait_for(3)
    transport.sendto(bytes(70000), address)
    await server.wait_for(2)
    transport.close()
    await client.lost
    await server.wait_for(3 if sys.version_info < (3, 11) else 2)
    await server.close()
    # What is sent while the connection is being lost is asyncio's to refuse or send.
    trace.channels["server"] = [e for e in trace.channels["server"] if "lost'" not in e]


@twin
async def test_protocol_that_fails(trace: Trace) -> None:
    server, address = await server_of(trace)
    loop = asyncio.get_running_loop()
    reports: list[Any] = []
    loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))

    def fail(*args: Any) -> None:
        raise ValueError("no")

    receive = server.datagram_received
    server.datagram_received = fail  # type: ignore[assignment,method-assign]
    server.transport.sendto(b"1", address)
    while not reports:
        await asyncio.sleep(0.001)
    server.datagram_received = receive  # type: ignore[method-assign]
    server.transport.sendto(b"2", address)
    await server.wait_for(1)
    server.error_received = fail  # type: ignore[assignment,method-assign]
    with trace.raises("error_received"):
        server.transport.sendto(bytes(70000), address)
    server.connection_lost, lost = fail, server.connection_lost  # type: ignore[assignment,method-assign]
    server.transport.close()
    while len(reports) < 2:
        await asyncio.sleep(0.001)
    trace("reports", reports, server.transport.get_protocol())
    lost(None)


@twin
async def test_pause_and_resume(trace: Trace) -> None:
    server, address = await server_of(trace)
    transport = server.transport
    transport.pause_reading()
    transport.pause_reading()
    transport.sendto(b"1", address)
    transport.sendto(b"2", address)
    await asyncio.sleep(0.01)
    trace("paused", transport.is_reading(), len(server.received))
    transport.resume_reading()
    transport.resume_reading()
    await server.wait_for(2)
    trace("resumed", transport.is_reading())
    await server.close()
    transport.resume_reading()
    trace("closed", transport.is_reading())


def unix_pair() -> tuple[socket.socket, socket.socket]:
    """Two sockets, connected to each other, with room for little: Unix datagrams wait for their
    reader, so sending blocks. They have names (abstract ones, of the system's choice), for asyncio
    takes a peer without one for none.
    """
    one, two = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    for sock in (one, two):
        sock.bind("")
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    one.connect(two.getsockname())
    two.connect(one.getsockname())
    return one, two


@twin
async def test_flow_control(trace: Trace) -> None:
    one, two = unix_pair()
    client = await endpoint(trace, "client", sock=one)
    transport = client.transport
    transport.set_write_buffer_limits(high=5000, low=1000)
    sent = 0
    while not transport._protocol_paused:
        transport.sendto(bytes(1000))
        sent += 1
    trace("buffer", transport.get_write_buffer_size())
    received = 0
    for _ in range(1000):
        try:
            received += len(two.recv(2000)) // 1000
        except BlockingIOError:
            await asyncio.sleep(0)
        if received == sent:
            break
    trace("all", received == sent, transport._protocol_paused)
    with trace.raises("limits"):
        transport.set_write_buffer_limits(high=1, low=2)
    await client.close()
    two.close()


@twin
async def test_close_sends_what_is_queued(trace: Trace) -> None:
    one, two = unix_pair()
    client = await endpoint(trace, "client", sock=one)
    for number in range(200):
        client.transport.sendto(b"%d" % number)
    queued = client.transport.get_write_buffer_size()
    client.transport.close()
    client.transport.close()
    trace("closing", client.transport.is_closing(), queued > 0, client.lost.done())
    received: list[Any] = []
    while len(received) < 200:
        try:
            received.append(int(two.recv(100)))
        except BlockingIOError:
            await asyncio.sleep(0)
    await client.lost
    trace("received", received == list(range(200)))
    two.close()


@twin
async def test_who_sends_too_late_is_warned(trace: Trace) -> None:
    server, address = await server_of(trace)
    client = await endpoint(trace, "client", remote_addr=address)
    client.transport.close()
    for _ in range(3):
        client.transport.sendto(b"too late")
    await client.lost
    for _ in range(4):
        client.transport.sendto(b"too late")
    await server.close()


@twin
async def test_abort_drops_what_is_queued(trace: Trace) -> None:
    one, two = unix_pair()
    client = await endpoint(trace, "client", sock=one)
    for _ in range(200):
        client.transport.sendto(bytes(100))
    client.transport.abort()
    client.transport.abort()
    await client.lost
    two.close()


@twin
async def test_peer_that_goes_while_datagrams_wait(trace: Trace) -> None:
    one, two = unix_pair()
    client = await endpoint(trace, "client", sock=one)
    for _ in range(300):
        client.transport.sendto(bytes(10))
    trace("queued", client.transport.get_write_buffer_size() > 0)
    two.close()
    while not client.errors:
        await asyncio.sleep(0.001)
    client.transport.abort()
    await client.lost
    trace("errors", {type(error) for error in client.errors})
    trace.channels["client"] = sorted(set(trace.channels["client"]))


@twin
async def test_unix_datagrams(trace: Trace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        trace.hide(directory, "DIRECTORY")
        server = await endpoint(
            trace, "server", local_addr=f"{directory}/server", family=socket.AF_UNIX
        )
        client = await endpoint(
            trace,
            "client",
            local_addr=f"{directory}/client",
            remote_addr=f"{directory}/server",
            family=socket.AF_UNIX,
        )
        client.transport.sendto(b"to the server")
        await server.wait_for(1)
        server.transport.sendto(b"back", server.received[0][1])
        await client.wait_for(1)
        nameless = await endpoint(
            trace, "nameless", remote_addr=f"{directory}/server", family=socket.AF_UNIX
        )
        nameless.transport.sendto(b"from nobody")
        await server.wait_for(2)
        server.transport.sendto(b"nowhere", f"{directory}/none")
        for end in (nameless, client, server):
            await end.close()
        # A stale socket file gives way, another file does not.
        again = await endpoint(
            trace, "again", local_addr=f"{directory}/server", family=socket.AF_UNIX
        )
        await again.close()
        with open(f"{directory}/file", "w"):
            pass
        with trace.raises("file"):
            await endpoint(trace, "x", local_addr=f"{directory}/file", family=socket.AF_UNIX)
        with trace.raises("type"):
            await endpoint(trace, "x", local_addr=3, family=socket.AF_UNIX)


@twin
async def test_ipv6(trace: Trace) -> None:
    try:
        server, address = await server_of(trace, local_addr=("::1", 0))
    except OSError:
        trace("no IPv6 here")
        return
    server.transport.sendto(b"six", address)
    server.transport.sendto(b"two parts", address[:2])
    await server.wait_for(2)
    await server.close()


@twin
async def test_broadcast(trace: Trace) -> None:
    server = await endpoint(trace, "server", local_addr=("0.0.0.0", 0))
    port = server.transport.get_extra_info("sockname")[1]
    server.transport.sendto(b"forbidden", ("127.255.255.255", port))
    allowed = await endpoint(trace, "allowed", local_addr=("0.0.0.0", 0), allow_broadcast=True)
    allowed.transport.sendto(b"to all", ("127.255.255.255", port))
    await server.wait_for(2)
    await allowed.close()
    await server.close()


ARGUMENTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "family alone": {"family": socket.AF_INET},
    "reuse_address": {"local_addr": (LOCALHOST, 0), "reuse_address": True},
    "no reuse_address": {"local_addr": (LOCALHOST, 0), "reuse_address": False},
    "reuse_port": {"local_addr": (LOCALHOST, 0), "reuse_port": True},
    "families differ": {"local_addr": (LOCALHOST, 0), "remote_addr": ("::1", 1)},
    "not a pair": {"local_addr": "text"},
    "three": {"local_addr": (LOCALHOST, 0, 0)},
    "port": {"local_addr": (LOCALHOST, 99999)},
    "elsewhere": {"local_addr": ("192.0.2.1", 0)},
    "flags": {"local_addr": ("localhost", 0), "flags": socket.AI_NUMERICHOST},
    "proto": {"local_addr": (LOCALHOST, 0), "proto": socket.IPPROTO_UDP},
}


@pytest.mark.parametrize("name", ARGUMENTS)
@twin
async def test_arguments(trace: Trace, name: str) -> None:
    options = dict(ARGUMENTS[name])
    with trace.raises(name):
        protocol = await endpoint(trace, "endpoint", **options)
        sock = protocol.transport.get_extra_info("socket")
        trace("reuse", sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR))
        trace("reuse", sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))
        trace("family", sock.family, protocol.transport.get_extra_info("sockname")[0])
        await protocol.close()


@twin
async def test_given_sockets(trace: Trace) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LOCALHOST, 0))
    server = await endpoint(trace, "server", sock=sock)
    server.transport.sendto(b"x", sock.getsockname())
    await server.wait_for(1)
    with trace.raises("owned"):
        asyncio.get_running_loop().add_reader(sock, print)
    await server.close()
    trace("closed", sock.fileno())
    with socket.socket() as tcp, trace.raises("tcp"):
        try:
            await endpoint(trace, "x", sock=tcp)
        except ValueError as error:
            raise ValueError(str(error).partition(", got <")[0]) from None
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        trace.raises("both"),
    ):
        await endpoint(trace, "x", sock=sock, local_addr=(LOCALHOST, 0), reuse_port=True)


@twin
async def test_subclass_of_socket(trace: Trace) -> None:
    class Loud(socket.socket):
        def recvfrom(self, *args: Any) -> Any:
            data, address = super().recvfrom(*args)
            return data.upper(), address

        def sendto(self, data: Any, *args: Any) -> Any:
            return super().sendto(bytes(data) + b"!", *args)

    sock = Loud(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LOCALHOST, 0))
    server = await endpoint(trace, "server", sock=sock)
    server.transport.sendto(b"loud", sock.getsockname())
    await server.wait_for(1)
    await server.close()


@twin
async def test_context_of_callbacks(trace: Trace) -> None:
    variable = contextvars.ContextVar("variable", default="none")

    class Seen(Recorder):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            trace("data", variable.get())
            variable.set("inside")

    variable.set("making")
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Seen(trace, "server"), local_addr=(LOCALHOST, 0)
    )
    address = transport.get_extra_info("sockname")
    trace.hide(address[1], "PORT")
    variable.set("later")
    for count in (1, 2):
        transport.sendto(b"x", address)
        await protocol.wait_for(count)
    await protocol.close()


@twin
def test_unclosed_transport_warns(trace: Trace, loop: Loop) -> None:
    async def body() -> None:
        await loop.create_datagram_endpoint(
            lambda: Recorder(trace, "server"), local_addr=(LOCALHOST, 0)
        )

    loop.run_until_complete(body())
    loop.close()


@twin
def test_debug_log(trace: Trace, loop: Loop) -> None:
    loop.set_debug(True)

    async def body() -> None:
        server, address = await server_of(trace)
        client = await endpoint(trace, "client", remote_addr=address)
        server.transport.pause_reading()
        server.transport.resume_reading()
        client.transport.sendto(b"x")
        await server.wait_for(1)
        await client.close()
        await server.close()

    with verbose():
        loop.run_until_complete(body())


@twin
async def test_many_datagrams_in_order(trace: Trace) -> None:
    class Collector(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.received: list[int] = []

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.received.append(int(data))

    loop = asyncio.get_running_loop()
    one, two = unix_pair()
    sender, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=one)
    receiver, protocol = await loop.create_datagram_endpoint(Collector, sock=two)
    for number in range(5000):
        sender.sendto(b"%d" % number)
    while len(protocol.received) < 5000:
        await asyncio.sleep(0.001)
    trace("order", protocol.received == list(range(5000)))
    sender.close()
    receiver.close()
    await asyncio.sleep(0)


@twin
async def test_protocol_and_extra_that_programs_set(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    transport, one = await loop.create_datagram_endpoint(
        lambda: Recorder(trace, "one"), local_addr=(LOCALHOST, 0)
    )
    address = transport.get_extra_info("sockname")
    trace.hide(address[1], "PORT")
    other = Recorder(trace, "other")
    private: Any = transport
    trace("protocol", private._protocol is one)
    private._protocol = other
    trace("protocol", transport.get_protocol() is other)
    transport.sendto(b"to the other", address)
    await other.wait_for(1)
    private._protocol = one
    private._extra = {"peername": "nobody"}
    trace("extra", transport.get_extra_info("peername"), transport.get_extra_info("socket"))
    await one.close()
