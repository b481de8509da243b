"""Audit events (PEP 578): a hook hears of what the loop does with sockets, and may refuse it.

Hooks cannot be taken away, so each body runs in a process of its own on each loop.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests import loops

# Run with `-c BODY-NAME LOOP`: records the events of the body and prints them.
PROGRAM = """
import asyncio, json, socket, sys
from tests import loops

events = []
refused = None
is_recording = False
names = {}


def show(value):
    if isinstance(value, socket.socket):
        # In the event of its making it has no number yet.
        return "<socket>"
    if isinstance(value, tuple):
        return [show(part) for part in value]
    if isinstance(value, (bytes, str)):
        return names.get(value, str(value))
    if isinstance(value, int):
        return names.get(value, int(value))
    return value if value is None else type(value).__name__


def hook(event, args):
    if not is_recording or not event.startswith(("socket.", "os.kill")):
        return
    # How asyncio happens to send what it has queued, from 3.12 on.
    if event == "socket.sendmsg":
        return
    if event == refused:
        events.append([event, "refused"])
        raise PermissionError(f"no {event}")
    events.append([event, *map(show, args)])


def kind(event):
    return [name for name, *_ in events if name == event]


def name_port(sock, name):
    names[sock.getsockname()[1]] = name


async def accepted(server_made):
    async with asyncio.timeout(30):
        await server_made


class Server(asyncio.Protocol):
    def __init__(self):
        self.made = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.made.set_result(None)


async def serve(host="127.0.0.1"):
    protocols = []

    def factory():
        protocols.append(Server())
        return protocols[-1]

    server = await asyncio.get_running_loop().create_server(factory, host, 0)
    name_port(server.sockets[0], "PORT")
    return server, server.sockets[0].getsockname(), protocols


async def connect(address, **options):
    loop = asyncio.get_running_loop()
    return await loop.create_connection(asyncio.Protocol, *address[:2], **options)


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def finish(server, protocols, transport, count=1):
    await until(lambda: len(protocols) == count)
    for protocol in protocols:
        await protocol.made
    transport.abort()
    for protocol in protocols:
        protocol.transport.abort()
    server.close()
    await server.wait_closed()


async def connection_to_literal(loop):
    server, address, protocols = await serve()
    transport, _ = await connect(address)
    await finish(server, protocols, transport)


async def connection_to_name(loop):
    server, address, protocols = await serve()
    transport, _ = await connect(("localhost", address[1]), family=socket.AF_INET)
    await finish(server, protocols, transport)


async def connection_from_address(loop):
    server, address, protocols = await serve()
    transport, _ = await connect(address, local_addr=("127.0.0.1", 0))
    await finish(server, protocols, transport)


async def streams(loop):
    async def handle(reader, writer):
        writer.write(await reader.readexactly(5))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    name_port(server.sockets[0], "PORT")
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello")
    await reader.read()
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def sockets(loop):
    with socket.socket() as listener, socket.socket() as client:
        listener.setblocking(False)
        client.setblocking(False)
        listener.bind(("127.0.0.1", 0))
        name_port(listener, "PORT")
        listener.listen()
        accepting = loop.create_task(loop.sock_accept(listener))
        await asyncio.sleep(0)
        await loop.sock_connect(client, listener.getsockname())
        connection, _ = await accepting
        with connection:
            await loop.sock_sendall(connection, b"hello")
            await loop.sock_recv(client, 100)


async def socket_datagrams(loop):
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
        for sock, name in ((one, "ONE"), (two, "TWO")):
            sock.setblocking(False)
            sock.bind(("127.0.0.1", 0))
            name_port(sock, name)
        await loop.sock_sendto(one, b"hello", two.getsockname())
        await loop.sock_recvfrom(two, 100)


async def names_and_addresses(loop):
    await loop.getaddrinfo("127.0.0.1", 80)
    await loop.getaddrinfo("localhost", "80", family=socket.AF_INET, type=socket.SOCK_STREAM)
    await loop.getaddrinfo(None, 0, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE)
    await loop.getnameinfo(("127.0.0.1", 80))
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    await loop.getnameinfo(("127.0.0.1", 80), flags)


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = []
        self.failed = None

    def datagram_received(self, data, addr):
        self.received.append(data)
        self.transport.sendto(b"answer", addr)

    def connection_made(self, transport):
        self.transport = transport

    def error_received(self, exc):
        self.failed = exc


async def datagrams(loop):
    echo, protocol = await loop.create_datagram_endpoint(Datagrams, ("127.0.0.1", 0))
    address = echo.get_extra_info("sockname")
    names[address[1]] = "ECHO"
    free, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
    names[free.get_extra_info("sockname")[1]] = "FREE"
    bound, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("127.0.0.1", address[1])
    )
    names[bound.get_extra_info("sockname")[1]] = "BOUND"
    free.sendto(b"one", address)
    await until(lambda: len(protocol.received) == 1)
    free.sendto(b"two", ("127.0.0.1", address[1]))
    await until(lambda: len(protocol.received) == 2)
    bound.sendto(b"three")
    await until(lambda: len(protocol.received) == 3)
    for transport in (echo, free, bound):
        transport.abort()


async def unix_streams(loop):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/socket"
        names[path] = "PATH"
        protocols = []

        def factory():
            protocols.append(Server())
            return protocols[-1]

        server = await loop.create_unix_server(factory, path)
        transport, _ = await loop.create_unix_connection(asyncio.Protocol, path)
        await finish(server, protocols, transport)


async def children(loop):
    process = await asyncio.create_subprocess_exec("sleep", "1000")
    names[process.pid] = "PID"
    process.terminate()
    await process.wait()


async def refused_connection(loop):
    global refused
    server, address, protocols = await serve()
    refused = "socket.connect"
    try:
        await connect(address)
    except PermissionError as error:
        events.append(["raised", str(error)])
    with socket.socket() as sock:
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except PermissionError as error:
            events.append(["raised", str(error)])
    server.close()


async def refused_lookup(loop):
    global refused
    for refused in ("socket.getaddrinfo", "socket.getnameinfo"):
        for look_up in (
            lambda: loop.getaddrinfo("127.0.0.1", 80),
            lambda: loop.getnameinfo(("127.0.0.1", 80), 3),
            lambda: connect(("localhost", 1)),
        ):
            try:
                await look_up()
            except OSError as error:
                events.append(["raised", type(error).__name__])


async def refused_lookup_without_sys_audit(loop):
    # The hook is CPython's business, whatever the module's function is replaced with.
    original, sys.audit = sys.audit, lambda *args: None
    try:
        await refused_lookup(loop)
    finally:
        sys.audit = original


async def refused_datagram(loop):
    global refused
    transport, protocol = await loop.create_datagram_endpoint(Datagrams, ("127.0.0.1", 0))
    refused = "socket.sendto"
    names[transport.get_extra_info("sockname")[1]] = "PORT"
    transport.sendto(b"never", transport.get_extra_info("sockname"))
    events.append(["error_received", str(protocol.failed)])
    transport.abort()


async def refused_accept(loop):
    global refused
    reports = []
    loop.set_exception_handler(lambda loop, context: reports.append(context["exception"]))
    server, address, protocols = await serve()
    with socket.socket() as sock:
        sock.setblocking(False)
        refused = "socket.__new__"
        await loop.sock_connect(sock, address)
        await until(lambda: reports)
        events.append(["reported", str(reports[0]), len(protocols)])
    server.close()


async def main(body):
    global is_recording
    loop = asyncio.get_running_loop()
    # What threads and children need for themselves is set up before.
    is_recording = True
    try:
        await body(loop)
    finally:
        is_recording = False


sys.addaudithook(hook)
with asyncio.Runner(loop_factory=loops.factory_named(sys.argv[2])) as runner:
    runner.run(main(globals()[sys.argv[1]]))
print(json.dumps(events))
"""

BODIES = [
    "connection_to_literal",
    "connection_to_name",
    "connection_from_address",
    "streams",
    "sockets",
    "socket_datagrams",
    "names_and_addresses",
    "datagrams",
    "unix_streams",
    "children",
    "refused_connection",
    "refused_lookup",
    "refused_lookup_without_sys_audit",
    "refused_datagram",
    "refused_accept",
]


def events_on(loop: str, body: str) -> list[list[Any]]:
    arguments = [sys.executable, "-X", "utf8", "-W", "ignore", "-c", PROGRAM, body, loop]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    events: list[list[Any]] = json.loads(done.stdout)
    return events


@pytest.mark.parametrize("body", BODIES)
def test_the_events_are_asyncios(request: pytest.FixtureRequest, body: str) -> None:
    subject = request.config.getoption("--loop")
    expected = events_on(loops.REFERENCE, body)
    assert expected, "nothing was audited"
    assert events_on(subject, body) == expected
