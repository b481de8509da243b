"""Stopping to serve a Unix socket, by the interpreter's own function (3.13 on)."""

from __future__ import annotations

from asyncio.selector_events import BaseSelectorEventLoop
from asyncio.unix_events import _UnixSelectorEventLoop
from collections.abc import Callable
from socket import socket
from typing import Any

__all__ = ["stop_serving"]


class _Rest(BaseSelectorEventLoop):
    """Comes after asyncio's class for Unix wherever that asks its superclass."""

    _stop: Callable[[socket], None]

    def _stop_serving(self, sock: socket) -> None:
        self._stop(sock)


class _StandIn(_UnixSelectorEventLoop, _Rest):
    """What asyncio's function sees of a loop."""

    def __init__(self, sockets: dict[socket, int], stop: Callable[[socket], None]) -> None:
        # No loop at all: there is nothing to open, and nothing to be closed.
        self._closed = True
        self._unix_server_sockets = sockets
        self._stop = stop


def stop_serving(sockets: dict[socket, int], sock: socket, stop: Callable[[socket], None]) -> None:
    """Call `stop`, and remove the socket's file if it is in `sockets` and still the same.

    asyncio's function asks its superclass to do the stopping, and cannot be borrowed as it is. That
    it is its own function counts for tools that tell by the file who may touch the file system in a
    running loop.
    """
    own: Any = _StandIn(sockets, stop)
    own._stop_serving(sock)
