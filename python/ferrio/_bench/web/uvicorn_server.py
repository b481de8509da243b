"""uvicorn and an ASGI application that answers at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]

BODY = b"Hello, world!"
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(BODY))]


async def application(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


async def serve(listener: socket.socket, ready: Callable[[], None]) -> None:
    import uvicorn

    # loop="none": the loop is already running, and it is the one under test.
    config = uvicorn.Config(
        application,
        loop="none",
        http="httptools",
        log_level="error",
        access_log=False,
        lifespan="off",
    )
    asyncio.get_running_loop().call_soon(ready)
    await uvicorn.Server(config).serve(sockets=[listener])
