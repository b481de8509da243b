"""A loop that is a guest in a window's own thread: no second thread, and no polling.

Of all recipes this file alone knows of ferrio: asyncio's own loops cannot be guests.
"""

from __future__ import annotations

import asyncio
import tkinter as tk
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import ferrio.guest

T = TypeVar("T")


class LoopGuest:
    """Runs coroutines in the thread of the window, for the time of a `with` block."""

    def __init__(self, root: tk.Tk) -> None:
        self._run = ferrio.guest.start_in_tk(forever(), root)
        self.loop = self._run.loop

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # As asyncio.run it cancels what is left, and waits for it.
        self._run.__exit__(kind, error, traceback)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """From the window's own callbacks: they are in the loop's thread."""
        return self.loop.create_task(coroutine)


async def forever() -> None:
    await asyncio.Event().wait()
