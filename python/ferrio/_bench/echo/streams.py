"""Echo with asyncio's streams: `await reader.read()`, `writer.write()`, `await writer.drain()`."""

from __future__ import annotations

import asyncio

from .address import Address


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(64 * 1024):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def serve(address: Address) -> None:
    await address.start_server(handle)
