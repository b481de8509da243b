"""Runs one of the applications in this process, until it is told to end."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import socket
import sys
from typing import Any

import uvicorn
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
        await serve_asgi(name, app, port)


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


async def serve_asgi(name: str, app: Any, port: int) -> None:
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        # The loop is there already: it runs us.
        loop="none",
        # Django does not know of it, and says so in a log.
        lifespan="off" if name == "django" else "on",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    await Server(name, config).serve()


class Server(uvicorn.Server):
    """Says where it is, once it is there."""

    def __init__(self, name: str, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._name = name

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            announce(self._name, self.servers[0].sockets[0].getsockname())


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
