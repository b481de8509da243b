"""Time-outs: what ends a process, and what is left when it has ended.

A time-out around `wait` or `communicate` ends the waiting, not the process. SIGTERM asks, SIGKILL
does not; and neither reaches the children of the child, which keep its output open.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE

from processes import how_it_ended, running, stop, stop_group

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("not listening", flush=True)
time.sleep(3600)
"""


async def only_the_waiting_ends() -> None:
    async with running("sleep", "3600") as process:
        try:
            async with asyncio.timeout(0.1):
                await process.wait()
        except TimeoutError:
            print(f"patience: after the time-out: {how_it_ended(process.returncode)}")
        print(f"patience: asked to stop:      {how_it_ended(await stop(process, 10))}")


async def not_all_listen(grace: float) -> None:
    async with running(sys.executable, "-c", STUBBORN, stdout=PIPE) as process:
        assert process.stdout is not None
        await process.stdout.readline()  # from now on it ignores SIGTERM
        status = await stop(process, grace)
        print(f"patience: one that ignores it: {how_it_ended(status)}, after {grace} s of grace")


async def children_of_the_child() -> None:
    # `wait` keeps the shell there until its child has ended.
    async with running(
        "sh", "-c", "sleep 3600 & echo ready; wait", stdout=PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        await process.stdout.readline()
        process.kill()
        try:
            async with asyncio.timeout(0.3):
                await process.stdout.read()
        except TimeoutError:
            ended = how_it_ended(process.returncode)
            print(f"patience: shell {ended}, yet its output is open: its child has it too")
        stop_group(process)
        rest = await process.stdout.read()
        print(f"patience: the whole group killed: end of output, {len(rest)} bytes before it")


async def run(grace: float) -> None:
    await only_the_waiting_ends()
    await not_all_listen(grace)
    await children_of_the_child()
