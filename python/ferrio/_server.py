"""``ferrio.Server``: the native server completed to an ``asyncio.Server``."""

from __future__ import annotations

import asyncio

from ._ferrio import BaseServer

__all__ = ["Server"]


class Server(BaseServer, asyncio.Server):
    """What ``loop.create_server()`` returns: listening sockets and their connections.

    An ``asyncio.Server``, whose every method does what it does in this version of CPython.
    ``close_clients()`` and ``abort_clients()`` are here on versions before 3.13, too. Connections
    are accepted and counted natively.
    """
