"""The end of a program within a deadline: what is left is cancelled, and what stays is named."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import threading
import traceback
from collections.abc import Iterable
from typing import Any

logger = logging.getLogger("ferrio")

AnyTask = asyncio.Task[Any]


async def cancel(tasks: Iterable[AnyTask], seconds: float) -> set[AnyTask]:
    """Cancel tasks, and wait for them for so long; those that have not ended by then.

    What they raise is theirs: it is logged as of a task that nobody waits for.
    """
    waited = {task for task in tasks if not task.done()}
    for task in waited:
        task.cancel()
    if not waited:
        return set()
    _, pending = await asyncio.wait(waited, timeout=seconds)
    return pending


def report(stuck: Iterable[AnyTask], seconds: float) -> list[str]:
    """Log where each of these tasks stands; their names, sorted."""
    names = []
    for task in sorted(stuck, key=lambda task: task.get_name()):
        names.append(task.get_name())
        logger.error(
            "%s did not stop within %g s of being cancelled; it stands here:\n%s",
            task.get_name(),
            seconds,
            stand(task),
        )
    return names


def stand(task: AnyTask) -> str:
    """Where a task stands, as text: its stack, the innermost frame last."""
    text = io.StringIO()
    task.print_stack(file=text)
    return text.getvalue().rstrip()


def abandon(tasks: Iterable[Any]) -> None:
    """Have nobody wait for these tasks any more, or complain of their end."""
    for task in tasks:
        asyncio._unregister_task(task)
        task._log_destroy_pending = False


def end(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """End what is left on a loop that does not run, within so many seconds in all.

    As the end of `asyncio.Runner` does without a deadline: tasks, asynchronous generators, threads
    of the default executor. Who does not end in time is logged, and left.
    """
    deadline = loop.time() + seconds

    def left() -> float:
        return max(0.0, deadline - loop.time())

    async def everything() -> None:
        this = asyncio.current_task()
        stuck = await cancel((task for task in asyncio.all_tasks() if task is not this), seconds)
        report(stuck, seconds)
        abandon(stuck)
        try:
            # A turn at least, for those that end at once.
            await asyncio.wait_for(loop.shutdown_asyncgens(), max(left(), 0.001))
        except TimeoutError:
            logger.error("asynchronous generators did not end within %g s", seconds)
        executor = getattr(loop, "_default_executor", None)
        if executor is not None:
            await threads(executor, left(), seconds)

    loop.run_until_complete(everything())


async def threads(executor: Any, left: float, seconds: float) -> None:
    """Wait for the threads of an executor, and log what those do that go on."""
    executor.shutdown(wait=False, cancel_futures=True)
    until = asyncio.get_running_loop().time() + left
    workers: set[threading.Thread] = set(getattr(executor, "_threads", ()))
    while any(worker.is_alive() for worker in workers):
        if asyncio.get_running_loop().time() >= until:
            break
        await asyncio.sleep(min(0.01, left))
    frames = sys._current_frames()
    for worker in workers:
        if worker.is_alive() and worker.ident in frames:
            logger.error(
                "the thread %s did not end within %g s, and the process cannot end before it; "
                "it stands here:\n%s",
                worker.name,
                seconds,
                "".join(traceback.format_stack(frames[worker.ident])).rstrip(),
            )
    loop: Any = asyncio.get_running_loop()
    # Nobody else is to wait for it.
    loop._default_executor = None
