"""aiohttp's client: one session, which keeps its connections."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from .asking import Ask

WORKERS = 50


@contextlib.asynccontextmanager
async def client(url: str) -> AsyncIterator[Ask]:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=WORKERS)) as session:

        async def get() -> None:
            async with session.get(url) as response:
                if await response.read() != b"Hello, world!":
                    raise ValueError("not what the server answers")

        yield get
