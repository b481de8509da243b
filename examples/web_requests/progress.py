"""A progress bar over thousands of pages that complete in any order."""

from __future__ import annotations

import asyncio

from bar import Bar
from visitor import Tally, new_session, title_of
from yarl import URL


async def run(base: URL, pages: int) -> None:
    async with new_session(base) as session:
        bar = Bar(pages)
        titles: set[str] = set()
        with Tally("as_completed with a bar") as tally:
            for answer in asyncio.as_completed(
                [title_of(session, f"/instruments/{number}") for number in range(pages)]
            ):
                titles.add(await answer)
                tally.pages += 1
                bar.advance()
        print(f"  {len(titles)} different titles")
