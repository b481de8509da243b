"""How a loop waits, where others have to do with that."""

from __future__ import annotations

import selectors
from asyncio import selector_events
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._ferrio import BaseLoop

__all__ = ["profiled_wait", "replaced_selector"]


def replaced_selector() -> selectors.BaseSelector | None:
    """What a loop of asyncio's would wait by, if that is more than a system call; else None.

    gevent and eventlet put selectors in the place of the interpreter's, or functions into them,
    that let other greenlets run.
    """
    # Where asyncio finds it: eventlet gives asyncio's modules the original ones back to run on it.
    module: Any = getattr(selector_events, "selectors", selectors)
    kind = module.DefaultSelector
    if kind.__module__ == "selectors" and _is_system_call(
        getattr(kind, "_selector_cls", None) or getattr(kind, "_select", None)
    ):
        return None
    selector: selectors.BaseSelector = kind()
    return selector


def _is_system_call(function: object) -> bool:
    if function is None or isinstance(function, BuiltinFunctionType):
        return True
    return isinstance(function, type) and function.__module__ == "select"


def profiled_wait(loop: BaseLoop) -> None:
    """Waits for events, seen by a profile function."""
    loop._block()
