"""The clients: each phase uses one kind of endpoint, many times at once, and checks answers."""

from __future__ import annotations

import asyncio
import hashlib
import json
from html.parser import HTMLParser

from aiohttp import ClientSession, ClientTimeout, TCPConnector, WSMsgType
from articles import Article
from measure import Stopwatch
from yarl import URL


class Visitors:
    """A crowd of visitors that share one pool of connections."""

    def __init__(self, base: URL, articles: list[Article], crowd: int) -> None:
        self._base = base
        self._articles = articles
        self._crowd = crowd
        self._session = ClientSession(
            base, connector=TCPConnector(limit=crowd), timeout=ClientTimeout(total=30)
        )

    async def __aenter__(self) -> Visitors:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def crawl(self, watch: Stopwatch) -> None:
        """Follow every link from page 0 on, and ask for each page once more with its ETag."""
        known = {0}
        tags: dict[int, str] = {}
        to_visit: asyncio.Queue[int] = asyncio.Queue()
        to_visit.put_nowait(0)

        async def visitor() -> None:
            while True:
                number = await to_visit.get()
                with watch:
                    async with self._session.get(f"/pages/{number}") as response:
                        response.raise_for_status()
                        tags[number] = response.headers["ETag"]
                        text = await response.text()
                        watch.received(len(text))
                for link in links_of(text):
                    if link not in known:
                        known.add(link)
                        to_visit.put_nowait(link)
                to_visit.task_done()

        async with asyncio.TaskGroup() as group:
            crowd = [group.create_task(visitor()) for _ in range(self._crowd)]
            await to_visit.join()
            for task in crowd:
                task.cancel()
        expect(known == set(range(len(self._articles))), "the crawl found every page")

        async def revisit(number: int) -> None:
            with watch:
                headers = {"If-None-Match": tags[number]}
                async with self._session.get(f"/pages/{number}", headers=headers) as response:
                    expect(response.status == 304, "an unchanged page is not sent again")

        await asyncio.gather(*map(revisit, sorted(known)))

    async def read(self, watch: Stopwatch) -> None:
        """Fetch every article as JSON, several times over, and check its digest."""

        async def reader(number: int) -> None:
            with watch:
                async with self._session.get(f"/api/articles/{number}") as response:
                    body = await response.read()
            watch.received(len(body))
            article = json.loads(body)
            text = "\n".join((article["title"], *article["paragraphs"]))
            digest = hashlib.sha256(text.encode()).hexdigest()
            expect(digest == self._articles[number].digest, "the article arrived unharmed")

        for _ in range(5):
            await asyncio.gather(*map(reader, range(len(self._articles))))

    async def search(self, watch: Stopwatch) -> None:
        """Look up words in the server's threads."""
        words = {article.paragraphs[0].split()[1] for article in self._articles[:100]}

        async def searcher(word: str) -> None:
            with watch:
                async with self._session.get("/api/search", params={"word": word}) as response:
                    found = await response.json()
            expect(found["word"] == word and found["articles"], "the word was found")

        await asyncio.gather(*map(searcher, words))

    async def download(self, watch: Stopwatch) -> None:
        """Read the whole export as a stream, line by line, a few at a time."""

        async def downloader() -> None:
            with watch:
                async with self._session.get("/export") as response:
                    lines = 0
                    async for line in response.content:
                        watch.received(len(line))
                        lines += 1
            expect(lines == len(self._articles), "the export is complete")

        for _ in range(3):
            await asyncio.gather(*(downloader() for _ in range(4)))

    async def chat(self, watch: Stopwatch) -> None:
        """Listeners of the feed who wait for their own comment to come round before the next."""
        listeners, comments = 20, 40

        async def listener(name: int) -> None:
            async with self._session.ws_connect("/feed") as socket:
                for number in range(comments):
                    text = f"{name}:{number}"
                    with watch:
                        await socket.send_str(text)
                        async with asyncio.timeout(10):
                            while True:
                                message = await socket.receive()
                                expect(message.type is WSMsgType.TEXT, "the feed stays open")
                                watch.received(len(message.data))
                                if json.loads(message.data).get("text") == text:
                                    break

        await asyncio.gather(*map(listener, range(listeners)))


class LinkParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [int((value or "").rpartition("/")[2]) for _, value in attrs]


def links_of(text: str) -> list[int]:
    parser = LinkParser()
    parser.feed(text)
    return parser.links


def expect(condition: object, promise: str) -> None:
    """Unlike `assert`, also under `python -O`."""
    if not condition:
        raise RuntimeError(f"not true: {promise}")
