"""Echo with `asyncio.BufferedProtocol`: the loop receives into a buffer of ours."""

from __future__ import annotations

import asyncio
from typing import cast

from .address import Address


class Echo(asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(64 * 1024))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        # A copy, as the buffer is used again at once, and a transport may hold on to what it is
        # given (asyncio keeps a view since 3.12). Correct programs pay for this on every loop.
        self.transport.write(bytes(self.buffer[:nbytes]))


async def serve(address: Address) -> None:
    await address.create_server(Echo)
