"""``loop.create_server()`` and its like: asyncio's own functions, whose servers are ours.

They check the arguments, make the sockets and say what is wrong. A traceback shows their lines, and
nothing of what is put in their place.
"""

from __future__ import annotations

import sys
import threading
import weakref
from asyncio import base_events, tasks
from typing import Any

from ._borrow import Names, borrow
from ._server import Server

__all__ = ["create_server"]

# The server that is made in this thread: before it begins, there is no other.
_making = threading.local()
_theirs = base_events.Server


def _make(*args: Any) -> Server:
    server = Server(*args)
    _making.server = weakref.ref(server)
    return server


class _BaseEvents:
    """`asyncio.base_events`, to a function that makes our ``Server`` where it makes asyncio's."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(base_events, name)
        return _make if found is _theirs else found


class _Tasks:
    """`asyncio.tasks`, to a function that waits a turn for a server to begin."""

    def __getattr__(self, name: str) -> Any:
        return _sleep if name == "sleep" else getattr(tasks, name)


async def _sleep(delay: float) -> None:
    # None where a program has put something else in the place of asyncio's class.
    server = _making.__dict__.pop("server", _nothing)()
    try:
        await tasks.sleep(delay)
    except BaseException:
        # Nobody gets it, so nobody could close it: asyncio listens on.
        if server is not None:
            server.close()
        raise


def _nothing() -> None:
    return None


create_server = borrow(
    base_events.BaseEventLoop.create_server,
    Names(base_events, {"Server": _make, "tasks": _Tasks()}),
)

if sys.platform != "win32":
    from asyncio import unix_events

    create_unix_server = borrow(
        unix_events._UnixSelectorEventLoop.create_unix_server,
        Names(unix_events, {"base_events": _BaseEvents(), "tasks": _Tasks()}),
    )
    __all__ += ["create_unix_server"]
