"""Echo with `asyncio.Protocol`: what most servers and drivers are built on."""

from __future__ import annotations

import asyncio
from typing import cast

from .address import Address


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def serve(address: Address) -> None:
    await address.create_server(Echo)
