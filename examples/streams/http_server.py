"""A small HTTP server by streams, which ends its bodies in each of the three ways there are."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator

#: Paths are /FRAMING/SIZE: the body is SIZE bytes that everyone can compute.
FRAMINGS = ("length", "chunks", "eof")
CHUNK = 700


def body_of(size: int) -> bytes:
    """`size` bytes, the same for everyone who asks."""
    blocks = (hashlib.sha256(b"%d" % n).digest() for n in range(size // 32 + 1))
    return b"".join(blocks)[:size]


@contextlib.asynccontextmanager
async def http_server() -> AsyncIterator[int]:
    """Serves for the time of the block; yields the port."""
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request, one answer, and the connection ends."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode("latin-1")
        _, framing, size = path.split("/")
        await send_body(writer, framing, body_of(int(size)))
    except (ValueError, IndexError):
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client has left
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def send_body(writer: asyncio.StreamWriter, framing: str, body: bytes) -> None:
    chunks = (body[start : start + CHUNK] for start in range(0, len(body), CHUNK))
    if framing == "length":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        writer.write(body)
    elif framing == "chunks":
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            # Without this a slow client would have the server keep the whole body in memory.
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    elif framing == "eof":
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
    else:
        raise ValueError(framing)
    await writer.drain()
