"""`new_event_loop` and `run`: a loop for the asking, and one for the length of a call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from ._loop import Loop

T = TypeVar("T")

if sys.version_info >= (3, 14):
    from collections.abc import Awaitable

    Main: TypeAlias = Awaitable[T]
else:
    from collections.abc import Coroutine

    Main: TypeAlias = Coroutine[Any, Any, T]


#: What `ferrio run` does to each loop before its program gets it; nothing, elsewhere.
prepare: Callable[[asyncio.AbstractEventLoop], object] = id


def new_event_loop(*, c_tasks: bool | None = None, driver: str | None = None) -> Loop:
    """A new loop: what to give as `loop_factory` to whoever asks for one.

    Like `asyncio.new_event_loop()` it makes the loop and nothing else: the loop is nobody's current
    one, and whoever made it closes it.

    Args:
        c_tasks: As for `Loop`.
        driver: As for `Loop`.

    Raises:
        ValueError: This system has no such driver.
    """
    loop = Loop(c_tasks=c_tasks, driver=driver)
    prepare(loop)
    return loop


def run(
    main: Main[T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    shutdown_timeout: float | None = None,
) -> T:
    """Run `main` to its end on a new loop and return its result.

    `asyncio.run` of the Python at hand, on ferrio: remaining tasks are cancelled at the end,
    asynchronous generators and the default executor are shut down, Ctrl-C cancels `main`. Unlike
    the function of asyncio it takes `loop_factory` on Python 3.11 too.

    Args:
        main: A coroutine; from Python 3.14 on any awaitable.
        debug: True or False sets the loop's debug mode, None leaves what the interpreter was
            started with (`-X dev`, `PYTHONASYNCIODEBUG`).
        loop_factory: Makes the loop; `new_event_loop` if it is None.
        shutdown_timeout: Seconds that remaining tasks, asynchronous generators and threads of the
            default executor get to end, together. Who has not ended by then is logged with its
            stack, and left behind. None waits for as long as it takes, as `asyncio.run` does.

    Raises:
        ValueError: `shutdown_timeout` is negative.
        RuntimeError: A loop is running in this thread.
        KeyboardInterrupt: Ctrl-C was pressed; `main` was cancelled and has ended.
    """
    # Runner would find out too, but speak of a method that was not called here.
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("ferrio.run() cannot be called from a running event loop")
    if shutdown_timeout is not None and not shutdown_timeout >= 0:
        raise ValueError(f"shutdown_timeout must not be negative, got {shutdown_timeout!r}")
    with asyncio.Runner(debug=debug, loop_factory=loop_factory or new_event_loop) as runner:
        try:
            return runner.run(main)
        finally:
            if shutdown_timeout is not None:
                from . import _shutdown

                _shutdown.end(runner.get_loop(), shutdown_timeout)
