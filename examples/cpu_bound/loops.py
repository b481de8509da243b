"""One loop in each process: much input and output, and work to do for each of it.

A loop is for one thread, and so for one core. Each process here has a loop of its own, which
fetches many documents at once and digests them; the first process has the server, and waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from pool import SPAWN

SIZE = 20_000


def document(number: int) -> bytes:
    return hashlib.sha512(b"%d" % number).digest() * (SIZE // 64)


def digest(content: bytes) -> int:
    """Some work, on a core: a number for the content."""
    for _ in range(20):
        content = hashlib.sha512(content).digest() + content[64:]
    return int.from_bytes(content[:4], "big")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the number of a document on a line, sends its length and the document; and again."""
    try:
        while line := await reader.readline():
            content = document(int(line))
            writer.write(len(content).to_bytes(4, "big") + content)
            await writer.drain()
    except ConnectionError:
        pass  # a client that has left
    finally:
        writer.close()


@dataclass(frozen=True)
class Share:
    """What one process has done."""

    pid: int
    #: The class of the loop that it ran on.
    loop: str
    documents: int
    total: int


def work(
    new_loop: Callable[[], asyncio.AbstractEventLoop], port: int, numbers: range, connections: int
) -> Share:
    """Runs in a process of its own: a loop from beginning to end."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(fetch_all(port, numbers, connections))


async def fetch_all(port: int, numbers: range, connections: int) -> Share:
    to_fetch = iter(numbers)

    async def fetch_some() -> list[int]:
        # All tasks of this loop draw from one iterator; no two of them at the same time.
        digests = []
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in to_fetch:
            writer.write(b"%d\n" % number)
            length = int.from_bytes(await reader.readexactly(4), "big")
            digests.append(digest(await reader.readexactly(length)))
        writer.close()
        await writer.wait_closed()
        return digests

    found = await asyncio.gather(*(fetch_some() for _ in range(connections)))
    digests = [value for part in found for value in part]
    loop = type(asyncio.get_running_loop())
    return Share(os.getpid(), f"{loop.__module__}.{loop.__qualname__}", len(digests), sum(digests))


async def run(documents: int, workers: int, connections: int) -> None:
    loop = asyncio.get_running_loop()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with ProcessPoolExecutor(workers, mp_context=SPAWN) as executor:
            start = time.perf_counter()
            parts = [range(first, documents, workers) for first in range(workers)]
            # A new process knows nothing of the loop that its parent runs on, unless it is told.
            job = partial(work, type(loop), port)
            shares = await asyncio.gather(
                *(loop.run_in_executor(executor, job, part, connections) for part in parts)
            )
            took = time.perf_counter() - start
    expected = sum(digest(document(number)) for number in range(documents))
    if sum(share.total for share in shares) != expected:
        raise AssertionError("the digests are not those of the documents")
    kinds = ", ".join(sorted({share.loop for share in shares}))
    print(
        f"loops: {sum(share.documents for share in shares)} documents by {workers} processes with"
        f" {connections} connections each, {1e3 * took:.0f} ms, all digests as expected"
    )
    print(f"loops: in each process a {kinds}")
