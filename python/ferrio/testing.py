"""Time for tests: an hour of sleeping in a millisecond.

    from ferrio.testing import virtual_time

    def test_retries() -> None:
        virtual_time(retry_for_an_hour())      # as ferrio.run(...), but nobody waits

Only the loop's clock is virtual: `loop.time()`, and by it sleeps, timeouts and timers.
`time.time()` and `time.monotonic()` go on as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ._loop import Loop
from ._runner import Main

__all__ = ["VirtualTimeLoop", "virtual_time"]

T = TypeVar("T")

#: Seconds, as times are told apart.
RESOLUTION = 1e-9


def virtual_time(
    main: Main[T], *, start: float = 0.0, patience: float = 0.0, debug: bool | None = None
) -> T:
    """Run `main` to its end in virtual time and return its result.

    Like `ferrio.run`, on a `VirtualTimeLoop`.

    Args:
        main: A coroutine; from Python 3.14 on any awaitable.
        start: What `loop.time()` says at first, in seconds.
        patience: See `VirtualTimeLoop`.
        debug: As for `ferrio.run`.

    Raises:
        RuntimeError: A loop is running in this thread.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("virtual_time() cannot be called from a running event loop")

    def new_event_loop() -> VirtualTimeLoop:
        return VirtualTimeLoop(start=start, patience=patience)

    with asyncio.Runner(debug=debug, loop_factory=new_event_loop) as runner:
        return runner.run(main)


class VirtualTimeLoop(Loop):
    """A loop on which nobody waits for time to pass.

    When nothing is ready, the clock jumps to the next timer. What is ready comes first: callbacks,
    and bytes on real sockets. Time stands still while something outside works that the loop has
    started: threads of `run_in_executor` and `asyncio.to_thread`, name look-ups, child processes.
    So a timeout around one of them does not come true before it ends.

    Others that work outside are not known to the loop: other processes behind a socket, threads
    of the program's own. Where a test talks to them with a timeout, `patience` gives them time.

    Args:
        start: What `time()` says at first, in seconds.
        patience: Real seconds to wait for the outside before each jump of the clock.

    Raises:
        ValueError: `patience` is negative.
    """

    __module__ = "ferrio.testing"

    def __init__(self, *, start: float = 0.0, patience: float = 0.0) -> None:
        if not patience >= 0:
            raise ValueError(f"patience must not be negative, got {patience!r}")
        self._now = float(start)
        self._patience = patience
        self._outside = 0
        self._children: list[asyncio.SubprocessTransport] = []
        super().__init__()
        self._wait_by(_Jumping(self))

    def time(self) -> float:
        """The virtual clock: seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Have the clock jump, whatever is ready: timers that are due by then run in the next turn.

        Raises:
            ValueError: The clock would go back.
        """
        if not seconds >= 0:
            raise ValueError(f"time does not go back, got {seconds!r}")
        self._now += seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._outside += 1
        future.add_done_callback(self._has_ended)
        return future

    @contextlib.contextmanager
    def _outside_works(self) -> Iterator[None]:
        """Something outside that the loop waits for."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        with self._outside_works():
            return await super().getaddrinfo(*args, **kwargs)

    async def getnameinfo(self, *args: Any, **kwargs: Any) -> Any:
        with self._outside_works():
            return await super().getnameinfo(*args, **kwargs)

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        with self._outside_works():
            await super().shutdown_default_executor(*args, **kwargs)

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> Any:
        return self._watched(await super().subprocess_exec(*args, **kwargs))

    async def subprocess_shell(self, *args: Any, **kwargs: Any) -> Any:
        return self._watched(await super().subprocess_shell(*args, **kwargs))

    def _jump(self, seconds: float) -> None:
        """To the next timer, which is so far away, rounded up to what can be told apart."""
        now = self._now + max(seconds, RESOLUTION)
        # Exactly there, so that nothing is summed up that was rounded.
        timers = self._scheduled
        when = timers[0].when() if timers else now
        self._now = when if abs(when - now) < 2 * RESOLUTION else now

    def _has_ended(self, _: object) -> None:
        self._outside -= 1

    def _watched(self, made: tuple[asyncio.SubprocessTransport, Any]) -> Any:
        self._children.append(made[0])
        return made

    def _is_somebody_at_work(self) -> bool:
        """Is there something outside that the loop has started?"""
        self._children = [child for child in self._children if child.get_returncode() is None]
        return self._outside > 0 or bool(self._children)


class _Jumping(selectors.DefaultSelector):
    """What a `VirtualTimeLoop` waits by: it waits for what is ready, and for nothing else."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        loop = self._loop
        if found := super().select(0):
            return found
        if timeout is None or (timeout > 0 and loop._is_somebody_at_work()):
            return super().select(None)
        if timeout <= 0:
            return []
        if loop._patience > 0 and (found := super().select(loop._patience)):
            return found
        loop._jump(timeout)
        return []
