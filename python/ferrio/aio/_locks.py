"""asyncio's locks: the native classes, completed to subclasses of asyncio's own."""

from __future__ import annotations

from asyncio import locks

from .. import _ferrio

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "Semaphore"]


class Lock(_ferrio.Lock, locks.Lock):
    """What one task at a time can have. See `asyncio.Lock`."""


class Event(_ferrio.Event, locks.Event):
    """A flag that tasks can wait for. See `asyncio.Event`."""


class Condition(_ferrio.Condition, locks.Condition):
    """A lock whose holder can wait until another tells it of something. See `asyncio.Condition`."""


class Semaphore(_ferrio.Semaphore, locks.Semaphore):
    """What so many tasks at a time can have. See `asyncio.Semaphore`."""


class BoundedSemaphore(_ferrio.BoundedSemaphore, Semaphore, locks.BoundedSemaphore):
    """One that cannot be released more often than it was acquired.

    See `asyncio.BoundedSemaphore`.
    """


# `async with` gives the number that wait() returns; typeshed says Self.
class Barrier(_ferrio.Barrier, locks.Barrier):  # type: ignore[misc]
    """Where so many tasks wait for each other. See `asyncio.Barrier`."""
