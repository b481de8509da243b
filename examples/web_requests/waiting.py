"""wait, in its three modes. It raises nothing and cancels nothing: it hands back two sets of tasks.

FIRST_COMPLETED is a race: who answers first wins, and the others have to be called off.
FIRST_EXCEPTION is all or nothing: go on until something fails.
ALL_COMPLETED with a timeout is a deadline that ends nothing: what is pending after it runs on.
"""

from __future__ import annotations

import asyncio

from aiohttp import ClientResponseError, ClientSession
from visitor import new_session, title_of
from yarl import URL


async def run(base: URL, pages: int) -> None:
    async with new_session(base) as session:
        await race(session)
        await all_or_nothing(session, pages)
        await deadline(session)


async def race(session: ClientSession) -> None:
    """Three copies of a page, two of them slow."""
    copies = {
        asyncio.create_task(title_of(session, f"/vault/7?seconds={seconds}"), name=name)
        for name, seconds in {"east": 20.0, "west": 0.01, "north": 20.0}.items()
    }
    done, pending = await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    # Several may be done at once; any of them will do.
    winner = done.pop()
    await call_off(pending)
    print(
        f"  FIRST_COMPLETED: {winner.get_name()} won with {winner.result()!r}, "
        f"{len(pending)} called off"
    )


async def all_or_nothing(session: ClientSession, pages: int) -> None:
    """A batch that is worth nothing if one page of it is missing."""
    batch = [
        asyncio.create_task(title_of(session, f"/restored/{number}"), name=f"page {number}")
        for number in range(pages)
    ]
    done, pending = await asyncio.wait(batch, return_when=asyncio.FIRST_EXCEPTION)
    failed = [task for task in done if task.exception() is not None]
    await call_off(pending)
    for task in failed:
        error = task.exception()
        if not isinstance(error, ClientResponseError):
            raise RuntimeError(f"{task.get_name()} failed in an unexpected way") from error
    first = min(failed, key=lambda task: int(task.get_name().split()[1]))
    total = len(done) + len(pending)
    print(f"  FIRST_EXCEPTION: {first.get_name()} of {total} failed, the rest was called off")


async def deadline(session: ClientSession) -> None:
    quick = [asyncio.create_task(title_of(session, f"/instruments/{n}")) for n in range(20)]
    slow = [asyncio.create_task(title_of(session, f"/vault/{n}?seconds=20")) for n in range(3)]
    done, pending = await asyncio.wait([*quick, *slow], timeout=1)
    alive = sum(not task.cancelled() for task in pending)
    print(
        f"  ALL_COMPLETED, timeout=1: {len(done)} done, {len(pending)} pending, "
        f"{alive} of them still running"
    )
    await call_off(pending)


async def call_off(tasks: set[asyncio.Task[str]]) -> None:
    """Cancel, and wait until it has happened: a cancelled request still has its socket to close."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
