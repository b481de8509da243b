"""TLS connections leave nothing behind, and cost little while they do nothing."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import ssl
import subprocess
import sys
import weakref
from typing import Any

import pytest

from tests import loops
from tests.certificates import Certificates

from .test_collection import Watched, lose
from .test_soak import assert_no_growth

Loop = asyncio.AbstractEventLoop
LOCALHOST = "127.0.0.1"
CONNECTIONS = 200
# OpenSSL has nearly all of it, its objects and a buffer for a record each way: alone it takes 17
# KiB in 3.0, 33 in 3.6.
MOST_KIB_A_CONNECTION = 25 if ssl.OPENSSL_VERSION_INFO < (3, 2) else 40


async def connect(
    loop: Loop, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> tuple[asyncio.Server, Any, Any]:
    accepted: list[Any] = []

    def accept() -> Watched:
        accepted.append(Watched())
        return accepted[-1]

    server = await loop.create_server(accept, LOCALHOST, 0, ssl=server_context)
    address = server.sockets[0].getsockname()
    _, client = await loop.create_connection(
        Watched, *address, ssl=client_context, server_hostname="localhost"
    )
    while not accepted or accepted[0].transport is None:
        await asyncio.sleep(0)
    return server, client, accepted.pop()


@pytest.mark.parametrize("ending", ["close", "abort", "peer closes", "write then close"])
def test_a_closed_connection_is_freed_by_reference_counts(
    loop: Loop, no_gc: None, certificates: Certificates, ending: str
) -> None:
    watched: list[weakref.ref[Any]] = []

    async def main() -> None:
        contexts = certificates.server(), certificates.client()
        watched.extend(weakref.ref(context) for context in contexts)
        server, client, accepted = await connect(loop, *contexts)
        match ending:
            case "close":
                client.transport.close()
            case "abort":
                client.transport.abort()
            case "peer closes":
                accepted.transport.close()
            case _:
                client.transport.write(bytes(1 << 22))
                client.transport.close()
        await lose([client, accepted])
        for protocol in (client, accepted):
            tls = protocol.transport._ssl_protocol
            watched.extend(map(weakref.ref, [protocol, protocol.transport, tls]))
            # The one cycle that the program itself made.
            protocol.transport = None
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    assert [ref() for ref in watched] == [None] * 8


def test_failed_handshakes_are_freed_by_reference_counts(
    loop: Loop, no_gc: None, certificates: Certificates
) -> None:
    watched: list[weakref.ref[Any]] = []

    class Remembered(Watched):
        def __init__(self) -> None:
            super().__init__()
            watched.append(weakref.ref(self))

    async def main() -> None:
        contexts = certificates.server(), ssl.create_default_context()
        watched.extend(weakref.ref(context) for context in contexts)
        server = await loop.create_server(Remembered, LOCALHOST, 0, ssl=contexts[0])
        address = server.sockets[0].getsockname()
        try:
            await loop.create_connection(
                Remembered, *address, ssl=contexts[1], server_hostname="localhost"
            )
        except ssl.SSLCertVerificationError as error:
            error.__traceback__ = None
        while len(watched) < 4:
            await asyncio.sleep(0.001)
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.05)

    loop.run_until_complete(main())
    # asyncio's own task for an accepted connection ends in a traceback, which is a cycle.
    gc.collect()
    assert [ref() for ref in watched] == [None] * 4


@pytest.mark.filterwarnings("ignore:unclosed")
@pytest.mark.parametrize("moment", ["handshake", "open", "closing"])
def test_what_a_closed_loop_leaves_is_collected(
    new_loop: loops.Factory, descriptors: None, certificates: Certificates, moment: str
) -> None:
    watched: list[weakref.ref[Any]] = []

    async def begin() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server((LOCALHOST, 0)) as listener:
            context = certificates.client()
            connecting = loop.create_connection(
                Watched, *listener.getsockname(), ssl=context, server_hostname="localhost"
            )
            task = loop.create_task(connecting)
            await asyncio.sleep(0.02)
            watched.extend(map(weakref.ref, [context, task]))

    async def open_one() -> None:
        contexts = certificates.server(), certificates.client()
        watched.extend(map(weakref.ref, contexts))
        server, client, accepted = await connect(asyncio.get_running_loop(), *contexts)
        watched.extend(map(weakref.ref, [client, accepted, client.transport, accepted.transport]))
        if moment == "closing":
            accepted.transport._ssl_protocol._transport.pause_reading()
            client.transport.close()
        server.close()

    def leave(loop: Loop) -> None:
        loop.run_until_complete(begin() if moment == "handshake" else open_one())
        loop.set_exception_handler(lambda *_: None)
        loop.close()

    leave(new_loop())
    for _ in range(3):
        gc.collect()
    assert [ref() for ref in watched if ref() is not None] == []


def test_connections_leave_no_memory(loop: Loop, certificates: Certificates) -> None:
    contexts = certificates.server(), certificates.client()

    async def main() -> None:
        server, client, accepted = await connect(loop, *contexts)
        accepted.transport.write(bytes(100_000))
        client.transport.write(bytes(100_000))
        client.transport.close()
        await lose([client, accepted])
        server.close()
        await server.wait_closed()

    assert_no_growth(lambda: loop.run_until_complete(main()), 100)


SERVER = """
import asyncio, json, os, ssl, sys
from tests import loops

class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(data)

def resident_kib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

async def main(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, ssl=context)
    print(json.dumps(server.sockets[0].getsockname()), flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(resident_kib(), flush=True)

with asyncio.Runner(loop_factory=loops.factory_named(sys.argv[1])) as runner:
    runner.run(main(*sys.argv[2:]))
"""


def test_an_idle_connection_costs_little(
    request: pytest.FixtureRequest, certificates: Certificates
) -> None:
    loop = request.config.getoption("--loop")
    arguments = [loop, str(certificates.file("localhost.pem")), certificates.key("localhost")]
    context = certificates.client()
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        address = tuple(json.loads(server.stdout.readline()))

        def use() -> ssl.SSLSocket:
            plain = socket.create_connection(address)
            connection = context.wrap_socket(plain, server_hostname="localhost")
            connection.sendall(bytes(1024))
            left = 1024
            while left:
                left -= len(connection.recv(left))
            return connection

        def memory() -> int:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write("\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        # What the first connections bring into being stays.
        for connection in [use() for _ in range(20)]:
            connection.close()
        before = memory()
        connections = [use() for _ in range(CONNECTIONS)]
        kib = (memory() - before) / CONNECTIONS
        for connection in connections:
            connection.close()
        server.stdin.close()
    print(f"{kib:.1f} KiB a connection")
    assert kib < MOST_KIB_A_CONNECTION
