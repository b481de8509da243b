"""The event loops that are compared, by name."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import cast

Factory = Callable[[], asyncio.AbstractEventLoop]

NAMES = ("asyncio", "uvloop", "rloop", "zuvloop", "aiofastnet", "ferrio")
"""In the order in which they are run and shown."""

VARIANTS = ("ferrio-loop-only",)
"""Measured only if asked for: what ferrio is without its classes in asyncio's place."""


def distribution(name: str) -> str:
    """The package that a loop of this name comes from."""
    return name.removesuffix("-loop-only")


def factory(name: str) -> Factory:
    """What makes a loop of this name; `ImportError` where it is not installed.

    Other loops run asyncio's own classes. With ferrio comes what `ferrio run` gives a program: its
    classes take their place in asyncio, for the rest of the process.
    """
    if name == "asyncio":
        return asyncio.new_event_loop
    module = importlib.import_module(distribution(name))
    if name == "ferrio":
        module.install(replace=True)
    if name == "aiofastnet":
        # Transports for somebody else's loop; uvloop is the quicker one beneath them.
        below = importlib.import_module("uvloop").new_event_loop
        return cast(Factory, module.loop_factory(below))
    return cast(Factory, module.new_event_loop)
