"""`TaskGroup`: the native class, completed to a subclass of asyncio's own."""

from __future__ import annotations

from asyncio import taskgroups
from typing import TYPE_CHECKING

__all__ = ["TaskGroup"]

if TYPE_CHECKING:
    from asyncio import TaskGroup
else:
    from .. import _ferrio
    from ._state import has_state

    _STATE = (
        "_entered",
        "_exiting",
        "_aborting",
        "_loop",
        "_parent_task",
        "_parent_cancel_requested",
        "_tasks",
        "_errors",
        "_base_error",
        "_on_completed_fut",
    )
    if hasattr(taskgroups.TaskGroup, "cancel"):
        _STATE += ("_cancel_on_enter",)

    @has_state(*_STATE)
    class TaskGroup(_ferrio.TaskGroup, taskgroups.TaskGroup):
        """Asynchronous context manager for managing groups of tasks. See `asyncio.TaskGroup`."""

        if hasattr(taskgroups.TaskGroup, "cancel"):

            def cancel(self):
                """Cancel the task group: its tasks, and its body, which ends quietly."""
                self._cancel()
