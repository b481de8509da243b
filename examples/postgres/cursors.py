"""cursors: rows streamed instead of fetched, through asynchronous generators.

`fetch` holds the whole result in memory; a cursor holds one portion of it, and lives in a
transaction. As an asynchronous generator it can be filtered, grouped and cut off like any other
stream, with one thing to know: a generator that is not read to its end holds its connection until
it is closed. `contextlib.aclosing` does that; leaving the loop does not.
"""

from __future__ import annotations

import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import asyncpg
import schema

ALL_RIDES = "select id, card_id, from_stop, fare, boarded_at from ride order by id"
PREFETCH = 500


async def run(dsn: str, rides: int) -> None:
    await schema.fill(dsn, rides)
    async with schema.open_pool(dsn, 2) as pool:
        await fetched(pool)
        await streamed(pool)
        await as_pipeline(pool)
        await left_early(pool)
        await by_hand(pool)
        await outside_of_a_transaction(pool)


async def fetched(pool: asyncpg.Pool) -> None:
    with Measure("fetch") as measure:
        for _ride in await pool.fetch(ALL_RIDES):
            measure.rows += 1


async def streamed(pool: asyncpg.Pool) -> None:
    with Measure(f"cursor, {PREFETCH} at a time") as measure:
        async with aclosing(all_rides(pool)) as rides:
            async for _ride in rides:
                measure.rows += 1


async def all_rides(pool: asyncpg.Pool) -> AsyncGenerator[asyncpg.Record]:
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        async for ride in connection.cursor(ALL_RIDES, prefetch=PREFETCH):
            yield ride


async def where(
    rows: AsyncIterator[asyncpg.Record], condition: Callable[[asyncpg.Record], bool]
) -> AsyncGenerator[asyncpg.Record]:
    async for row in rows:
        if condition(row):
            yield row


async def batched(
    rows: AsyncIterator[asyncpg.Record], size: int
) -> AsyncGenerator[list[asyncpg.Record]]:
    """Lists of `size` rows; the last may be shorter."""
    batch = []
    async for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def as_pipeline(pool: asyncpg.Pool) -> None:
    """Source, filter and batches: at no time is there more than a batch and a portion."""
    early = 0
    batches = 0
    stops: Counter[int] = Counter()
    async with aclosing(all_rides(pool)) as rides:
        mornings = where(rides, lambda ride: ride["boarded_at"].hour < 8)
        async for batch in batched(mornings, 100):
            batches += 1
            early += len(batch)
            stops.update(ride["from_stop"] for ride in batch)
    print(f"  before eight: {early} rides in {batches} batches, from {len(stops)} stops")


async def left_early(pool: asyncpg.Pool) -> None:
    size = pool.get_size()
    rides = all_rides(pool)
    async for _ride in rides:
        break
    print(f"  after `break`: {pool.get_idle_size()} of {size} connections free")
    await rides.aclose()
    print(f"  after `aclose()`: {pool.get_idle_size()} of {size} free")


async def by_hand(pool: asyncpg.Pool) -> None:
    """Awaited instead of iterated over, a cursor can be moved."""
    async with pool.acquire() as connection, connection.transaction():
        cursor = await connection.cursor(ALL_RIDES)
        skipped = await cursor.forward(100)
        page = await cursor.fetch(3)
        print(f"  skipped {skipped}, then rides {[ride['id'] for ride in page]}")


async def outside_of_a_transaction(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        try:
            async for _ride in connection.cursor(ALL_RIDES):
                break
        except asyncpg.NoActiveSQLTransactionError as error:
            print(f"  a cursor outside of a transaction: {type(error).__name__}")


class Measure:
    """Time and the most memory that was allocated at a time in its `with` block."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.rows = 0

    def __enter__(self) -> Measure:
        tracemalloc.start()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        seconds = time.perf_counter() - self._start
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(
            f"  {self._what:24} {self.rows:7} rows {seconds:6.2f} s, at most {peak / 1e6:6.2f} MB"
        )
