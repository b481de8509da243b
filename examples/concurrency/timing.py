"""A decorator that times coroutines, and tells the time they worked from the time they waited.

A stopwatch around `await` shows how long the caller had to wait. For a coroutine that is most often
other people's time: while it waits, the loop runs others. What it costs the loop is the time that
its own steps take. Those can be measured too, since a coroutine is driven from outside: each `send`
runs it until its next wait.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from lighthouses import COAST, report

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Timing:
    """What one call took, in seconds."""

    name: str
    wall: float = 0.0
    #: Of which the coroutine, or something that it awaited, was running.
    busy: float = 0.0
    #: Into how many pieces its waits have cut it.
    steps: int = 0

    def __str__(self) -> str:
        share = self.busy / self.wall if self.wall else 0
        return (
            f"{self.name:<10} {self.wall * 1000:5.0f} ms, "
            f"of which {share:6.1%} working, in {self.steps} steps"
        )


def timed(
    log: Callable[[Timing], object],
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Decorates a coroutine function: `log` gets the timing of each call, however it ended."""

    def decorate(
        function: Callable[P, Coroutine[Any, Any, T]],
    ) -> Callable[P, Coroutine[Any, Any, T]]:
        @functools.wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            timing = Timing(function.__name__)
            start = time.perf_counter()
            try:
                return await Stepped(function(*args, **kwargs), timing)
            finally:
                timing.wall = time.perf_counter() - start
                log(timing)

        return call

    return decorate


class Stepped(Generic[T]):
    """Awaits a coroutine by hand, so as to see each of its steps."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], timing: Timing) -> None:
        self._coroutine = coroutine
        self._timing = timing

    def __await__(self) -> Generator[Any, Any, T]:
        step: Callable[[], Any] = functools.partial(self._coroutine.send, None)
        while True:
            start = time.perf_counter()
            try:
                awaited = step()
            except StopIteration as end:
                value: T = end.value
                return value
            finally:
                self._timing.busy += time.perf_counter() - start
                self._timing.steps += 1
            try:
                # The future goes up to the task, which waits for it and then comes back here.
                sent = yield awaited
            except BaseException as error:  # CancelledError too: it belongs to the coroutine.
                step = functools.partial(self._coroutine.throw, error)
            else:
                step = functools.partial(self._coroutine.send, sent)


async def main() -> None:
    @timed(print)
    async def waiting() -> str:
        return await report(COAST[0])

    @timed(print)
    async def working() -> int:
        return sum(number * number for number in range(300_000))

    @timed(print)
    async def both() -> None:
        await waiting()
        await working()

    @timed(print)
    async def three_waits() -> None:
        for _ in range(3):
            await asyncio.sleep(0.02)

    print("one at a time:")
    await both()
    await three_waits()

    print("\ntogether, so that each of them waits for the others' work:")
    await asyncio.gather(waiting(), working(), three_waits())
