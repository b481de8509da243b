"""A service as its users see it: calls that time out, are repeated, and are not made at all for a
while after too many have failed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError, ClientSession
from breaker import Breaker, BreakerOpenError
from retry import retry
from yarl import URL

ATTEMPTS = 3
ATTEMPT_SECONDS = 0.6
FIRST_PAUSE_SECONDS = 0.05

FAILURES = 5
RESET_SECONDS = 1.0


class PeerError(Exception):
    """There is no answer to work with."""


class UnavailableError(PeerError):
    """The service did not answer in time, or said that it cannot."""


class SparedError(PeerError):
    """The service was not asked: it has failed too often just now."""


class RejectedError(PeerError):
    """The service is well, and the request was wrong (a status of 4xx)."""


@dataclass
class Counts:
    """What has become of the calls."""

    answered: int = 0
    failed: int = 0
    #: By the breaker: the service was not asked.
    spared: int = 0


class Peer:
    """One service. All calls to it share one breaker."""

    def __init__(self, name: str, base: URL, session: ClientSession) -> None:
        self.name = name
        self.breaker = Breaker(FAILURES, RESET_SECONDS)
        self.counts = Counts()
        self._base = base
        self._session = session

    async def get(self, path: str) -> Any:
        """The JSON at `path`. Raises a PeerError if there is none to be had."""

        async def attempt() -> Any:
            return await self._attempt("GET", path, None)

        return await retry(
            attempt, UnavailableError, attempts=ATTEMPTS, first_pause=FIRST_PAUSE_SECONDS
        )

    async def post(self, path: str, body: object) -> Any:
        """The JSON that answers `body`. Raises a PeerError if there is none.

        Not repeated: a call that failed may have had its effect all the same.
        """
        return await self._attempt("POST", path, body)

    async def _attempt(self, method: str, path: str, body: object) -> Any:
        try:
            with self.breaker.guard():
                status, answer = await self._ask(method, path, body)
        except BreakerOpenError:
            self.counts.spared += 1
            raise SparedError(f"{self.name} is being left alone") from None
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
