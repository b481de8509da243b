"""as_completed: each answer as soon as it is there, in the order in which they come.

The slowest page is asked for first here, and yet nobody waits for it. What `as_completed` gives are
not the tasks one made: an answer has to say itself what it is the answer to. And its timeout ends
the waiting, not the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import ClientSession
from visitor import Tally, new_session, title_of
from yarl import URL

#: Seconds that a page takes, in the order of asking.
DELAYS = (0.4, 0.3, 0.2, 0.1)


async def run(base: URL, pages: int) -> None:
    async with new_session(base) as session:
        print(f"  asked for:  {order(enumerate(DELAYS))}")
        arrived = [
            (await answer)[0]
            for answer in asyncio.as_completed(
                [dated(session, number, seconds) for number, seconds in enumerate(DELAYS)]
            )
        ]
        print(f"  arrived:    {order((number, DELAYS[number]) for number in arrived)}")

        await too_late(session)

        with Tally("as_completed, titles counted as they come") as tally:
            letters: set[str] = set()
            for answer in asyncio.as_completed(
                [title_of(session, f"/instruments/{number}") for number in range(pages)]
            ):
                letters.add((await answer)[0])
                tally.pages += 1
        print(f"  initial letters met: {''.join(sorted(letters))}")


async def too_late(session: ClientSession) -> None:
    """Some answers in time, and an end to the others."""
    tasks = [
        asyncio.create_task(dated(session, number, seconds))
        for number, seconds in enumerate((0.0, 30.0, 0.0, 30.0))
    ]
    numbers = []
    try:
        for answer in asyncio.as_completed(tasks, timeout=1):
            numbers.append((await answer)[0])
    except TimeoutError:
        running = [task for task in tasks if not task.done()]
        print(f"  timeout:    {len(numbers)} in time; {len(running)} still running, cancelled now")
        for task in running:
            task.cancel()
        await asyncio.wait(running)


async def dated(session: ClientSession, number: int, seconds: float) -> tuple[int, str]:
    """The number and the title of a page that takes `seconds`."""
    return number, await title_of(session, f"/vault/{number}?seconds={seconds}")


def order(pages: Iterable[tuple[int, float]]) -> str:
    return ", ".join(f"{number} ({seconds} s)" for number, seconds in pages)
