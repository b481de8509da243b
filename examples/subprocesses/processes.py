"""Child processes that are not left behind, whatever becomes of their parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any


@contextlib.asynccontextmanager
async def running(*command: str, grace: float = 2.0, **options: Any) -> AsyncIterator[Process]:
    """A process for the time of the block; `options` are those of `create_subprocess_exec`.

    Cancelling a task that waits for a process leaves the process alone. This ends it.
    """
    process = await asyncio.create_subprocess_exec(*command, **options)
    try:
        yield process
    finally:
        await stop(process, grace)


async def stop(process: Process, grace: float) -> int:
    """Asks `process` to end, and after `grace` seconds sees to it; returns its status."""
    # It may end by itself between our look and our signal.
    with contextlib.suppress(ProcessLookupError):
        if process.returncode is None:
            process.terminate()
    try:
        async with asyncio.timeout(grace):
            return await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return await process.wait()


def stop_group(process: Process) -> None:
    """Kills `process` and its children, if it was started with `start_new_session=True`."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def lines_of(stream: asyncio.StreamReader | None) -> AsyncGenerator[str, None]:
    """Lines as they come. One longer than the stream's limit comes in pieces.

    `readline` would raise ValueError and drop what it has.
    """
    assert stream is not None, "the process was started without PIPE"
    was_cut = False
    while True:
        try:
            line = await stream.readuntil(b"\n")
        except asyncio.LimitOverrunError as overrun:
            yield (await stream.readexactly(overrun.consumed)).decode(errors="replace")
            was_cut = True
            continue
        except asyncio.IncompleteReadError as end:
            if end.partial:
                yield end.partial.decode(errors="replace")
            return
        # What is left of a line that was cut may be nothing but its end.
        if line != b"\n" or not was_cut:
            yield line.decode(errors="replace").rstrip("\n")
        was_cut = False


def how_it_ended(status: int | None) -> str:
    if status is None:
        return "still running"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
