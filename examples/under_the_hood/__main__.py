"""What is behind `await`, and an event loop of one's own in fifty lines.

    ferrio run examples/under_the_hood             all of it
    ferrio run examples/under_the_hood tiny_loop   one program

Each program starts a loop of its own, so as to be able to swap it.
"""

from __future__ import annotations

import argparse
import asyncio

import awaitables
import contexts
import either
import swapping
import tiny_demo
import turns

#: In the order in which they build upon each other.
PROGRAMS = {
    "awaitables": (awaitables.main, "a coroutine driven by hand, and objects that can be awaited"),
    "turns": (turns.main, "letting others run: what gives up the loop and what does not"),
    "either": (either.main, "hooks that may be coroutine functions or plain ones"),
    "contexts": (contexts.main, "a context variable for each request of a server"),
    "swapping": (swapping.main, "the same program on one loop after the other"),
    "tiny_loop": (tiny_demo.main, "a loop of our own: timers, sockets, tasks"),
}


async def loop_class() -> str:
    loop = type(asyncio.get_running_loop())
    return f"{loop.__module__}.{loop.__qualname__}"


def main(names: list[str]) -> None:
    print(f"running on {asyncio.run(loop_class())}")
    for name in names:
        program, about = PROGRAMS[name]
        print(f"\n{name}: {about}\n", flush=True)
        program()


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
    main(parse_arguments())
