"""Output line by line, from both ends of a process at once, while it runs.

What comes late has usually waited in the child: most programs fill a buffer first when they write
into a pipe. Python does not with -u; for others there is stdbuf (coreutils).
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process

from processes import how_it_ended, lines_of, running

#: A build as it might be: it takes its time, and complains on its standard error.
BUILD = """
import sys, time
for step in ("fetch", "compile", "link"):
    print(step, "...", flush=True)
    time.sleep(0.1)
    print(step, "took longer than it should", file=sys.stderr, flush=True)
print("x" * 200_000)
print("no newline at the end", end="")
"""
#: Bytes of output that no pipe and no buffer of a stream holds.
FLOOD = 1_000_000


async def follow(*command: str) -> int:
    """Runs a command and prints each of its lines at once; returns its status."""
    start = time.perf_counter()

    async def show(name: str, stream: asyncio.StreamReader | None) -> None:
        async for line in lines_of(stream):
            shown = line if len(line) <= 100 else f"{len(line)} characters, a piece of a long line"
            print(f"{time.perf_counter() - start:6.2f} s  {name}  {shown}", flush=True)

    async with running(*command, stdout=PIPE, stderr=PIPE) as process:
        # Both at once: a child that fills the pipe nobody reads stops there.
        async with asyncio.TaskGroup() as group:
            group.create_task(show("out", process.stdout))
            group.create_task(show("err", process.stderr))
        status = await process.wait()
    print(f"follow: {how_it_ended(status)}")
    return status


async def wait_without_reading(patience: float) -> None:
    """Waits for a process whose output nobody reads, for `patience` seconds; then reads it."""
    flood = f"import sys; sys.stdout.write('x' * {FLOOD})"
    process: Process
    async with running(sys.executable, "-c", flood, stdout=PIPE) as process:
        try:
            async with asyncio.timeout(patience):
                await process.wait()
        except TimeoutError:
            print(f"follow: wait() does not return while {FLOOD} bytes of output wait")
        output, _ = await process.communicate()
        ended = how_it_ended(process.returncode)
        print(f"follow: communicate() has read {len(output)} bytes, {ended}")


async def run(command: list[str]) -> int:
    """Follows `command`, or a build of our own; returns the status to exit with."""
    if command:
        return await follow(*command)
    await follow(sys.executable, "-c", BUILD)
    await wait_without_reading(0.3)
    return 0
