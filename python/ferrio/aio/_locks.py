"""asyncio's locks: the native classes, completed to subclasses of asyncio's own."""

from __future__ import annotations

from asyncio import locks

from .. import _ferrio

__all__ = ["Event"]


class Event(_ferrio.Event, locks.Event):
    """A flag that tasks can wait for. See `asyncio.Event`."""
