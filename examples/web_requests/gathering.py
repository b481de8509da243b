"""gather: many answers at once, in the order of the questions.

One after another is the time of one page times their number. At once, the waiting overlaps; pages
that need no waiting gain next to nothing, since one thread does all the work either way.

Then the two ways to deal with pages that fail: `return_exceptions=True` gives every
outcome in its place, while without it the first failure is raised and the other requests run on,
unsupervised. A TaskGroup cancels them instead.
"""

from __future__ import annotations

import asyncio

from aiohttp import ClientResponseError, ClientSession
from visitor import Tally, new_session, title_of
from yarl import URL


async def run(base: URL, pages: int) -> None:
    async with new_session(base) as session:
        for what, folder in {"distant": "distant", "near": "instruments"}.items():
            with Tally(f"{what} pages, one after another") as tally:
                one_by_one = [
                    await title_of(session, f"/{folder}/{number}") for number in range(pages)
                ]
                tally.pages = pages
            with Tally(f"{what} pages, gather") as tally:
                at_once = await asyncio.gather(
                    *(title_of(session, f"/{folder}/{number}") for number in range(pages))
                )
                tally.pages = pages
            print(f"    the same titles in the same order: {one_by_one == at_once}")
        print()

        await every_outcome(session, pages)
        await first_failure(session, pages)
        await first_failure_of_a_group(session, pages)


async def every_outcome(session: ClientSession, pages: int) -> None:
    outcomes = await asyncio.gather(
        *(title_of(session, f"/restored/{number}") for number in range(pages)),
        return_exceptions=True,
    )
    failures = [outcome for outcome in outcomes if isinstance(outcome, ClientResponseError)]
    # What is neither an answer nor a failure we know must not be lost among the outcomes.
    for outcome in outcomes:
        if not isinstance(outcome, str | ClientResponseError):
            raise outcome
    print(
        f"  gather(return_exceptions=True): {pages - len(failures)} titles, "
        f"{len(failures)} failed ({failures[0].status} at the first)"
    )


async def first_failure(session: ClientSession, pages: int) -> None:
    tasks = tasks_for(session, pages)
    try:
        await asyncio.gather(*tasks)
    except ClientResponseError as error:
        running = sum(not task.done() for task in tasks)
        print(f"  gather: raised {error.status}; left {running} requests running")
    # They are ours still: whoever forgets them never hears of their exceptions.
    await asyncio.wait(tasks)
    for task in tasks:
        task.exception()


async def first_failure_of_a_group(session: ClientSession, pages: int) -> None:
    tasks: list[asyncio.Task[str]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks += [group.create_task(title_of(session, f"/restored/{n}")) for n in range(pages)]
    except* ClientResponseError as errors:
        running = sum(not task.done() for task in tasks)
        cancelled = sum(task.cancelled() for task in tasks)
        print(
            f"  TaskGroup: raised {len(errors.exceptions)} of them, cancelled {cancelled}; "
            f"left {running} requests running"
        )


def tasks_for(session: ClientSession, pages: int) -> list[asyncio.Task[str]]:
    return [
        asyncio.create_task(title_of(session, f"/restored/{number}")) for number in range(pages)
    ]
