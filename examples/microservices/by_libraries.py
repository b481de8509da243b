"""The same by two libraries: tenacity tries again, pybreaker is the breaker.

pybreaker knows nothing of asyncio (its `call_async` is for Tornado's generators), but its `calling`
is a context manager that holds no lock while its block runs, so the block may await.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from errors import SparedError, UnavailableError
from guards import ATTEMPTS, FAILURES, FIRST_PAUSE_SECONDS, RESET_SECONDS
from pybreaker import CircuitBreaker, CircuitBreakerError
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

T = TypeVar("T")


class ByLibraries:
    def __init__(self, name: str) -> None:
        self._name = name
        self._breaker = CircuitBreaker(
            name=name,
            fail_max=FAILURES,
            reset_timeout=RESET_SECONDS,
            # Counted as a success: it has no third kind. As a failure, impatient callers would
            # open the breaker.
            exclude=[asyncio.CancelledError],
            # The failure that opens it is raised as what it is.
            throw_new_error_on_trip=False,
        )

    @property
    def state(self) -> str:
        return str(self._breaker.current_state)

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        try:
            with self._breaker.calling():
                yield
        except CircuitBreakerError:
            raise SparedError(f"{self._name} is being left alone") from None

    async def repeated(self, attempt: Callable[[], Awaitable[T]]) -> T:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(UnavailableError),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(initial=FIRST_PAUSE_SECONDS, jitter=FIRST_PAUSE_SECONDS),
            # What the last attempt raised, not a RetryError around it.
            reraise=True,
        )
        return await retrying(attempt)


new_guard = ByLibraries
