"""asyncio's namespace, with everything that ferrio has written in Rust in it.

    from ferrio import aio as asyncio

Locks, queues, streams and the functions over tasks are ferrio's; whatever else asyncio has is
asyncio's own, found here under the same name. All of it works on any event loop.
"""

from __future__ import annotations

import asyncio
from asyncio import *  # noqa: F403
from typing import Any

from ._locks import Event as Event

#: What replaces what: for each module of asyncio's the names in it that are ferrio's here.
REPLACED: dict[str, tuple[str, ...]] = {
    "asyncio.locks": ("Event",),
}

__all__ = [*asyncio.__all__]


def __getattr__(name: str) -> Any:
    # Submodules, and what asyncio does not list in its __all__.
    return getattr(asyncio, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(asyncio)})
