"""asyncpg against a real Postgres."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import uuid

import asyncpg
import pytest

from .conftest import Run


def test_queries_and_types(run: Run, postgres: str) -> None:
    values = [
        5,
        "text",
        b"bytes",
        1.5,
        True,
        decimal.Decimal("1.25"),
        datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        uuid.UUID(int=5),
        [1, 2, 3],
        None,
    ]
    types = [
        "int",
        "text",
        "bytea",
        "float8",
        "bool",
        "numeric",
        "timestamptz",
        "uuid",
        "int[]",
        "text",
    ]

    async def main() -> None:
        connection = await asyncpg.connect(postgres, ssl=False)
        try:
            columns = ", ".join(f"${n + 1}::{kind}" for n, kind in enumerate(types))
            row = await connection.fetchrow(f"select {columns}", *values)
            assert list(row.values()) == values
            assert len(await connection.fetch("select generate_series(1, 100000)")) == 100_000
            assert await connection.fetchval("select repeat('x', 10000000)") == "x" * 10_000_000
        finally:
            await connection.close()

    run(main())


async def fail_halfway(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        await connection.execute("delete from things where id > 10")
        await connection.execute("insert into things values (1, 'again')")


def test_transactions_and_copies(run: Run, postgres: str) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(postgres, ssl=False)
        try:
            await connection.execute("create temp table things (id int primary key, name text)")
            rows = [(n, f"thing {n}") for n in range(10_000)]
            await connection.copy_records_to_table("things", records=rows)
            with pytest.raises(asyncpg.UniqueViolationError):
                await fail_halfway(connection)
            assert await connection.fetchval("select count(*) from things") == 10_000
            async with connection.transaction():
                seen = [record["id"] async for record in connection.cursor("table things")]
            assert sorted(seen) == list(range(10_000))
            await connection.executemany(
                "insert into things values ($1, $2)", [(-n, "more") for n in range(1, 1000)]
            )
        finally:
            await connection.close()

    run(main())


def test_a_pool_under_load(run: Run, postgres: str) -> None:
    async def main() -> None:
        async with asyncpg.create_pool(postgres, ssl=False, min_size=2, max_size=10) as pool:

            async def ask(number: int) -> int:
                return int(await pool.fetchval("select $1::int * 2", number))

            answers = await asyncio.gather(*map(ask, range(500)))
            assert answers == [number * 2 for number in range(500)]

    run(main())


def test_listen_and_notify(run: Run, postgres: str) -> None:
    async def main() -> None:
        listener = await asyncpg.connect(postgres, ssl=False)
        sender = await asyncpg.connect(postgres, ssl=False)
        got: asyncio.Queue[str] = asyncio.Queue()
        await listener.add_listener("news", lambda *args: got.put_nowait(args[-1]))
        for number in range(20):
            await sender.execute(f"notify news, '{number}'")
            assert await asyncio.wait_for(got.get(), 10) == str(number)
        await listener.close()
        await sender.close()

    run(main())


def test_a_cancelled_query_leaves_the_connection_usable(run: Run, postgres: str) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(postgres, ssl=False)
        try:
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await connection.fetchval("select pg_sleep(30)", timeout=0.1)
                assert await connection.fetchval("select 1") == 1
        finally:
            await connection.close()

    run(main())


def test_a_server_that_is_not_there(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="Connect"):
            await asyncpg.connect("postgresql://tests@127.0.0.1:1/postgres", ssl=False)

    run(main())
