"""The `websockets` package: server and client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from .conftest import LOCALHOST, Run


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


def address(server: Any) -> str:
    return f"ws://{LOCALHOST}:{server.sockets[0].getsockname()[1]}"


def test_messages_of_all_sizes(run: Run) -> None:
    async def main() -> None:
        async with serve(echo, LOCALHOST, 0) as server, connect(address(server)) as socket:
            for size in (0, 1, 125, 126, 65535, 65536, 1 << 19):
                await socket.send("x" * size)
                assert await socket.recv() == "x" * size
                await socket.send(bytes(size))
                assert await socket.recv() == bytes(size)

    run(main())


def test_many_clients(run: Run) -> None:
    async def main() -> None:
        async with serve(echo, LOCALHOST, 0) as server:

            async def talk(number: int) -> None:
                async with connect(address(server)) as socket:
                    for _ in range(10):
                        await socket.send(str(number))
                        assert await socket.recv() == str(number)

            await asyncio.gather(*map(talk, range(50)))

    run(main())


def test_pings(run: Run) -> None:
    async def main() -> None:
        async with serve(echo, LOCALHOST, 0) as server, connect(address(server)) as socket:
            latency = await asyncio.wait_for(await socket.ping(), 10)
            assert 0 < latency < 10

    run(main())


def test_the_server_closes(run: Run) -> None:
    async def bye(socket: ServerConnection) -> None:
        await socket.close(4002, "bye")

    async def main() -> None:
        async with serve(bye, LOCALHOST, 0) as server, connect(address(server)) as socket:
            with pytest.raises(websockets.ConnectionClosed) as caught:
                await socket.recv()
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4002, "bye")

    run(main())


def test_the_connection_breaks(run: Run) -> None:
    async def cut(socket: ServerConnection) -> None:
        socket.transport.abort()

    async def main() -> None:
        async with serve(cut, LOCALHOST, 0) as server, connect(address(server)) as socket:
            with pytest.raises(websockets.ConnectionClosedError):
                await socket.recv()

    run(main())


def test_slow_readers_hold_the_writer_back(run: Run) -> None:
    async def flood(socket: ServerConnection) -> None:
        for _ in range(200):
            await socket.send(bytes(100_000))

    async def main() -> None:
        async with serve(flood, LOCALHOST, 0) as server, connect(address(server)) as socket:
            await asyncio.sleep(0.1)
            count = 0
            async for message in socket:
                count += len(message)
            assert count == 20_000_000

    run(main())
