"""asyncio's timeouts: the native class, completed to a subclass of asyncio's own."""

from __future__ import annotations

from asyncio import timeouts
from typing import TYPE_CHECKING

__all__ = ["Timeout", "timeout", "timeout_at"]

if TYPE_CHECKING:
    from asyncio import Timeout, timeout, timeout_at
else:
    from .. import _ferrio
    from .._ferrio import timeout, timeout_at
    from ._state import has_state

    @has_state("_state", "_timeout_handler", "_task", "_when", "_cancelling")
    class Timeout(_ferrio.Timeout, timeouts.Timeout):
        """Asynchronous context manager for cancelling overdue coroutines.

        Use `timeout()` or `timeout_at()` rather than instantiating this class directly.
        """
