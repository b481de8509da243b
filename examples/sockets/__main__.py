"""An echo server four times over, from blocking sockets to streams, and a service that ends well.

    ferrio run examples/sockets                      all of it
    ferrio run examples/sockets selectors            one of the servers, under a small load
    ferrio run examples/sockets serve --port 7000    the service by itself, until SIGTERM or Ctrl-C

Every server gets the same visitors: each asks a few questions, thinks a little in between, and
checks the answers. What differs is how many of them a server talks to at the same time.
"""

from __future__ import annotations

import argparse
import asyncio

import blocking
import loop_calls
import selecting
import service
import shutdown
import streams
from visitors import Crowd

SERVERS = {
    "blocking": (blocking.main, "accept, recv, sendall: one visitor at a time"),
    "selectors": (selecting.main, "non-blocking sockets and one selector, in one thread"),
    "loop": (loop_calls.main, "the same with the loop's sock_accept, sock_recv and sock_sendall"),
    "streams": (streams.main, "asyncio.start_server: readers, writers, lines"),
}


async def main(options: argparse.Namespace) -> None:
    loop = type(asyncio.get_running_loop())
    print(f"running on {loop.__module__}.{loop.__qualname__}", flush=True)
    match options.program:
        case "serve":
            await service.main(options.port, options.drain)
        case "shutdown":
            await shutdown.main()
        case None:
            for name in SERVERS:
                await run(name, Crowd())
            print("\nshutdown: SIGTERM, and a deadline for those who are being served\n")
            await shutdown.main()
        case name:
            await run(name, Crowd(options.visitors, options.questions))


async def run(name: str, crowd: Crowd) -> None:
    serve, about = SERVERS[name]
    print(f"\n{name}: {about}")
    print(f"  {await serve(crowd)}", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    programs = parser.add_subparsers(dest="program", metavar="PROGRAM")
    for name, (_, about) in SERVERS.items():
        server = programs.add_parser(name, help=about, description=f"{about}.")
        server.add_argument(
            "--visitors", type=int, default=Crowd.visitors, help="at once (default: %(default)s)"
        )
        server.add_argument(
            "--questions", type=int, default=Crowd.questions, help="of each (default: %(default)s)"
        )
    programs.add_parser("shutdown", help="the service is sent SIGTERM while visitors are there")
    serve = programs.add_parser("serve", help="the service, until SIGTERM or Ctrl-C")
    serve.add_argument("--port", type=int, default=0, help="to listen on (default: any)")
    serve.add_argument(
        "--drain",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="for visitors to be served to the end, after the signal (default: %(default)s)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parse_arguments()))
