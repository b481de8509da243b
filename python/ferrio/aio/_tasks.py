"""asyncio's functions over tasks: the native ones, and what completes them."""

from __future__ import annotations

import inspect
import sys
from asyncio import coroutines, futures, tasks
from typing import TYPE_CHECKING

from .. import _ferrio
from .._tasks import Future

__all__ = ["as_completed", "gather", "shield", "sleep", "wait", "wait_for"]

if TYPE_CHECKING:
    # What programs see: the types of asyncio's functions.
    from asyncio import as_completed, gather, shield, sleep, wait, wait_for
else:
    from .._ferrio import shield, sleep, wait, wait_for

    if sys.version_info >= (3, 13):

        def as_completed(fs, *, timeout=None):
            """Create an iterator of awaitables or their results in completion order.

            As an asynchronous iterator it yields the futures as they are done, as a plain one
            coroutines that return or raise the result of the next one. TimeoutError is raised if
            `timeout` seconds pass before all are done.
            """
            if inspect.isawaitable(fs):
                raise TypeError(f"expects an iterable of awaitables, not {type(fs).__name__}")
            return _ferrio._AsCompletedIterator(fs, timeout)

    else:

        def as_completed(fs, *, timeout=None):
            """Return an iterator whose values are coroutines.

            Each returns or raises the result of the next of the futures that is done. TimeoutError
            is raised if `timeout` seconds pass before all are done.
            """
            if futures.isfuture(fs) or coroutines.iscoroutine(fs):
                raise TypeError(f"expect an iterable of futures, not {type(fs).__name__}")
            # A generator: nothing happens before the first is asked for.
            yield from _ferrio._AsCompletedIterator(fs, timeout)

    if Future is futures.Future:
        # Where there are no futures of ours.
        from asyncio import gather
    else:
        from .._ferrio import gather

        class GatheringFuture(Future, tasks._GatheringFuture):
            """What `gather` returns: asyncio's class, which cancels its children, as one of ours.

            Made past `__init__`, and read where its slots are (crates/ferrio-py/src/ffi/future/
            gathering.rs): of a future of ours it overrides `cancel` and nothing else.
            """

            __slots__ = ("_cancel_requested", "_children")

        GatheringFuture.__name__ = GatheringFuture.__qualname__ = "_GatheringFuture"
        _ferrio._adopt_gathering_future(GatheringFuture)
