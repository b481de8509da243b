"""The event loops that tests can be run on, by name."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable

Factory = Callable[[], asyncio.AbstractEventLoop]

# What a loop is measured against, and what runs if no other loop is asked for.
REFERENCE = "asyncio"
DEFAULT = "ferrio"

# The loops that have a short name; anything else is given as `module:callable`.
NAMED = {
    REFERENCE: "asyncio:SelectorEventLoop",
    DEFAULT: "ferrio:new_event_loop",
    "uvloop": "uvloop:new_event_loop",
    "opaque": "tests.conformance.opaque:new_event_loop",
}


def check_name(name: str) -> str:
    """`module:callable` of what `name` stands for, without importing it."""
    path = NAMED.get(name, name)
    if ":" not in path:
        raise ValueError(f"no loop is called {name!r}; give {', '.join(NAMED)} or module:callable")
    return path


def factory_named(name: str) -> Factory:
    """The callable behind `ferrio`, `asyncio`, `uvloop`, `opaque` or `module:callable`."""
    module, _, attribute = check_name(name).partition(":")
    factory: Factory = getattr(importlib.import_module(module), attribute)
    return factory


def is_portable() -> bool:
    """Are ferrio's loops to wait as they do on systems other than Linux?"""
    return os.environ.get("FERRIO_DRIVER") == "portable"


def give_up_pidfds() -> None:
    """Has asyncio's loops wait for children as they do on systems other than Linux: by threads."""
    from asyncio import unix_events

    # 3.11 does so everywhere.
    if hasattr(unix_events, "can_use_pidfd"):
        unix_events.can_use_pidfd = lambda: False
