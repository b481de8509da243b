"""Echo with `asyncio.DatagramProtocol`, over UDP."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from .address import Address


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.transport.sendto(data, addr)


async def serve(address: Address) -> None:
    await address.create_datagram_endpoint(Echo)
