"""No connection ever sees bytes of another, whatever is cancelled and whichever numbers reused."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from typing import Any

import pytest

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
def test_tagged_connections_amid_cancelled_ones(loop: Loop, seed: int) -> None:
    rng = random.Random(seed)
    foreign: list[bytes] = []
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
        writer.write_eof()
        rest = await reader.read()
        foreign.extend(
            rest[i : i + TAG_SIZE]
            for i in range(0, len(rest), TAG_SIZE)
            if rest[i : i + TAG_SIZE] != tag
        )
        writer.close()

    over: list[bool] = []

    async def disturb(address: tuple[str, int]) -> None:
        """Connects, by name or on a socket of its own, and is cancelled anywhere."""
        while not over:
            if rng.random() < 0.5:
                task = asyncio.create_task(loop.create_connection(asyncio.Protocol, *address))
            else:
                sock = socket.socket()
                sock.setblocking(False)
                task = asyncio.create_task(connect(sock, address))
            for _ in range(rng.randrange(5)):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                transport, _ = await task
                transport.write(b"DISTURB!")
                transport.abort() if rng.random() < 0.5 else transport.close()

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
        disturbing = [asyncio.create_task(disturb(address)) for _ in range(3)]
        async with asyncio.timeout(60):
            for wave in range(3):
                talks = (talk(address, 100 * wave + n, rng.randrange(1, 20)) for n in range(60))
                await asyncio.gather(*talks)
        over.append(True)
        await asyncio.wait(disturbing)
        server.close()
        await asyncio.sleep(0.05)

    loop.run_until_complete(main())
    assert foreign == []
