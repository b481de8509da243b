"""load: the same rides inserted in five ways, and how long each takes.

Each `execute` of its own is a round trip and a transaction; a transaction around them saves the
second. `executemany` sends them in batches without waiting between, `unnest` sends the columns as
arrays in one statement, and COPY is what Postgres has for it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import asyncpg
import network
import schema

INSERT = "insert into ride (card_id, from_stop, to_stop, boarded_at, fare) "
VALUES = INSERT + "values ($1, $2, $3, $4, $5)"
UNNEST = (
    INSERT + "select * from unnest($1::int[], $2::int[], $3::int[], $4::timestamptz[], $5::int[])"
)

#: Of the ways that go row by row: enough to see their rate.
FEW = 2000


async def run(dsn: str, rides: int) -> None:
    connection = await schema.connect(dsn)
    try:
        await schema.create(connection)
        few, all_rides = [*network.rides(min(rides, FEW))], [*network.rides(rides)]
        ways: list[tuple[str, Way, list[network.Ride]]] = [
            ("execute, each by itself", one_by_one, few),
            ("execute, in one transaction", in_one_transaction, few),
            ("executemany", in_batches, all_rides),
            ("insert ... select unnest", as_arrays, all_rides),
            ("copy_records_to_table", by_copy, all_rides),
        ]
        for what, way, rows in ways:
            await connection.execute("truncate ride")
            start = time.perf_counter()
            await way(connection, rows)
            seconds = time.perf_counter() - start
            count = await connection.fetchval("select count(*) from ride")
            print(f"  {what:30} {count:7} rows {seconds:7.2f} s {count / seconds:9.0f}/s")
            if count != len(rows):
                raise RuntimeError(f"{what}: {count} rows arrived of {len(rows)}")
    finally:
        await connection.close()


Way = Callable[[asyncpg.Connection, list[network.Ride]], Awaitable[None]]


async def one_by_one(connection: asyncpg.Connection, rows: list[network.Ride]) -> None:
    for row in rows:
        await connection.execute(VALUES, *row)


async def in_one_transaction(connection: asyncpg.Connection, rows: list[network.Ride]) -> None:
    async with connection.transaction():
        await one_by_one(connection, rows)


async def in_batches(connection: asyncpg.Connection, rows: list[network.Ride]) -> None:
    await connection.executemany(VALUES, rows)


async def as_arrays(connection: asyncpg.Connection, rows: list[network.Ride]) -> None:
    await connection.execute(UNNEST, *map(list, zip(*rows, strict=True)))


async def by_copy(connection: asyncpg.Connection, rows: list[network.Ride]) -> None:
    await connection.copy_records_to_table("ride", records=rows, columns=schema.RIDE_COLUMNS)
