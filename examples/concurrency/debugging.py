"""What debug mode says: who held up the loop, what was never awaited, who called from where.

It is switched on for one loop by `loop.set_debug(True)` or `asyncio.run(..., debug=True)`, for a
whole program by PYTHONASYNCIODEBUG=1 or `python -X dev`. It costs time: every callback is timed,
and every task remembers where it was made.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import re
import threading
import time
import warnings
from collections.abc import Iterator


class Listener(logging.Handler):
    """Collects what asyncio logs instead of letting it go to stderr."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
    logger = logging.getLogger("asyncio")
    listener = Listener()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(listener)
    try:
        yield listener.lines
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagate


async def count_the_stock() -> None:
    """The culprit: it holds up the loop for longer than `slow_callback_duration`."""
    time.sleep(0.15)


async def main() -> None:
    loop = asyncio.get_running_loop()
    was_on = loop.get_debug()
    # On a busy machine any step may be slow: what is not printed below shall not be seen.
    with listening():
        loop.set_debug(True)
        # It takes effect with the next turn of the loop, and ends with one.
        await asyncio.sleep(0)
        try:
            await slow()
            await never_awaited()
            await wrong_thread()
        finally:
            loop.set_debug(was_on)
            await asyncio.sleep(0)


async def slow() -> None:
    loop = asyncio.get_running_loop()
    print(f"a step that takes more than {loop.slow_callback_duration} s is logged:")
    with listening() as lines:
        await asyncio.create_task(count_the_stock(), name="stock")
        # The line is written after the step, which is before this one goes on.
        await asyncio.sleep(0)
    for line in lines:
        print(f"  {shortened(line)}")
    loop.slow_callback_duration = 1.0
    with listening() as lines:
        await asyncio.create_task(count_the_stock())
        await asyncio.sleep(0)
    print(f"with slow_callback_duration = 1.0 there are {len(lines)} lines")
    loop.slow_callback_duration = 0.1


async def never_awaited() -> None:
    """Python itself warns of it; debug mode adds where the coroutine was made."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        count_the_stock()  # type: ignore[unused-coroutine]  # the `await` is missing
        gc.collect()
    print("a coroutine that nobody awaits:")
    for warning in caught:
        text = str(warning.message)
        print(f"  {text.splitlines()[0]}")
        print(f"  it says where: {'def never_awaited' in text or 'in never_awaited' in text}")


async def wrong_thread() -> None:
    """`call_soon` is not for other threads. Without debug mode a sleeping loop just sleeps on."""
    loop = asyncio.get_running_loop()
    complaints: list[str] = []

    def call() -> None:
        try:
            loop.call_soon(print, "never printed")
        except RuntimeError as error:
            complaints.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    print("call_soon from another thread:")
    for complaint in complaints:
        print(f"  RuntimeError: {complaint}")


def shortened(line: str) -> str:
    """Without folders and addresses, which differ from machine to machine."""
    return re.sub(r"(?:/[^/ ]+)+/", "", re.sub(r" at 0x[0-9a-f]+", "", line))
