"""`EventLoopPolicy`, for as long as asyncio has policies: up to Python 3.15."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from ._loop import Loop

if sys.version_info >= (3, 14):
    # The public names are the same classes behind a DeprecationWarning, which is for those who
    # write a policy now, not for those whose loop still answers to one.
    from asyncio.events import _BaseDefaultEventLoopPolicy as Base
else:
    # Not `BaseDefaultEventLoopPolicy`: the platform's own has the child watchers of 3.11 to 3.13.
    from asyncio import DefaultEventLoopPolicy as Base


class EventLoopPolicy(Base):
    """asyncio's default policy, child watchers included, except that its loops are ferrio's."""

    # asyncio's own name for it: the default policy's methods look here. A class, as there: programs
    # derive from it. On Windows its type says of which class.
    _loop_factory: Callable[[], asyncio.AbstractEventLoop] = Loop  # type: ignore[assignment, misc, unused-ignore]

    # What makes loops of that class for `install()`.
    _loop_maker: Callable[[], asyncio.AbstractEventLoop] | None = None

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Make a loop; `set_event_loop` is what makes it the thread's current one."""
        if self._loop_maker is not None and self._loop_factory is Loop:
            return self._loop_maker()
        return self._loop_factory()


EventLoopPolicy.__module__ = "ferrio"
