"""Polite limits: a site that turns a crowd away, and a semaphore that keeps the crowd outside.

The reading room has 16 seats. Whoever comes when they are taken gets 429, "too many requests".
Without a limit most pages are refused. With a semaphore of as many places as there are seats none
is, and it takes no longer: the room was the limit anyway. A client that does not know the number of
seats can only try again later, and pays with requests.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from aiohttp import ClientResponseError, ClientSession
from catalogue import SEATS
from visitor import Tally, new_session, statistics_of, title_of
from yarl import URL

Fetch = Callable[[int], Awaitable[str]]


async def run(base: URL, pages: int) -> None:
    async with new_session(base, connections=0, seconds=120) as session:
        await everybody("no limit", session, pages, lambda number: read(session, number))

        limit = asyncio.Semaphore(SEATS)

        async def in_turn(number: int) -> str:
            async with limit:
                return await read(session, number)

        await everybody(f"a semaphore of {SEATS}", session, pages, in_turn)

        # Twice as many as there are seats: now and then somebody has to come again.
        crowd = asyncio.Semaphore(2 * SEATS)

        async def persistent(number: int) -> str:
            async with crowd:
                return await until_admitted(session, number)

        await everybody(f"a semaphore of {2 * SEATS}, trying again", session, pages, persistent)


async def everybody(what: str, session: ClientSession, pages: int, fetch: Fetch) -> None:
    before = await statistics_of(session)
    with Tally(what) as tally:
        outcomes = await asyncio.gather(
            *(fetch(number) for number in range(pages)), return_exceptions=True
        )
        tally.pages = sum(isinstance(outcome, str) for outcome in outcomes)
    after = await statistics_of(session)
    print(
        f"    {tally.pages} of {pages} read, 429 sent {after['refused'] - before['refused']} times"
    )
    for outcome in outcomes:
        if not (isinstance(outcome, str) or is_refusal(outcome)):
            raise outcome


async def until_admitted(session: ClientSession, number: int) -> str:
    """Come again after a while that doubles, with jitter: otherwise all come again together."""
    seconds = 0.01
    while True:
        try:
            return await read(session, number)
        except ClientResponseError as error:
            if not is_refusal(error):
                raise
        await asyncio.sleep(random.uniform(seconds / 2, seconds))
        seconds = min(2 * seconds, 1.0)


async def read(session: ClientSession, number: int) -> str:
    return await title_of(session, f"/reading-room/{number}")


def is_refusal(error: BaseException) -> bool:
    return isinstance(error, ClientResponseError) and error.status == 429
