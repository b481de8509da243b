"""asyncio's queues: the native classes, completed to subclasses of asyncio's own."""

from __future__ import annotations

import sys
from asyncio import queues
from typing import TYPE_CHECKING, TypeVar

from .. import _ferrio
from ._state import has_state

if TYPE_CHECKING:
    from _typeshed import SupportsRichComparison

__all__ = ["LifoQueue", "PriorityQueue", "Queue"]

_T = TypeVar("_T")
_C = TypeVar("_C", bound="SupportsRichComparison")


_STATE = ("_maxsize", "_getters", "_putters", "_unfinished_tasks", "_finished", "_queue")
if sys.version_info >= (3, 13):
    _STATE += ("_is_shutdown",)


@has_state(*_STATE)
class Queue(_ferrio.Queue[_T], queues.Queue[_T]):
    """What tasks hand things to each other through: first in, first out. See `asyncio.Queue`."""


class PriorityQueue(_ferrio.PriorityQueue[_C], Queue[_C], queues.PriorityQueue[_C]):
    """A queue out of which the lowest comes first. See `asyncio.PriorityQueue`."""


class LifoQueue(_ferrio.LifoQueue[_T], Queue[_T], queues.LifoQueue[_T]):
    """A queue out of which comes first what was put in last. See `asyncio.LifoQueue`."""
