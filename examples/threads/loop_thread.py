"""A loop in a thread of its own, for programs whose main thread belongs to something else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Self, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines in a loop beside the caller, for the time of a `with` block."""

    _loop: asyncio.AbstractEventLoop
    _leave: asyncio.Event

    def __init__(self) -> None:
        self._is_running = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="loop")

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_running.wait()
        return self

    def __exit__(self, *_: object) -> None:
        # Nothing of a loop may be called from another thread, except this.
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """From any thread. Cancelling the future that is returned cancels the task."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._leave = asyncio.Event()
        self._is_running.set()
        await self._leave.wait()
        # asyncio.run cancels what is left, and waits for it.
