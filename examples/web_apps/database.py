"""The database: one that was named, or a private server for the time of the program."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
from tools import TOOLS

#: Everything is in a Postgres schema of its own; the rest of the database is left alone.
SCHEMA = "cookbook_tools"

STATEMENTS = f"""
create schema if not exists {SCHEMA};
create table if not exists {SCHEMA}.tool (
    id           integer generated always as identity primary key,
    name         text not null unique,
    category     text not null,
    cents_a_day  integer not null check (cents_a_day > 0)
);
"""

#: Of the example about Postgres: prints a DSN, and lives until its standard input ends.
EMBEDDED = Path(__file__).resolve().parents[1] / "postgres" / "embedded.py"


@contextlib.asynccontextmanager
async def open_database(dsn: str | None) -> AsyncIterator[str]:
    """`dsn`, or that of a server that lives as long as the block, with the table of tools in it."""
    async with contextlib.AsyncExitStack() as stack:
        if dsn is None:
            dsn = await stack.enter_async_context(private_server())
        await fill(dsn)
        yield dsn


@contextlib.asynccontextmanager
async def private_server() -> AsyncIterator[str]:
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        EMBEDDED,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # A Ctrl-C at the terminal must not reach it before us.
        start_new_session=True,
    )
    if server.stdin is None or server.stdout is None:
        raise RuntimeError("asked for pipes, got none")
    try:
        line = await server.stdout.readline()
        if not line:
            sys.exit(1)  # It has said why.
        yield line.decode().rstrip("\n")
    finally:
        server.stdin.close()
        try:
            await server.wait()
        except asyncio.CancelledError:
            # A Ctrl-C while it ends. We wait all the same: asyncio kills a process that nobody
            # holds any more, and what this one was about to delete would stay.
            await server.wait()
            raise


async def fill(dsn: str) -> None:
    """Makes the table if there is none, and puts the tools into it if it is empty."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
    try:
        async with connection.transaction():
            # One at a time: several applications may be started at once on one database.
            await connection.execute("select pg_advisory_xact_lock(hashtext($1))", SCHEMA)
            await connection.execute(STATEMENTS)
            if not await connection.fetchval("select exists (select from tool)"):
                columns = ("name", "category", "cents_a_day")
                await connection.copy_records_to_table("tool", records=TOOLS, columns=columns)
    finally:
        await connection.close()


def open_pool(dsn: str, size: int) -> asyncpg.Pool:
    """For `async with`: connections that see the table of tools."""
    return asyncpg.create_pool(
        dsn, min_size=1, max_size=size, server_settings={"search_path": SCHEMA}
    )
