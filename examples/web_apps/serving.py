"""Runs one of the applications in this process, until it is told to end."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
from typing import Any

from aiohttp import web

#: Application, and the module with its `make_app`.
REST = {"aiohttp": "rest_aiohttp", "starlette": "rest_starlette", "django": "django_site"}

#: Connections to the database that each application may have.
CONNECTIONS = 8


async def serve(name: str, port: int, dsn: str | None) -> None:
    """Serve the application `name`: one of REST, or `counter`, which needs no database.

    Ends at SIGTERM or Ctrl-C, when requests that are under way have been answered.
    """
    # Imported when needed: who runs one application need not wait for the other frameworks.
    if name == "counter":
        app = importlib.import_module("counter").make_app()
    else:
        app = importlib.import_module(REST[name]).make_app(dsn, CONNECTIONS)
    if name == "aiohttp":
        await serve_aiohttp(name, app, port)
    else:
        from uvicorn_server import serve_asgi

        await serve_asgi(app, name, port, announce)


async def serve_aiohttp(name: str, app: web.Application, port: int) -> None:
    told_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_end.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        announce(name, runner.addresses[0])
        await told_to_end.wait()
    finally:
        await runner.cleanup()


def announce(name: str, address: tuple[Any, ...]) -> None:
    print(f"{name} on http://{address[0]}:{address[1]}", flush=True)


async def end_with_input() -> None:
    """From now on, end when standard input does: for those who start us through a pipe.

    However they end, their end of the pipe closes.
    """
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    ended = asyncio.create_task(reader.read())
    ended.add_done_callback(lambda _: os.kill(os.getpid(), signal.SIGTERM))
    _kept.add(ended)


#: A loop holds its tasks by weak references only.
_kept: set[asyncio.Task[bytes]] = set()
