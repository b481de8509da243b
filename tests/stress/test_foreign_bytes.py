"""No connection ever sees bytes of another, whatever is cancelled and whichever numbers reused."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.certificates import Certificates

from .conftest import Load

Loop = asyncio.AbstractEventLoop
LOCALHOST = "127.0.0.1"
TAG_SIZE = 8


class TaggedEcho(asyncio.Protocol):
    """Sends every byte back; the first bytes of a connection are its tag, all others repeat it."""

    foreign: list[bytes]

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.received = bytearray()

    def data_received(self, data: bytes) -> None:
        self.received += data
        tag = bytes(self.received[:TAG_SIZE])
        while len(self.received) >= 2 * TAG_SIZE:
            if self.received[TAG_SIZE : 2 * TAG_SIZE] != tag:
                self.foreign.append(bytes(self.received[TAG_SIZE : 2 * TAG_SIZE]))
            del self.received[TAG_SIZE : 2 * TAG_SIZE]
        self.transport.write(data)


@pytest.mark.parametrize("seed", [1, 2])
def test_tagged_connections_amid_cancelled_ones(
    loop: Loop,
    certificates: Certificates,
    seed: int,
    load: Load,
    figures: Callable[[str], None],
) -> None:
    """Connections that are given up anywhere on their way, by name, on sockets, with TLS."""
    wanted = load(400, 50_000)
    rng = random.Random(seed)
    foreign: list[bytes] = []
    done: Counter[str] = Counter()
    Echo = type("Echo", (TaggedEcho,), {"foreign": foreign})

    async def talk(address: tuple[str, int], number: int, rounds: int) -> None:
        tag = b"%08d" % number
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(rounds):
            writer.write(tag * rng.randrange(1, 50))
            if rng.random() < 0.3:
                await asyncio.sleep(0)
            await writer.drain()
            answer = await reader.readexactly(TAG_SIZE)
            if answer != tag:
                foreign.append(answer)
            done["answers"] += 1
        writer.write_eof()
        rest = await reader.read()
        foreign.extend(
            rest[i : i + TAG_SIZE]
            for i in range(0, len(rest), TAG_SIZE)
            if rest[i : i + TAG_SIZE] != tag
        )
        writer.close()

    client_context = certificates.client()

    async def disturb(address: tuple[str, int], tls_address: tuple[str, int]) -> None:
        """Connects, by name or on a socket of its own, and is cancelled anywhere."""
        while done["given up"] < wanted:
            chance = rng.random()
            turns = rng.randrange(5)
            attempt: Any
            if chance < 0.4:
                attempt = loop.create_connection(asyncio.Protocol, *address)
            elif chance < 0.8:
                sock = socket.socket()
                sock.setblocking(False)
                attempt = connect(sock, address)
            elif chance < 0.9:
                turns = rng.randrange(12)
                attempt = loop.create_connection(
                    asyncio.Protocol, *tls_address, ssl=client_context, server_hostname="localhost"
                )
            else:
                turns = rng.randrange(12)
                attempt = upgrade(tls_address)
            task = asyncio.create_task(attempt)
            for _ in range(turns):
                await asyncio.sleep(0)
            done["given up"] += task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                transport, _ = await task
                transport.write(b"DISTURB!")
                transport.abort() if rng.random() < 0.5 else transport.close()

    async def upgrade(address: tuple[str, int]) -> Any:
        transport, protocol = await loop.create_connection(asyncio.Protocol, *address)
        try:
            upgraded = await loop.start_tls(
                transport, protocol, client_context, server_hostname="localhost"
            )
        except BaseException:
            transport.abort()
            raise
        return upgraded, protocol

    async def connect(sock: socket.socket, address: tuple[str, int]) -> Any:
        try:
            await loop.sock_connect(sock, address)
            return await loop.create_connection(asyncio.Protocol, sock=sock)
        except BaseException:
            sock.close()
            raise

    async def main() -> None:
        server = await loop.create_server(Echo, LOCALHOST, 0, backlog=500)
        address = server.sockets[0].getsockname()
        tls_server = await loop.create_server(
            Echo, LOCALHOST, 0, backlog=500, ssl=certificates.server()
        )
        tls_address = tls_server.sockets[0].getsockname()
        disturbing = [asyncio.create_task(disturb(address, tls_address)) for _ in range(3)]
        async with asyncio.timeout(load(60, 1500)):
            wave = 0
            while wave < 3 or done["given up"] < wanted:
                talks = (talk(address, 100 * wave + n, rng.randrange(1, 20)) for n in range(60))
                await asyncio.gather(*talks)
                wave += 1
        await asyncio.wait(disturbing)
        for task in disturbing:
            task.result()
        server.close()
        tls_server.close()
        await asyncio.sleep(0.05)

    loop.run_until_complete(main())
    gc.collect()
    assert foreign == []
    figures(
        f"{done['given up']} connections given up on their way; {done['answers']} answers and all "
        "that followed them belonged to who asked"
    )
