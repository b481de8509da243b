"""The races that a single thread still has, and what there is against them.

    ferrio run examples/synchronisation           all of it
    ferrio run examples/synchronisation pool      one program

On one thread nothing happens at the same time, but much happens in between: at each `await` all the
others may run, and what was true before need not be true after.
"""

from __future__ import annotations

import argparse
import asyncio

import events
import locks
import pool
import races
import semaphores

#: In the order in which they build upon each other.
PROGRAMS = {
    "races": (races.main, "what goes wrong around an await, and when no lock is needed"),
    "locks": (locks.main, "one at a time, in order; two deadlocks, and how they are avoided"),
    "semaphores": (semaphores.main, "so many at a time, and why the bounded one is the better one"),
    "events": (events.main, "waiting for something that happens once, or for one another"),
    "pool": (pool.main, "a condition: waiting until a connection is free, in a pool of a few"),
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
