"""Threads beside the loop: blocking libraries, locks, number work, and a window.

    ferrio run examples/threads             all of it that needs no display
    ferrio run examples/threads fetch       requests, a blocking library, in threads
    ferrio run examples/threads locks       lost updates, reentrant locks, deadlocks
    ferrio run examples/threads numbers     hashing and NumPy on several cores
    ferrio run examples/threads window      a window that tests a URL under load

`python` in place of `ferrio run` runs the same on asyncio.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

import parts

WORKERS = os.cpu_count() or 2


async def main(options: argparse.Namespace) -> None:
    loop = type(asyncio.get_running_loop())
    print(f"running on {loop.__module__}.{loop.__qualname__}", flush=True)
    if options.program is not None:
        await programs(options)[options.program]()
        return
    lacking = parts.lacking()
    for name, run in programs(None).items():
        if name not in lacking:
            await run()
    parts.report()
    print(f"window: needs a display and somebody to use it: {sys.argv[0]} window")


def programs(options: argparse.Namespace | None) -> dict[str, Callable[[], Awaitable[None]]]:
    """Those without a window, told what `options` say, or, without any, to be quick."""

    # Each is imported when it runs: it may need a package that the others can do without.
    async def fetch() -> None:
        import fetch

        told = (
            (60, 0.01, 30) if options is None else (options.count, options.delay, options.workers)
        )
        await fetch.run(*told)

    async def locks() -> None:
        import locks

        await locks.run(*((4, 2000) if options is None else (options.threads, options.times)))

    async def numbers() -> None:
        import number_work

        told = (16, 60_000, 4000, WORKERS)
        if options is not None:
            told = (options.passwords, options.rounds, options.rows, options.workers)
        await number_work.run(*told)

    return {"fetch": fetch, "locks": locks, "numbers": numbers}


#: What each program is about. They are imported only when they run: the window can do without
#: requests and NumPy, and the rest without Tk.
PROGRAMS = {
    "fetch": """A blocking library, requests, in threads: many at once, and a loop that goes on.

Fetches the pages of a slow site in the loop, in the default executor, by to_thread and in an
executor of its own. A time-out ends the waiting for a thread, and never the thread.""",
    "locks": """Locks between threads: lost updates, a lock entered twice, and a deadlock.

The deadlock is two transfers between the same accounts, in opposite directions; it is found by
time-outs, and avoided by taking locks in one order.""",
    "numbers": """Threads that use several cores: hashing and NumPy let go of the GIL.

Pure Python does not, and takes as long in threads as in one.""",
    "window": """A window that tests a URL under load, and answers to its user all the while.

Tk has the main thread, the loop has another one, or is a guest of Tk's (--guest). Enter starts a
test, Escape stops it, Ctrl-L goes to the URL, Ctrl-Q leaves. Needs an
interpreter with tkinter, and a display.""",
}


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="threads", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    programs = parser.add_subparsers(dest="program", metavar="PROGRAM")
    fetch, locks, numbers, window = (
        programs.add_parser(
            name,
            help=text.partition("\n")[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for name, text in PROGRAMS.items()
    )
    fetch.add_argument("--count", type=int, default=200, help="pages (default: 200)")
    fetch.add_argument("--delay", type=float, default=0.02, help="seconds a page (default: 0.02)")
    fetch.add_argument("--workers", type=int, default=50, help="threads (default: 50)")
    locks.add_argument("--threads", type=int, default=4, help="at once (default: 4)")
    locks.add_argument("--times", type=int, default=10_000, help="deposits each (default: 10000)")
    numbers.add_argument("--passwords", type=int, default=40, help="to hash (default: 40)")
    numbers.add_argument("--rounds", type=int, default=200_000, help="a hash (default: 200000)")
    numbers.add_argument("--rows", type=int, default=20_000, help="of 1000 (default: 20000)")
    numbers.add_argument("--workers", type=int, default=WORKERS, help=f"(default: {WORKERS})")
    window.add_argument("--url", help="to begin with (default: that of a slow site of its own)")
    window.add_argument("--delay", type=float, default=0.02, help="of that site (default: 0.02)")
    window.add_argument("--guest", action="store_true", help="one thread for both; needs ferrio")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    options = parse(sys.argv[1:])
    if options.program is not None:
        parts.require(options.program)
    try:
        if options.program == "window":
            # Tk wants the main thread; so the loop gets another one, or is a guest.
            import window

            window.run(options.url, options.delay, guest=options.guest)
        else:
            asyncio.run(main(options))
    except KeyboardInterrupt:
        sys.exit(130)
    except ImportError as problem:
        sys.exit(f"threads: {problem}")
