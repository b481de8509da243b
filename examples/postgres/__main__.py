"""Postgres with asyncpg, from the schema to streaming cursors, on the rides of a tram network.

    ferrio run examples/postgres                      all programs, on a private server
    ferrio run examples/postgres load --rides 200000
    ferrio run examples/postgres --dsn postgresql://me@localhost/scratch

Without --dsn (or the variable DATABASE_URL) a private server is started and deleted in the end; see
embedded.py for where it comes from. Everything happens in a Postgres schema named cookbook_trams,
which is dropped and made anew.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable

import cursors
import loading
import pooled
import schema
import transactions
from database import open_database

PROGRAMS: dict[str, tuple[Callable[[str, int], Awaitable[None]], str]] = {
    "schema": (schema.run, "types, tables and constraints, made in one transaction"),
    "load": (loading.run, "the same rides inserted in five ways"),
    "pool": (pooled.run, "queries side by side, on connections side by side"),
    "transactions": (transactions.run, "all or nothing, savepoints, and by hand"),
    "cursors": (cursors.run, "rows streamed through asynchronous generators"),
}


async def main(options: argparse.Namespace) -> None:
    loop = type(asyncio.get_running_loop())
    print(f"running on {loop.__module__}.{loop.__qualname__}", flush=True)
    async with open_database(options.dsn) as dsn:
        for name in [options.program] if options.program else PROGRAMS:
            run, what = PROGRAMS[name]
            print(f"\n{name}: {what}", flush=True)
            await run(dsn, options.rides)


def ride_count(text: str) -> int:
    count = int(text)
    if count < 200:
        raise argparse.ArgumentTypeError("at least 200")
    return count


def parse() -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--rides", type=ride_count, default=20000, help="how many rides (default: 20000)"
    )
    common.add_argument(
        "--dsn",
        default=os.environ.get("DATABASE_URL"),
        help="the database to use (default: $DATABASE_URL, or a private server)",
    )
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    commands = parser.add_subparsers(dest="program", title="programs", metavar="PROGRAM")
    for name, (run, what) in PROGRAMS.items():
        commands.add_parser(
            name,
            help=what,
            description=run.__globals__["__doc__"],
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
        )
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parse()))
