"""Concurrent web requests: many ways to ask a site for thousands of pages, and what each costs.

    ferrio run examples/web_requests                    all programs, on a site of their own
    ferrio run examples/web_requests polite --pages 3000
    ferrio run examples/web_requests serve --port 8080  only the site, for a browser or for --url
    ferrio run examples/web_requests gather --url http://127.0.0.1:8080

The site is generated and local: nothing else is ever asked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import completed
import gathering
import polite
import progress
import timeouts
import waiting
from catalogue import open_site
from yarl import URL

PROGRAMS: dict[str, tuple[Callable[[URL, int], Awaitable[None]], str]] = {
    "gather": (gathering.run, "one after another, all at once; what happens when pages fail"),
    "completed": (completed.run, "as_completed: each answer as soon as it is there"),
    "wait": (waiting.run, "wait in its three modes: a race, all or nothing, a deadline"),
    "timeouts": (timeouts.run, "for a request, a phase of it, a batch; and what must survive one"),
    "progress": (progress.run, "a progress bar for pages that come in any order"),
    "polite": (polite.run, "a site that refuses crowds, and a semaphore that avoids them"),
}


async def main(options: argparse.Namespace) -> None:
    loop = type(asyncio.get_running_loop())
    print(f"running on {loop.__module__}.{loop.__qualname__}", flush=True)
    if options.program == "serve":
        async with open_site(options.pages, options.port) as base:
            print(f"serving {options.pages} pages on {base}; Ctrl-C ends it", flush=True)
            await asyncio.Event().wait()
        return
    for name in [options.program] if options.program else PROGRAMS:
        run, what = PROGRAMS[name]
        print(f"\n{name}: {what}", flush=True)
        # Each gets a site of its own: its statistics are of its own requests.
        async with contextlib.AsyncExitStack() as stack:
            base = options.url or await stack.enter_async_context(open_site(options.pages))
            await run(base, options.pages)


def page_count(text: str) -> int:
    count = int(text)
    if count < 50:
        raise argparse.ArgumentTypeError("at least 50, so that one of them fails")
    return count


def parse() -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--pages", type=page_count, default=1000, help="how many pages (default: 1000)"
    )
    visiting = argparse.ArgumentParser(add_help=False)
    visiting.add_argument(
        "--url", type=URL, help="visit the site that `serve` has opened in another terminal"
    )
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common, visiting],
    )
    commands = parser.add_subparsers(dest="program", title="programs", metavar="PROGRAM")
    for name, (run, what) in PROGRAMS.items():
        commands.add_parser(
            name,
            help=what,
            description=run.__globals__["__doc__"],
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common, visiting],
        )
    serve = commands.add_parser("serve", help="only the site", parents=[common])
    serve.add_argument("--port", type=int, default=0, help="port to serve on (default: any)")
    return parser.parse_args()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(parse()))
