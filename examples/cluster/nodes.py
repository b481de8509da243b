"""A Dask cluster as processes: a scheduler and workers, each on a loop of the kind that we run on.

Dask's own processes are tornado's, and so asyncio's: `Scheduler` and `Worker` are asynchronous
context managers on whatever loop runs them. `dask scheduler` and `dask worker` do the same from a
shell, on asyncio.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass

from distributed import Scheduler, Worker
from machines import Machine

START_SECONDS = 60
END_SECONDS = 20


class StartError(Exception):
    """A node did not say that it is ready."""


@dataclass(frozen=True)
class Node:
    """One that runs."""

    address: str
    #: The class of its loop.
    loop: str


async def run_node(kind: str, host: str, scheduler: str | None, name: str | None) -> None:
    """In a process of its own: a scheduler or a worker, until standard input ends.

    It is for those who start it through a pipe: however they end, their end of the pipe closes.
    """
    node: Scheduler | Worker
    if kind == "scheduler":
        # Even without a dashboard it serves HTTP: on any free port, instead of 8787.
        node = Scheduler(host=host, port=0, dashboard=False, dashboard_address=":0")
    else:
        # One job at a time: counting holds the GIL, and a second thread would only wait for it.
        node = Worker(scheduler, host=host, name=name, nthreads=1, dashboard=False)
    async with node:
        loop = type(asyncio.get_running_loop())
        print(f"{kind} {node.address} {loop.__module__}.{loop.__qualname__}", flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        await reader.read()


@contextlib.asynccontextmanager
async def cluster(machines: list[Machine]) -> AsyncIterator[list[Node]]:
    """A scheduler on the first of `machines` and a worker on each, for the time of the block.

    The scheduler comes first in what is yielded. A worker is named after its machine.
    """
    async with contextlib.AsyncExitStack() as stack:
        scheduler = await stack.enter_async_context(
            started(machines[0], "scheduler", f"--host={machines[0].address}")
        )
        workers = [
            stack.enter_async_context(
                started(
                    machine,
                    "worker",
                    f"--host={machine.address}",
                    f"--scheduler={scheduler.address}",
                    f"--name={machine.name}",
                )
            )
            for machine in machines
        ]
        yield [scheduler, *[await worker for worker in workers]]


@contextlib.asynccontextmanager
async def started(machine: Machine, kind: str, *arguments: str) -> AsyncIterator[Node]:
    process = await asyncio.create_subprocess_exec(
        *machine.prefix,
        *own_command(),
        "node",
        kind,
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        # Ctrl-C at the terminal is for us: we end what we have started.
        start_new_session=True,
    )
    try:
        yield await ready(process, kind)
    finally:
        await end(process)


async def ready(process: Process, kind: str) -> Node:
    assert process.stdout is not None
    async with asyncio.timeout(START_SECONDS):
        line = (await process.stdout.readline()).decode()
    found = re.fullmatch(rf"{kind} (\S+) (\S+)\n", line)
    if found is None:
        raise StartError(f"the {kind} said {line!r} instead of where it is")
    return Node(found[1], found[2])


async def end(process: Process) -> None:
    """Closes its input, waits, and then insists."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def own_command() -> list[str]:
    """How this program was started, without its arguments: whatever runs us, runs the nodes."""
    count = len(sys.orig_argv) - len(sys.argv) + 1
    return [sys.executable, *sys.orig_argv[1:count]]
