"""Retry and breaker as they are written out in retry.py and breaker.py."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from breaker import Breaker, BreakerOpenError
from errors import SparedError, UnavailableError
from guards import ATTEMPTS, FAILURES, FIRST_PAUSE_SECONDS, RESET_SECONDS
from retry import retry

T = TypeVar("T")


class ByHand:
    def __init__(self, name: str) -> None:
        self._name = name
        self._breaker = Breaker(FAILURES, RESET_SECONDS)

    @property
    def state(self) -> str:
        return self._breaker.state.value

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        try:
            with self._breaker.guard():
                yield
        except BreakerOpenError:
            raise SparedError(f"{self._name} is being left alone") from None

    async def repeated(self, attempt: Callable[[], Awaitable[T]]) -> T:
        return await retry(
            attempt, UnavailableError, attempts=ATTEMPTS, first_pause=FIRST_PAUSE_SECONDS
        )


new_guard = ByHand
