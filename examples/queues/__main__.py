"""Queues: a line with an end, work for later, work that makes work, priorities, stacks.

    ferrio run examples/queues               all of it, small
    ferrio run examples/queues checkout      customers and cashiers
    ferrio run examples/queues background    a web server that answers at once and works afterwards
    ferrio run examples/queues crawler       a crawler with a depth limit
    ferrio run examples/queues priorities    priorities with ties
    ferrio run examples/queues lifo          the last first

`python` in place of `ferrio run` runs the same on asyncio.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

import parts

#: All of it, small: the programs in their order, and what they are told.
SMALL: dict[str, tuple[float, ...]] = {
    "checkout": (60, 8, 0.002),
    "background": (80, 2, 50, 0),
    "crawler": (400, 4, 10, 2),
    "priorities": (),
    "lifo": (3, 8),
}


async def main(options: argparse.Namespace) -> None:
    loop = type(asyncio.get_running_loop())
    print(f"running on {loop.__module__}.{loop.__qualname__}", flush=True)
    if options.program is not None:
        parts.require(options.program)
        # What each is told are its options, in the order in which they are declared.
        told = [value for name, value in vars(options).items() if name != "program"]
        await program(options.program).run(*told)
        return
    lacking = parts.lacking()
    for name, told in SMALL.items():
        if name not in lacking:
            await program(name).run(*told)
    parts.report()


def program(name: str) -> Any:
    """Imported when it runs: some need a package, and the others can do without it."""
    return importlib.import_module(name)


def about(name: str) -> str:
    """What a program's file says about itself."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)) or ""


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="queues", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    programs = parser.add_subparsers(dest="program", metavar="PROGRAM")

    def add(name: str) -> argparse.ArgumentParser:
        text = about(name)
        return programs.add_parser(
            name,
            help=text.partition("\n")[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    shop = add("checkout")
    shop.add_argument("--customers", type=int, default=200, help="of a day (default: 200)")
    shop.add_argument("--length", type=int, default=10, help="places in the line (default: 10)")
    shop.add_argument("--pace", type=float, default=0.005, help="seconds an item (default: 0.005)")
    web = add("background")
    web.add_argument("--reports", type=int, default=200, help="handed in at once (default: 200)")
    web.add_argument(
        "--workers", type=int, default=4, help="reports worked on at once (default: 4)"
    )
    web.add_argument("--limit", type=int, default=100, help="reports that may wait (default: 100)")
    web.add_argument("--port", type=int, default=0, help="to listen on (default: any)")
    pages = add("crawler")
    pages.add_argument("--pages", type=int, default=2000, help="of the site (default: 2000)")
    pages.add_argument("--depth", type=int, default=4, help="links to follow (default: 4)")
    pages.add_argument("--workers", type=int, default=20, help="fetches at once (default: 20)")
    pages.add_argument("--timeout", type=float, default=2, help="seconds for a page (default: 2)")
    add("priorities")
    tree = add("lifo")
    tree.add_argument("--width", type=int, default=3, help="children of a node (default: 3)")
    tree.add_argument("--depth", type=int, default=9, help="levels below the first (default: 9)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        asyncio.run(main(parse(sys.argv[1:])))
    except KeyboardInterrupt:
        sys.exit(130)
