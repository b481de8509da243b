"""asyncio's namespace, with everything that ferrio has written in Rust in it.

    from ferrio import aio as asyncio

Locks, queues, streams and the functions over tasks are ferrio's; whatever else asyncio has is
asyncio's own, found here under the same name, its submodules included. All of it works on any event
loop.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import *  # noqa: F403
from typing import TYPE_CHECKING, Any

from ._locks import Barrier as Barrier
from ._locks import BoundedSemaphore as BoundedSemaphore
from ._locks import Condition as Condition
from ._locks import Event as Event
from ._locks import Lock as Lock
from ._locks import Semaphore as Semaphore
from ._queues import LifoQueue as LifoQueue
from ._queues import PriorityQueue as PriorityQueue
from ._queues import Queue as Queue
from ._streams import StreamReader as StreamReader
from ._streams import StreamReaderProtocol as StreamReaderProtocol
from ._streams import StreamWriter as StreamWriter
from ._streams import open_connection as open_connection
from ._streams import start_server as start_server
from ._task_group import TaskGroup as TaskGroup
from ._tasks import as_completed as as_completed
from ._tasks import gather as gather
from ._tasks import shield as shield
from ._tasks import sleep as sleep
from ._tasks import wait as wait
from ._tasks import wait_for as wait_for
from ._timeouts import Timeout as Timeout
from ._timeouts import timeout as timeout
from ._timeouts import timeout_at as timeout_at

if sys.platform != "win32":
    from ._streams import open_unix_connection as open_unix_connection
    from ._streams import start_unix_server as start_unix_server

if TYPE_CHECKING:
    # What `__getattr__` finds, for the programs that name these.
    from asyncio import base_events as base_events
    from asyncio import coroutines as coroutines
    from asyncio import events as events
    from asyncio import exceptions as exceptions
    from asyncio import futures as futures
    from asyncio import locks as locks
    from asyncio import log as log
    from asyncio import protocols as protocols
    from asyncio import queues as queues
    from asyncio import runners as runners
    from asyncio import streams as streams
    from asyncio import subprocess as subprocess
    from asyncio import taskgroups as taskgroups
    from asyncio import tasks as tasks
    from asyncio import threads as threads
    from asyncio import timeouts as timeouts
    from asyncio import transports as transports

#: What replaces what: for each module of asyncio's the names in it that are ferrio's here.
REPLACED: dict[str, tuple[str, ...]] = {
    "asyncio.locks": (
        "Barrier",
        "BoundedSemaphore",
        "Condition",
        "Event",
        "Lock",
        "Semaphore",
    ),
    "asyncio.queues": ("LifoQueue", "PriorityQueue", "Queue"),
    # Its functions look these up: they need not be replaced.
    "asyncio.streams": ("StreamReader", "StreamReaderProtocol", "StreamWriter"),
    "asyncio.taskgroups": ("TaskGroup",),
    "asyncio.tasks": ("as_completed", "gather", "shield", "sleep", "wait", "wait_for"),
    "asyncio.timeouts": ("Timeout", "timeout", "timeout_at"),
}

__all__ = [*asyncio.__all__]


def __getattr__(name: str) -> Any:
    # Submodules, and what asyncio does not list in its __all__.
    if name.startswith("__"):
        # Not asyncio's path or file.
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(asyncio, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(asyncio)})
