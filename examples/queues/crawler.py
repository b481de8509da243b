"""A crawler with a depth limit, on a site of its own: workers that feed the queue they live on.

With several workers a page may be found on a long way first, because a page of the short way was
slow to come. Whoever notes pages as seen and is done with them then misses what lies behind. Here
a page that turns up nearer than before is followed again, without fetching it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

LINK = re.compile(r'href="([^"]+)"')


@dataclass
class Crawler:
    """Finds what can be reached from a page in at most `depth` links of the same site."""

    session: ClientSession
    depth: int
    #: The least number of links from the first page to each that was found.
    found: dict[URL, int] = field(default_factory=dict)
    problems: dict[URL, str] = field(default_factory=dict)
    fetched: int = 0
    #: How often a page turned up on a shorter way than before.
    nearer: int = 0
    _links: dict[URL, asyncio.Task[list[URL]]] = field(default_factory=dict)
    _to_follow: asyncio.Queue[tuple[URL, int]] = field(default_factory=asyncio.Queue)

    async def crawl(self, first: URL, workers: int) -> None:
        self._note(first, 0)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._work()) for _ in range(workers)]
            # The queue may be empty while a worker still reads a page: join() knows, empty() not.
            await self._to_follow.join()
            for task in tasks:
                task.cancel()

    def _note(self, page: URL, depth: int) -> None:
        if depth <= self.depth and depth < self.found.get(page, self.depth + 1):
            self.nearer += page in self.found
            self.found[page] = depth
            # The queue has no limit: workers that wait to put would have nobody left to get.
            self._to_follow.put_nowait((page, depth))

    async def _work(self) -> None:
        while True:
            page, depth = await self._to_follow.get()
            try:
                for link in await self._links_of(page):
                    if link.origin() == page.origin():
                        self._note(link, depth + 1)
            except (ClientError, TimeoutError) as problem:
                self.problems[page] = f"{type(problem).__name__}: {problem}".rstrip(": ")
            finally:
                self._to_follow.task_done()

    async def _links_of(self, page: URL) -> list[URL]:
        # A task, so that two workers at the same page share one fetch.
        if page not in self._links:
            self._links[page] = asyncio.create_task(self._fetch(page))
        return await self._links[page]

    async def _fetch(self, page: URL) -> list[URL]:
        self.fetched += 1
        async with self.session.get(page) as response:
            response.raise_for_status()
            return [
                page.join(URL(link)).with_fragment(None)
                for link in LINK.findall(await response.text())
            ]


class Site:
    """Pages with links, some of them slow; one is missing, one never comes."""

    def __init__(self, pages: int) -> None:
        dice = random.Random(pages)
        self.links = {
            number: sorted(
                {*range(3 * number + 1, min(3 * number + 4, pages)), *dice.sample(range(pages), 3)}
            )
            for number in range(pages)
        }
        # A short way through a slow page, and a long way round it that is quicker.
        self.slow = {1, 2}

    def reachable(self, depth: int) -> Counter[int]:
        """How many pages have which distance from page 0: what a crawl has to find."""
        distance, ring = {0: 0}, [0]
        for step in range(1, depth + 1):
            ring = sorted({link for page in ring for link in self.links[page]} - distance.keys())
            distance |= dict.fromkeys(ring, step)
        return Counter(distance.values())

    async def page(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        if number in self.slow:
            await asyncio.sleep(0.05)
        items = "".join(
            f'<li><a href="/page/{link}#top">{link}</a></li>' for link in self.links[number]
        )
        if number == 0:
            items += '<li><a href="/lost">lost</a><a href="/never">never</a></li>'
            items += '<li><a href="http://elsewhere.invalid/">elsewhere</a></li>'
        return web.Response(
            text=f"<title>{number}</title><ul>{items}</ul>", content_type="text/html"
        )

    async def never(self, request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[URL]:
        """Serves for the time of the block; yields the address of page 0."""
        app = web.Application()
        app.router.add_get(r"/page/{number:\d+}", self.page)
        app.router.add_get("/never", self.never)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            yield URL.build(scheme="http", host=host, port=port, path="/page/0")
        finally:
            await runner.cleanup()


async def run(pages: int, depth: int, workers: int, seconds: float) -> None:
    """Crawls a site of `pages` pages; no page gets more than `seconds`."""
    site = Site(pages)
    async with (
        site.served() as first,
        ClientSession(timeout=ClientTimeout(total=seconds)) as session,
    ):
        crawler = Crawler(session, depth)
        start = time.perf_counter()
        await crawler.crawl(first, workers)
        took = time.perf_counter() - start
    by_depth = Counter(
        depth for page, depth in crawler.found.items() if page not in crawler.problems
    )
    if by_depth != site.reachable(depth):
        raise AssertionError(f"found {by_depth}, expected {site.reachable(depth)}")
    print(
        f"crawler: {by_depth.total()} pages within {depth} links, {crawler.fetched} fetches,"
        f" {crawler.nearer} found nearer than first thought, {took:.2f} s"
    )
    print("crawler: by distance " + ", ".join(f"{d}: {by_depth[d]}" for d in sorted(by_depth)))
    for page, problem in sorted(crawler.problems.items()):
        print(f"crawler: {page.path}: {problem.partition(',')[0]}")
