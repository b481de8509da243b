"""A circuit breaker: who has failed again and again is left alone for a while.

             FAILURES in a row                 `reset_after` seconds later
    CLOSED ---------------------> OPEN -----------------------------------> HALF_OPEN
       ^                           ^                                         |    |
       |                           '------------- the trial fails -----------'    |
       '------------------------------------------ the trial succeeds ------------'

CLOSED lets every call through, OPEN none, HALF_OPEN one at a time: the trial.
"""

from __future__ import annotations

import contextlib
import enum
import time
from collections.abc import Callable, Iterator


class State(enum.Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class BreakerOpenError(Exception):
    """The call was not made."""


class Breaker:
    """Goes around each call, as `with breaker.guard():`.

    Any exception that leaves the block is a failure, except for a cancellation: that says nothing
    about the other end.
    """

    def __init__(
        self, failures: int, reset_after: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._reset_after = reset_after
        self._clock = clock
        #: In a row, since the last success.
        self._failures = 0
        self._opened_at: float | None = None
        self._on_trial = False

    @property
    def state(self) -> State:
        if self._opened_at is None:
            return State.CLOSED
        if self._clock() - self._opened_at < self._reset_after:
            return State.OPEN
        return State.HALF_OPEN

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Raises BreakerOpenError, before the block, if the call is not to be made."""
        state = self.state
        is_trial = state is State.HALF_OPEN
        if state is State.OPEN or (is_trial and self._on_trial):
            raise BreakerOpenError
        self._on_trial |= is_trial
        try:
            yield
        except Exception:
            self._failures += 1
            # Calls that were under way when it opened may fail later: they do not prolong it.
            if self._failures >= self._limit and self.state is not State.OPEN:
                self._opened_at = self._clock()
            raise
        else:
            self._failures = 0
            self._opened_at = None
        finally:
            if is_trial:
                self._on_trial = False
