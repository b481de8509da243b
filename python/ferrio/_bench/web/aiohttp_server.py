"""aiohttp's server with a handler that answers at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable


async def serve(listener: socket.socket, ready: Callable[[], None]) -> None:
    from aiohttp import web

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="Hello, world!")

    application = web.Application()
    application.router.add_get("/", hello)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    ready()
    await asyncio.Event().wait()
