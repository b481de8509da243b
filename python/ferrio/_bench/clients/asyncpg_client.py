"""asyncpg: a pool of connections, a prepared statement with an argument."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from .asking import Ask

WORKERS = 10


@contextlib.asynccontextmanager
async def client(dsn: str) -> AsyncIterator[Ask]:
    import asyncpg  # type: ignore[import-untyped, unused-ignore]

    async with asyncpg.create_pool(dsn, min_size=WORKERS, max_size=WORKERS) as pool:

        async def query() -> None:
            if await pool.fetchval("SELECT $1::int + 1", 41) != 42:
                raise ValueError("not what the server answers")

        yield query
