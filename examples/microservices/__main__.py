"""A shop for garden seeds as five services, each a process, and what it does when one fails.

    ferrio run examples/microservices               starts all, visits the shop, and breaks it,
                                                    once for each way to guard its calls
    ferrio run examples/microservices --by hand     ... for one of them: hand or libraries
    ferrio run examples/microservices up            starts all, until Ctrl-C
    curl localhost:8000/users/1/shop                ... and this is the page

The services are `product`, `favourites`, `cart` and `inventory`, and `frontend`, which makes pages
out of what the four know. `ferrio run examples/microservices service --help` starts one by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Callable

import cart
import favourites
import frontend
import inventory
import parts
import product
import scenario
from aiohttp import web
from guards import WAYS
from service import serve
from supervisor import BEHIND, Supervisor
from yarl import URL

MAKERS: dict[str, Callable[[], web.Application]] = {
    "product": product.make_app,
    "favourites": favourites.make_app,
    "cart": cart.make_app,
    "inventory": inventory.make_app,
}


async def show(options: argparse.Namespace) -> None:
    announce()
    if options.by is not None:
        await scenario.run(options.by)
        return
    for way in WAYS:
        if way not in parts.lacking():
            await scenario.run(way)
    parts.report()


async def up(options: argparse.Namespace) -> None:
    announce()
    async with Supervisor(options.port, options.by or "hand") as supervisor:
        for name in (*BEHIND, "frontend"):
            print(f"  {name:11} {supervisor.services[name].base}")
        page = supervisor.services["frontend"].base / "users/1/shop"
        print(f"the page is {page}; Ctrl-C ends it", flush=True)
        await asyncio.Event().wait()


async def run_service(options: argparse.Namespace) -> None:
    if options.name == "frontend":
        bases = {name: getattr(options, name) for name in BEHIND}
        app = frontend.make_app(bases, options.by or "hand")
    else:
        app = MAKERS[options.name]()
    await serve(app, options.name, options.port, until_eof=options.until_eof)


def announce() -> None:
    loop = type(asyncio.get_running_loop())
    print(f"running on {loop.__module__}.{loop.__qualname__}", flush=True)


def parse() -> argparse.Namespace:
    guarding = argparse.ArgumentParser(add_help=False)
    guarding.add_argument(
        "--by",
        choices=WAYS,
        # A default would be put in the place of what stands before the command.
        default=argparse.SUPPRESS,
        help="who retries and breaks circuits: the recipe's own code, or tenacity and pybreaker",
    )
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[guarding],
    )
    parser.set_defaults(run=show, by=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    all_of_them = commands.add_parser(
        "up", help="start all services, until Ctrl-C", parents=[guarding]
    )
    all_of_them.add_argument(
        "--port", type=int, default=8000, help="of the frontend (default: 8000)"
    )
    all_of_them.set_defaults(run=up)
    one = commands.add_parser("service", help="run one service in this process", parents=[guarding])
    one.add_argument("name", choices=[*BEHIND, "frontend"])
    one.add_argument("--port", type=int, default=0, help="port to serve on (default: any)")
    one.add_argument("--until-eof", action="store_true", help="end when standard input ends, too")
    for name in BEHIND:
        one.add_argument(
            f"--{name}", type=URL, metavar="URL", help=f"frontend: where the {name} service is"
        )
    one.set_defaults(run=run_service)
    options = parser.parse_args()
    if options.by is not None:
        parts.require(options.by)
    if options.run is run_service and options.name == "frontend":
        for name in BEHIND:
            if getattr(options, name) is None:
                one.error(f"the frontend needs --{name}")
    return options


if __name__ == "__main__":
    options = parse()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(options.run(options))
