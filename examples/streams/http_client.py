"""An HTTP client, written twice: on a transport and a protocol, and on streams.

A protocol is called: it has no place where it waits, keeps what it knows in attributes, and tells
its caller by a future. Streams are such a protocol, made once, with a coroutine in front of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from http_parser import (
    Answer,
    AnswerParser,
    BadAnswer,
    Stage,
    body_length,
    chunk_size,
    is_chunked,
    parse_head,
)
from http_server import FRAMINGS, body_of, http_server


@dataclass(frozen=True)
class Target:
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Target:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"not an http:// URL: {url!r}")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname, parts.port or 80, path)

    def request(self) -> bytes:
        lines = (
            f"GET {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "Connection: close",
            "",
            "",
        )
        return "\r\n".join(lines).encode("ascii")


class GetProtocol(asyncio.Protocol):
    """Sends one request; `answer` is done when all of the answer has come."""

    def __init__(self, target: Target) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._target = target
        self._parser = AnswerParser()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._target.request())

    def data_received(self, data: bytes) -> None:
        # What is raised here would end in the loop's log, and the caller would wait for ever.
        try:
            self._parser.feed(data)
        except BadAnswer as problem:
            self._fail(problem)
        self._settle()

    def eof_received(self) -> None:
        try:
            self._parser.feed_eof()
        except BadAnswer as problem:
            self._fail(problem)
        self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or BadAnswer("the connection was closed"))

    def _settle(self) -> None:
        if self._parser.stage is Stage.COMPLETE and not self.answer.done():
            self.answer.set_result(self._parser.answer)

    def _fail(self, problem: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(problem)


async def get_by_protocol(url: str) -> Answer:
    target = Target.parse(url)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(
        lambda: GetProtocol(target), target.host, target.port
    )
    try:
        return await protocol.answer
    finally:
        transport.abort()


async def get_by_streams(url: str) -> Answer:
    target = Target.parse(url)
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        writer.write(target.request())
        answer = parse_head((await reader.readuntil(b"\r\n\r\n"))[:-4])
        length = body_length(answer)
        if is_chunked(answer):
            while size := chunk_size(await reader.readuntil(b"\r\n")):
                answer.body += await reader.readexactly(size)
                await reader.readexactly(2)
        elif length is not None:
            answer.body += await reader.readexactly(length)
        else:
            answer.body += await reader.read()
        return answer
    except asyncio.IncompleteReadError:
        raise BadAnswer("the connection ended before the answer did") from None
    finally:
        writer.close()


async def run(urls: list[str], count: int, seconds: float) -> None:
    """Fetches `urls`, or, if there are none, `count` pages of a server of our own in both ways."""
    for url in urls:
        async with asyncio.timeout(seconds):
            answer = await get_by_protocol(url)
        print(f"{url}: {answer.status} {answer.reason}, {len(answer.body)} bytes")
    if not urls:
        async with http_server() as port:
            await measure(get_by_protocol, "transport and protocol", port, count, seconds)
            await measure(get_by_streams, "streams", port, count, seconds)


async def measure(
    get: Callable[[str], Awaitable[Answer]], name: str, port: int, count: int, seconds: float
) -> None:
    # A connection for each, but not so many at once that the listener's backlog overflows.
    limit = asyncio.Semaphore(64)

    async def get_one(number: int) -> int:
        size = 37 * number
        url = f"http://127.0.0.1:{port}/{FRAMINGS[number % len(FRAMINGS)]}/{size}"
        async with limit, asyncio.timeout(seconds):
            answer = await get(url)
        if answer.status != 200 or answer.body != body_of(size):
            raise AssertionError(f"{url}: {answer.status}, {len(answer.body)} bytes")
        return size

    start = time.perf_counter()
    sizes = await asyncio.gather(*map(get_one, range(count)))
    took = time.perf_counter() - start
    print(
        f"HTTP by {name}: {count} answers, {sum(sizes)} bytes, all as expected, {1e3 * took:.0f} ms"
    )
