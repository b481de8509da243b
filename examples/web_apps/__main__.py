"""A library of tools as a web application, three times, and a page that counts; all under load.

    ferrio run examples/web_apps                    a tour of all, then a small load
    ferrio run examples/web_apps serve starlette    one: aiohttp, starlette, django or counter
    ferrio run examples/web_apps serve counter      ... http://127.0.0.1:8000 in two windows
    ferrio run examples/web_apps load --requests 5000 --plot load.svg

Without --dsn (or the variable DATABASE_URL) a private Postgres is started and deleted in the end;
see examples/postgres/embedded.py for where it comes from.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from pathlib import Path

import load
import parts
import serving
import tour
from database import open_database


async def main(options: argparse.Namespace) -> None:
    loop = type(asyncio.get_running_loop())
    print(f"running on {loop.__module__}.{loop.__qualname__}", flush=True)
    if options.command == "serve":
        parts.require(options.name)
        if options.until_eof:
            await serving.end_with_input()
        if options.name == "counter":
            await serving.serve(options.name, options.port, None)
        else:
            async with open_database(options.dsn) as dsn:
                await serving.serve(options.name, options.port, dsn)
        return
    if options.plot is not None:
        parts.require("plot")
    async with open_database(options.dsn) as dsn:
        if options.command in ("tour", None):
            print("\ntour: each application is used once")
            await tour.run(dsn)
        if options.command in ("load", None):
            print(f"\nload: {options.requests} requests to each, {options.crowd} at a time")
            await load.run(dsn, options.requests, options.crowd, options.plot)
    if options.command is None:
        parts.report()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def drawing(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".svg", ".png"):
        raise argparse.ArgumentTypeError("a file that ends in .svg or .png")
    return path


def parse() -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--dsn",
        default=os.environ.get("DATABASE_URL"),
        help="the database to use (default: $DATABASE_URL, or a private server)",
    )
    loading = argparse.ArgumentParser(add_help=False)
    loading.add_argument(
        "--requests", type=positive, default=1000, help="to each application (default: 1000)"
    )
    loading.add_argument(
        "--crowd", type=positive, default=16, help="requests at a time (default: 16)"
    )
    loading.add_argument(
        "--plot", type=drawing, metavar="FILE", help="draw the result into FILE, .svg or .png"
    )
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common, loading],
    )
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    serve = commands.add_parser("serve", help="run one application", parents=[common])
    serve.add_argument("name", choices=[*serving.REST, "counter"])
    serve.add_argument("--port", type=int, default=8000, help="0 for any (default: 8000)")
    serve.add_argument("--until-eof", action="store_true", help="end when standard input ends, too")
    commands.add_parser("tour", help="use each application once", parents=[common])
    commands.add_parser(
        "load",
        help="the same load on each application",
        description=load.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common, loading],
    )
    return parser.parse_args()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(parse()))
