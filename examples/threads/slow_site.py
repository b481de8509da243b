"""A web site that takes its time, on a loop in a thread of its own.

Were it on the loop of the program that asks, a blocking request would wait for an answer which the
loop cannot give while it waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from loop_thread import LoopThread

BODY = b"Good things take time.\n"


@contextlib.contextmanager
def slow_site(delay: float) -> Iterator[str]:
    """Serves for the time of the block, each answer after `delay` seconds; yields the URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # Several requests a connection: clients keep it.
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(delay)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has left, or we do
        finally:
            writer.close()

    with LoopThread() as thread:
        server = thread.submit(asyncio.start_server(answer, "127.0.0.1", 0)).result()
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        finally:
            thread.submit(close(server)).result()


async def close(server: asyncio.Server) -> None:
    """A coroutine, so that the thread of the loop does it."""
    server.close()
