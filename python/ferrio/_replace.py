"""Putting ferrio's classes and functions into asyncio itself, and taking them out again."""

from __future__ import annotations

import sys
import threading
from typing import Any

_lock = threading.Lock()
# What stood under a name of asyncio's before ours does, by module and name.
_found: dict[tuple[str, str], Any] = {}


def replace() -> None:
    """Have asyncio's own names mean ferrio's objects, for programs that know nothing of ferrio.

    Each stands in the module that asyncio defines it in and, if it is public, in the package.
    What a module has imported by name before keeps its meaning: call it early.

    Names that are replaced already stay so. Where somebody has put something else in between, ours
    goes on top, and that something is what `restore` gives back.
    """
    from . import aio

    with _lock:
        for module_name, names in aio.REPLACED.items():
            for name in names:
                ours = getattr(aio, name)
                for place in (module_name, "asyncio"):
                    module = sys.modules[place]
                    theirs = getattr(module, name, None)
                    if theirs is None or theirs is ours:
                        continue
                    _found[place, name] = theirs
                    setattr(module, name, ours)


def restore() -> None:
    """Put back what `replace` found.

    What somebody has put in place of ours since is theirs to take away: it stays. If it is gone
    later and ours stands there again, another call puts that name back too.
    """
    if not _found:
        # Nor is there a reason to import `aio`.
        return
    from . import aio

    with _lock:
        for (place, name), theirs in list(_found.items()):
            module = sys.modules[place]
            if getattr(module, name, None) is getattr(aio, name):
                setattr(module, name, theirs)
                del _found[place, name]
