"""What stands between a caller and a service, in two ways: by hand and by libraries."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

T = TypeVar("T")

ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.05

FAILURES = 5
RESET_SECONDS = 1.0

WAYS = ("hand", "libraries")


class Guard(Protocol):
    """One for each service: it remembers how the calls went."""

    @property
    def state(self) -> str:
        """The breaker's: closed, open or half-open."""

    def attempt(self) -> AbstractContextManager[None]:
        """Goes around one attempt; raises SparedError if it is not to be made.

        Any exception that leaves it is a failure of the service, but for a cancellation.
        """

    async def repeated(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of `attempt`, which is made again as long as it raises UnavailableError."""


def new_guard(way: str, name: str) -> Guard:
    """`way` is one of WAYS."""
    # Imported when asked for: the libraries may not be there.
    guard: Guard = importlib.import_module(f"by_{way}").new_guard(name)
    return guard
