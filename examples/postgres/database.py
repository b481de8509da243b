"""The database: one that was named, or a private server for the time of the program."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

EMBEDDED = Path(__file__).with_name("embedded.py")


@contextlib.asynccontextmanager
async def open_database(dsn: str | None) -> AsyncIterator[str]:
    """`dsn` itself, or, if that is None, the DSN of a server that lives as long as the block."""
    if dsn is not None:
        yield dsn
        return
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        EMBEDDED,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # A Ctrl-C at the terminal must not reach it before us.
        start_new_session=True,
    )
    if server.stdin is None or server.stdout is None:
        raise RuntimeError("asked for pipes, got none")
    try:
        line = await server.stdout.readline()
        if not line:
            sys.exit(1)  # It has said why.
        yield line.decode().rstrip("\n")
    finally:
        server.stdin.close()
        try:
            await server.wait()
        except asyncio.CancelledError:
            # A Ctrl-C while it ends. We wait all the same: asyncio kills a process that nobody
            # holds any more, and what this one was about to delete would stay.
            await server.wait()
            raise
