"""uvicorn on the loop that runs already, which says where it is once it is there."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import uvicorn

#: Is told the name of an application, and its address.
Announce = Callable[[str, tuple[Any, ...]], None]


async def serve_asgi(app: Any, name: str, port: int, announce: Announce) -> None:
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
    await Server(name, config, announce).serve()


class Server(uvicorn.Server):
    """Says where it is, once it is there."""

    def __init__(self, name: str, config: uvicorn.Config, announce: Announce) -> None:
        super().__init__(config)
        self._name = name
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce(self._name, self.servers[0].sockets[0].getsockname())
