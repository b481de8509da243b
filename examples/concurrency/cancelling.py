"""Cancelling: a request, delivered as an exception at the next wait.

CancelledError is what every `finally` and `async with` on the way understands. Whoever catches it
decides: clean up and raise it again, or go on, in which case nothing was cancelled.
"""

from __future__ import annotations

import asyncio

from lighthouses import ABANDONED, COAST, FARTHEST, report


async def main() -> None:
    await cleaning_up()
    await before_it_began()
    await refused()
    await shielded()


async def cancel_soon(task: asyncio.Task[str]) -> str:
    """Lets the task begin, cancels it, and says how it ended."""
    await asyncio.sleep(0.01)
    was_running = task.cancel()
    try:
        answer = await task
    except asyncio.CancelledError:
        answer = "no answer"
    return f"cancel() returned {was_running}, cancelled() is {task.cancelled()}, {answer}"


async def cleaning_up() -> None:
    async def tidy() -> str:
        try:
            return await report(ABANDONED)
        finally:
            # May wait, too: it was cancelled once, and is not again until somebody asks again.
            await asyncio.sleep(0.01)
            print("tidy:       puts the radio away")

    print(f"tidy:       {await cancel_soon(asyncio.create_task(tidy()))}")


async def before_it_began() -> None:
    """There was no wait yet to raise anything at: none of its code runs, not even `finally`."""
    began = False

    async def idle() -> str:
        nonlocal began
        began = True
        return await report(ABANDONED)

    task = asyncio.create_task(idle())
    task.cancel()
    await asyncio.wait([task])
    print(f"idle:       cancelled() is {task.cancelled()}, it had begun: {began}")


async def refused() -> None:
    """Swallowing CancelledError makes tasks that cannot be stopped and timeouts without effect."""

    async def stubborn() -> str:
        while True:
            try:
                return await report(COAST[1])
            except asyncio.CancelledError:
                print("stubborn:   asks once more")

    print(f"stubborn:   {await cancel_soon(asyncio.create_task(stubborn()))}")


async def shielded() -> None:
    """The one who waits can be cancelled while the work goes on."""
    question = asyncio.create_task(report(FARTHEST))

    async def impatient() -> str:
        return await asyncio.shield(question)

    print(f"impatient:  {await cancel_soon(asyncio.create_task(impatient()))}")
    print(f"            the question goes on, and is answered: {await question}")
