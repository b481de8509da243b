"""What all programs of this folder visit the site with: one session, and what went through it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from types import TracebackType

from aiohttp import ClientSession, ClientTimeout, TCPConnector
from yarl import URL

TITLE = re.compile("<title>(.*?)</title>")


@dataclass
class Tally:
    """Counts and times what happens in its `with` block."""

    what: str
    pages: int = 0
    seconds: float = 0.0
    _start: float = 0.0

    def __enter__(self) -> Tally:
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._start
        if kind is None:
            print(f"  {self}", flush=True)

    def __str__(self) -> str:
        rate = self.pages / self.seconds
        return f"{self.what:44} {self.pages:6} pages {self.seconds:7.2f} s {rate:7.0f}/s"


def new_session(base: URL, connections: int = 64, seconds: float = 30) -> ClientSession:
    """A session that keeps up to `connections` connections (0: as many as there are requests).

    One session for all requests: it holds the pool of connections, and a session for each request
    would mean a connection for each request.
    """
    return ClientSession(
        base,
        connector=TCPConnector(limit=connections),
        timeout=ClientTimeout(total=seconds),
    )


async def title_of(session: ClientSession, path: str) -> str:
    """The title of the page `path`.

    Raises aiohttp.ClientResponseError for a status of 400 and above, TimeoutError if the session's
    time is up.
    """
    async with session.get(path, raise_for_status=True) as response:
        found = TITLE.search(await response.text())
        if found is None:
            raise ValueError(f"{path} has no title")
        return found[1]


async def statistics_of(session: ClientSession) -> dict[str, int]:
    """What the site has seen so far."""
    async with session.get("/statistics", raise_for_status=True) as response:
        counts: dict[str, int] = await response.json()
        return counts
