"""pool: queries side by side need connections side by side.

A connection of Postgres does one thing at a time. Two tasks that share one get an error, not a
queue; a pool lends each of them one, and lets them wait if none is left.
"""

from __future__ import annotations

import asyncio
import time

import asyncpg
import schema

SIZE = 8
QUERIES = 80

#: Something that takes the server ten milliseconds, none of them ours.
SLOW = "select pg_sleep(0.01)"

BUSIEST = """
select stop.name, count(*) as rides from ride join stop on stop.id = ride.from_stop
 group by stop.name order by rides desc, stop.name limit 3
"""
FARES = """
select card.kind, sum(ride.fare) as cents from ride join card on card.id = ride.card_id
 group by card.kind order by card.kind
"""
RIDES_OF = "select count(*) from ride where card_id = $1"


async def run(dsn: str, rides: int) -> None:
    await schema.fill(dsn, rides)
    async with schema.open_pool(dsn, SIZE) as pool:
        await one_at_a_time(pool)
        await side_by_side(pool)
        await shared_by_mistake(pool)
        await none_left(pool)
        await reports(pool)
        await many_lookups(pool, rides)


async def one_at_a_time(pool: asyncpg.Pool) -> None:
    start = time.perf_counter()
    async with pool.acquire() as connection:
        for _ in range(QUERIES):
            await connection.execute(SLOW)
    seconds = time.perf_counter() - start
    print(f"  {QUERIES} queries of 10 ms, one connection {seconds:7.2f} s")


async def side_by_side(pool: asyncpg.Pool) -> None:
    start = time.perf_counter()
    await asyncio.gather(*(pool.execute(SLOW) for _ in range(QUERIES)))
    seconds = time.perf_counter() - start
    print(f"  {QUERIES} queries of 10 ms, a pool of {SIZE}    {seconds:7.2f} s")


async def shared_by_mistake(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        outcomes = await asyncio.gather(
            *(connection.execute(SLOW) for _ in range(2)), return_exceptions=True
        )
    (error,) = (outcome for outcome in outcomes if isinstance(outcome, Exception))
    print(f"  two tasks on one connection: {type(error).__name__}: {error}")


async def none_left(pool: asyncpg.Pool) -> None:
    """Whoever holds a connection while it waits for another can wait for itself."""
    held = [await pool.acquire() for _ in range(SIZE)]
    try:
        await pool.acquire(timeout=0.1)
    except TimeoutError:
        print(f"  acquire(timeout=0.1) with {SIZE} of {SIZE} lent: TimeoutError")
    finally:
        for connection in held:
            await pool.release(connection)


async def reports(pool: asyncpg.Pool) -> None:
    """Two questions to the same tables at the same time."""
    busiest, fares = await asyncio.gather(pool.fetch(BUSIEST), pool.fetch(FARES))
    print("  busiest stops: " + ", ".join(f"{row['name']} ({row['rides']})" for row in busiest))
    print("  fares: " + ", ".join(f"{row['kind']} {row['cents'] / 100:.2f}" for row in fares))


async def many_lookups(pool: asyncpg.Pool, rides: int) -> None:
    """As many tasks as there are cards, on as few connections as there are."""
    cards = [row["id"] for row in await pool.fetch("select id from card")]
    start = time.perf_counter()
    counts = await asyncio.gather(*(pool.fetchval(RIDES_OF, card) for card in cards))
    seconds = time.perf_counter() - start
    print(
        f"  {len(cards)} tasks on {SIZE} connections: {len(cards) / seconds:.0f} queries/s; "
        f"rides counted: {sum(counts)} of {rides}"
    )
