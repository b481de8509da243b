"""asyncio's locks: the native classes, completed to subclasses of asyncio's own."""

from __future__ import annotations

from asyncio import locks

from .. import _ferrio
from ._state import has_state

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "Semaphore"]


@has_state("_locked", "_waiters")
class Lock(_ferrio.Lock, locks.Lock):
    """What one task at a time can have. See `asyncio.Lock`."""


@has_state("_value", "_waiters")
class Event(_ferrio.Event, locks.Event):
    """A flag that tasks can wait for. See `asyncio.Event`."""


@has_state("_lock", "_waiters")
class Condition(_ferrio.Condition, locks.Condition):
    """A lock whose holder can wait until another tells it of something. See `asyncio.Condition`."""


@has_state("_value", "_waiters")
class Semaphore(_ferrio.Semaphore, locks.Semaphore):
    """What so many tasks at a time can have. See `asyncio.Semaphore`."""


@has_state("_value", "_bound_value", "_waiters")
class BoundedSemaphore(_ferrio.BoundedSemaphore, Semaphore, locks.BoundedSemaphore):
    """One that cannot be released more often than it was acquired.

    See `asyncio.BoundedSemaphore`.
    """


# `async with` gives the number that wait() returns; typeshed says Self.
@has_state("_cond", "_parties", "_state", "_count")
class Barrier(_ferrio.Barrier, locks.Barrier):  # type: ignore[misc]
    """Where so many tasks wait for each other. See `asyncio.Barrier`."""
