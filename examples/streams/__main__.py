"""Streams and protocols: an HTTP client, input that does not block, a chat for the whole screen.

    ferrio run examples/streams                     all that needs no keyboard
    ferrio run examples/streams http [URL ...]      an HTTP client by protocol, and by streams
    ferrio run examples/streams countdowns          type while things go on
    ferrio run examples/streams serve               a chat server ...
    ferrio run examples/streams chat ada            ... and its client, on the whole screen
    ferrio run examples/streams crowd               a hundred chat clients at once

`python` in place of `ferrio run` runs the same on asyncio.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

import chat_client
import chat_server
import countdowns
import crowd
import http_client
from http_parser import BadAnswer

SCRIPT = b"egg 0.3\ntea 0.2\nsoup 60\ncake\nstop soup\n"


async def main(options: argparse.Namespace) -> None:
    loop = type(asyncio.get_running_loop())
    print(f"running on {loop.__module__}.{loop.__qualname__}", flush=True)
    match options.program:
        case "http":
            await http_client.run(options.url, options.count, options.timeout)
        case "countdowns":
            await countdowns.run()
        case "serve":
            await chat_server.run(options.host, options.port)
        case "chat":
            await chat_client.run(options.host, options.port, options.name)
        case "crowd":
            await crowd.run(options.clients, options.rounds, options.timeout)
        case _:
            await run_all()


async def run_all() -> None:
    await http_client.run([], 150, 30)
    receiving, sending = os.pipe()
    os.write(sending, SCRIPT)
    os.close(sending)
    with open(receiving) as script:
        await countdowns.run(script)
    await crowd.run(100, 5, 60)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="streams", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    programs = parser.add_subparsers(dest="program", metavar="PROGRAM")

    def add(name: str, module: object) -> argparse.ArgumentParser:
        text = module.__doc__ or ""
        return programs.add_parser(
            name,
            help=text.partition("\n")[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    http = add("http", http_client)
    http.add_argument("url", nargs="*", help="http:// only; none: pages of a server of its own")
    http.add_argument("--count", type=int, default=600, help="pages to fetch (default: 600)")
    http.add_argument("--timeout", type=float, default=30, help="seconds for one (default: 30)")
    add("countdowns", countdowns)
    serve = add("serve", chat_server)
    serve.add_argument("--host", default="127.0.0.1", help="to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, default=0, help="to listen on (default: any)")
    chat = add("chat", chat_client)
    chat.add_argument("name", help="your name: a word")
    chat.add_argument("--host", default="127.0.0.1", help="of the server (default: 127.0.0.1)")
    chat.add_argument("--port", type=int, required=True, help="of the server")
    many = add("crowd", crowd)
    many.add_argument("--clients", type=int, default=100, help="at once (default: 100)")
    many.add_argument("--rounds", type=int, default=10, help="lines of each (default: 10)")
    many.add_argument("--timeout", type=float, default=60, help="seconds for all (default: 60)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        asyncio.run(main(parse(sys.argv[1:])))
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, BadAnswer) as problem:
        # A TimeoutError has no text.
        sys.exit(f"streams: {problem or type(problem).__name__}")
