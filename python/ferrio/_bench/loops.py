"""The event loops that are compared, by name."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import cast

Factory = Callable[[], asyncio.AbstractEventLoop]

NAMES = ("asyncio", "uvloop", "rloop", "zuvloop", "aiofastnet", "ferrio")
"""In the order in which they are run and shown."""


def factory(name: str) -> Factory:
    """What makes a loop of this name; `ImportError` where it is not installed."""
    if name == "asyncio":
        return asyncio.new_event_loop
    module = importlib.import_module(name)
    if name == "aiofastnet":
        # Transports for somebody else's loop; uvloop is the quicker one beneath them.
        below = importlib.import_module("uvloop").new_event_loop
        return cast(Factory, module.loop_factory(below))
    return cast(Factory, module.new_event_loop)
