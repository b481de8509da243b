"""How long things took."""

from __future__ import annotations

import contextvars
import statistics
import time
from types import TracebackType

_started: contextvars.ContextVar[float] = contextvars.ContextVar("started")


class Stopwatch:
    """Times each `with` block, of any number of tasks at once."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._bytes = 0
        self._start = time.perf_counter()

    def __enter__(self) -> None:
        _started.set(time.perf_counter())

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self._seconds.append(time.perf_counter() - _started.get())

    def received(self, count: int) -> None:
        self._bytes += count

    def summary(self) -> str:
        elapsed = time.perf_counter() - self._start
        milliseconds = sorted(1e3 * value for value in self._seconds)
        percentiles = statistics.quantiles(milliseconds, n=100, method="inclusive")
        return (
            f"{len(milliseconds):6d}  {len(milliseconds) / elapsed:8.0f}/s"
            f"  {percentiles[49]:7.1f} ms  {percentiles[98]:7.1f} ms"
            f"  {self._bytes / 1e6:7.1f} MB"
        )

    HEADER = f"{'count':>6}  {'rate':>10}  {'median':>10}  {'99 %':>10}  {'received':>10}"
