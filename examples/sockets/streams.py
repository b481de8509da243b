"""And as one would write it: a server, a reader and a writer for each visitor.

`write` never waits, it only keeps what the socket does not take. `drain` waits while there is too
much of that: without it, a visitor who does not read fills the memory.
"""

from __future__ import annotations

import asyncio

from visitors import Crowd, Report, visit


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError as error:
        print(f"  a visitor was cut off: {error}")
    finally:
        writer.close()


async def main(crowd: Crowd) -> Report:
    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=1000)
    async with server:
        return await visit(server.sockets[0].getsockname(), crowd)
