"""Timeouts: for one request, for a phase of it, for a batch; and what must survive a timeout.

All of them cancel what they stop, so the connection is given up and the site learns of it: the last
line counts the requests whose visitor had gone, as the site saw them.
"""

from __future__ import annotations

import asyncio

from aiohttp import ClientSession, ClientTimeout, ServerTimeoutError
from visitor import new_session, statistics_of, title_of
from yarl import URL

#: Nobody waits as long as this page takes.
SLOW = "/vault/3?seconds=30"


async def run(base: URL, pages: int) -> None:
    async with new_session(base) as session:
        await one_request(session)
        await one_phase(session)
        await one_batch(session, pages)
        await moving_deadline(session, pages)
        await shielded(session)
        print(f"  the site saw {await abandoned(session, at_least=4)} requests abandoned")


async def one_request(session: ClientSession) -> None:
    try:
        async with asyncio.timeout(0.2):
            await title_of(session, SLOW)
    except TimeoutError as error:
        print(f"  asyncio.timeout(0.2) around a request: {type(error).__name__}")


async def one_phase(session: ClientSession) -> None:
    """aiohttp's own: sock_read is the time between two pieces, not the time of the answer."""
    try:
        async with session.get(SLOW, timeout=ClientTimeout(total=60, sock_read=0.2)):
            pass
    except ServerTimeoutError as error:
        is_timeout = isinstance(error, TimeoutError)
        print(f"  sock_read=0.2: {type(error).__name__}, a TimeoutError: {is_timeout}")


async def one_batch(session: ClientSession, pages: int) -> None:
    """One deadline over many requests, and whatever was there in time."""
    titles: dict[int, str] = {}
    paths = [f"/instruments/{number}" for number in range(min(pages, 50))] + [SLOW]

    async def fetch(number: int, path: str) -> None:
        titles[number] = await title_of(session, path)

    try:
        async with asyncio.timeout(3), asyncio.TaskGroup() as group:
            for number, path in enumerate(paths):
                group.create_task(fetch(number, path))
    except TimeoutError:
        given_up = len(paths) - len(titles)
        print(
            f"  asyncio.timeout(3) around a group: {len(titles)} titles kept, {given_up} cancelled"
        )


async def moving_deadline(session: ClientSession, pages: int) -> None:
    """As long as pages come, go on: every answer moves the deadline."""
    loop = asyncio.get_running_loop()
    read = 0
    try:
        async with asyncio.timeout(2) as patience:
            for number in range(min(pages, 50)):
                await title_of(session, f"/instruments/{number}")
                read += 1
                patience.reschedule(loop.time() + 2)
            await title_of(session, SLOW)
    except TimeoutError:
        print(f"  rescheduled with every answer: {read} pages, then patience ran out")


async def shielded(session: ClientSession) -> None:
    """wait_for cancels what it waits for, unless that stands behind a shield."""
    reservation = asyncio.create_task(title_of(session, "/vault/5?seconds=0.4"))
    try:
        await asyncio.wait_for(asyncio.shield(reservation), 0.05)
    except TimeoutError:
        print(f"  wait_for(shield(...), 0.05): TimeoutError; afterwards {await reservation!r}")


async def abandoned(session: ClientSession, at_least: int) -> int:
    """The site hears of a closed connection when its turn comes: give it a moment."""
    async with asyncio.timeout(20):
        while (count := (await statistics_of(session))["abandoned"]) < at_least:
            await asyncio.sleep(0.05)
    return count
