"""Applications in processes of their own: who asks shares no loop with who answers."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator

from yarl import URL

START_SECONDS = 60
END_SECONDS = 15


class StartError(Exception):
    """An application did not say where it is."""


@contextlib.asynccontextmanager
async def started(name: str, dsn: str | None) -> AsyncIterator[URL]:
    """Where the application `name` is, which runs for the time of the block."""
    arguments = [] if dsn is None else ["--dsn", dsn]
    process = await asyncio.create_subprocess_exec(
        *own_command(),
        "serve",
        name,
        "--port=0",
        "--until-eof",
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        # Ctrl-C at the terminal is for us: we end what we have started.
        start_new_session=True,
    )
    try:
        yield await base_of(name, process)
    finally:
        await end(process)


async def base_of(name: str, process: Process) -> URL:
    if process.stdout is None:
        raise RuntimeError("asked for a pipe, got none")
    said = []
    async with asyncio.timeout(START_SECONDS):
        while line := (await process.stdout.readline()).decode():
            if found := re.fullmatch(rf"{name} on (\S+)\n", line):
                return URL(found[1])
            said.append(line)
    raise StartError(f"{name} ended before it said where it is: {''.join(said)!r}")


async def end(process: Process) -> None:
    """Asks, waits, and then insists."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def own_command() -> list[str]:
    """How this program was started, without its arguments: whatever runs us, runs the others."""
    count = len(sys.orig_argv) - len(sys.argv) + 1
    return [sys.executable, *sys.orig_argv[1:count]]
