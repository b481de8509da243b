"""What it means that things happen at the same time, in eight small programs.

    ferrio run examples/concurrency               all of them, one after the other
    ferrio run examples/concurrency blocking      one of them

The programs ask lighthouses for reports. An answer takes as long as a lighthouse is far away, and
until it comes there is nothing to do but to wait: that is what asyncio is for. The last three show
what it is not for, and how one notices.
"""

from __future__ import annotations

import argparse
import asyncio

import blocking
import cancelling
import debugging
import sequential
import tasks
import threads
import timeouts
import timing

#: In the order in which they build upon each other.
PROGRAMS = {
    "sequential": (sequential.main, "one report after the other, and all of them at once"),
    "timing": (timing.main, "a decorator that times coroutines: waiting apart from working"),
    "tasks": (tasks.main, "when a task starts, where its result and its exception go"),
    "cancelling": (cancelling.main, "cancel() is a request: cleaning up, refusing, shielding"),
    "timeouts": (timeouts.main, "giving up after a time, or only saying that it takes long"),
    "blocking": (blocking.main, "what a call that blocks or computes does to everything else"),
    "debugging": (debugging.main, "how debug mode and its log find that call, and other mistakes"),
    "threads": (threads.main, "what threads can do at once: the GIL, and when it is released"),
}


async def main(names: list[str]) -> None:
    loop = type(asyncio.get_running_loop())
    print(f"running on {loop.__module__}.{loop.__qualname__}")
    for name in names:
        program, about = PROGRAMS[name]
        print(f"\n{name}: {about}\n", flush=True)
        await program()


def parse_arguments() -> list[str]:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="programs:\n" + "\n".join(f"  {n:<12} {PROGRAMS[n][1]}" for n in PROGRAMS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "program",
        nargs="?",
        choices=PROGRAMS,
        metavar="PROGRAM",
        help="the only one to run (default: all)",
    )
    program = parser.parse_args().program
    return [program] if program else list(PROGRAMS)


if __name__ == "__main__":
    asyncio.run(main(parse_arguments()))
