"""`ferrio.Task` and `ferrio.Future`, and whether loops use them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from . import _ferrio

__all__ = ["Future", "Task"]

if TYPE_CHECKING:
    from ._ferrio import Future as Future
    from ._ferrio import Task as Task
else:
    # There are none where asyncio's C types look unlike those of any known version, and on
    # free-threaded builds.
    Future = getattr(_ferrio, "Future", asyncio.Future)
    Task = getattr(_ferrio, "Task", asyncio.Task)


def asked_for_by_environment() -> bool:
    """Are tasks and futures to be asyncio's own? For test suites that make loops by themselves."""
    return os.environ.get("FERRIO_C_TASKS", "") not in ("", "0")


#: What `Loop(c_tasks=None)` means; `ferrio run --c-tasks` says so here.
c_tasks = asked_for_by_environment()
