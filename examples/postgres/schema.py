"""schema: types, tables, constraints and indexes, made in one transaction.

In Postgres that works for tables too: if the last statement fails, the first was never there. What
must always be true is written here, as constraints, and not in the programs: a balance is never
negative, a ride is by a card that exists.
"""

from __future__ import annotations

import asyncpg
import network

#: Everything is in a Postgres schema of its own; the rest of the database is left alone.
NAME = "cookbook_trams"

STATEMENTS = f"""
drop schema if exists {NAME} cascade;
create schema {NAME};
set search_path to {NAME};

create type card_kind as enum ('adult', 'child', 'senior');

create table stop (
    id    integer primary key,
    name  text not null unique,
    zone  integer not null check (zone between 1 and 4)
);

create table card (
    id       integer primary key,
    holder   text not null,
    kind     card_kind not null,
    balance  integer not null constraint balance_is_not_negative check (balance >= 0)
);

create table ride (
    id          bigint generated always as identity primary key,
    card_id     integer not null references card,
    from_stop   integer not null references stop,
    to_stop     integer not null references stop,
    boarded_at  timestamptz not null,
    fare        integer not null check (fare > 0),
    check (from_stop <> to_stop)
);
create index on ride (card_id);
create index on ride (from_stop);
"""

RIDE_COLUMNS = ("card_id", "from_stop", "to_stop", "boarded_at", "fare")


async def run(dsn: str, rides: int) -> None:
    connection = await connect(dsn)
    try:
        await create(connection)
        columns = await connection.fetch(
            "select table_name, string_agg(column_name, ', ' order by ordinal_position) as names"
            "  from information_schema.columns where table_schema = $1"
            "  group by table_name order by table_name",
            NAME,
        )
        for table in columns:
            print(f"  {table['table_name']:5} {table['names']}")
        for values in [(2001, "holder", "adult", -1), (2001, "holder", "ghost", 100)]:
            try:
                await connection.execute("insert into card values ($1, $2, $3, $4)", *values)
            except asyncpg.PostgresError as error:
                print(f"  a card {values}: {type(error).__name__}")
    finally:
        await connection.close()


async def connect(dsn: str) -> asyncpg.Connection:
    return await asyncpg.connect(dsn, server_settings={"search_path": NAME})


def open_pool(dsn: str, size: int) -> asyncpg.Pool:
    """For `async with`. All connections are opened at its beginning, none by the first queries."""
    settings = {"search_path": NAME}
    return asyncpg.create_pool(dsn, min_size=size, max_size=size, server_settings=settings)


async def create(connection: asyncpg.Connection) -> None:
    """The tables, empty except for stops and cards; what was there before is dropped."""
    async with connection.transaction():
        await connection.execute(STATEMENTS)
        await connection.copy_records_to_table("stop", records=network.stops())
        await connection.copy_records_to_table("card", records=network.cards())


async def fill(dsn: str, rides: int) -> None:
    """The tables, with `rides` rides in them."""
    connection = await connect(dsn)
    try:
        await create(connection)
        await connection.copy_records_to_table(
            "ride", records=network.rides(rides), columns=RIDE_COLUMNS
        )
        # The planner goes by statistics, which are otherwise gathered some time later.
        await connection.execute("analyze")
    finally:
        await connection.close()
