"""A service as its users see it: calls that time out, are repeated, and are not made at all for a
while after too many have failed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError, ClientSession
from errors import RejectedError, SparedError, UnavailableError
from guards import Guard
from yarl import URL

ATTEMPT_SECONDS = 0.6


@dataclass
class Counts:
    """What has become of the calls."""

    answered: int = 0
    failed: int = 0
    #: By the breaker: the service was not asked.
    spared: int = 0


class Peer:
    """One service. All calls to it share one guard, which decides whether they are made."""

    def __init__(self, name: str, base: URL, session: ClientSession, guard: Guard) -> None:
        self.name = name
        self.guard = guard
        self.counts = Counts()
        self._base = base
        self._session = session

    async def get(self, path: str) -> Any:
        """The JSON at `path`. Raises a PeerError if there is none to be had."""

        async def attempt() -> Any:
            return await self._attempt("GET", path, None)

        return await self.guard.repeated(attempt)

    async def post(self, path: str, body: object) -> Any:
        """The JSON that answers `body`. Raises a PeerError if there is none.

        Not repeated: a call that failed may have had its effect all the same.
        """
        return await self._attempt("POST", path, body)

    async def _attempt(self, method: str, path: str, body: object) -> Any:
        try:
            with self.guard.attempt():
                status, answer = await self._ask(method, path, body)
        except SparedError:
            self.counts.spared += 1
            raise
        except (ClientError, TimeoutError, OSError) as error:
            self.counts.failed += 1
            raise UnavailableError(f"{self.name}: {type(error).__name__}") from error
        self.counts.answered += 1
        if status >= 400:
            raise RejectedError(f"{self.name}: {status} for {path}")
        return json.loads(answer)

    async def _ask(self, method: str, path: str, body: object) -> tuple[int, str]:
        """Raises ClientError for a status of 5xx, and for anything that keeps an answer from us."""
        url = self._base.join(URL(path))
        async with (
            asyncio.timeout(ATTEMPT_SECONDS),
            self._session.request(method, url, json=body) as response,
        ):
            if response.status >= 500:
                response.raise_for_status()
            return response.status, await response.text()
