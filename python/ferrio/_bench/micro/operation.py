"""What a micro benchmark is made of, and the list of all of them.

An operation is a generator that takes a `Bench`, prepares, yields a function `run(times)`, and
cleans up:

    @operation("what is done once")
    def call_soon(bench: Bench) -> Run:
        def run(times: int) -> None: ...
        yield run

A `run` of which only a part counts returns how long that part took.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from .. import loops


@dataclass(frozen=True)
class Elapsed:
    """Seconds on both clocks."""

    cpu: float
    wall: float


Run = Iterator[Callable[[int], Elapsed | None]]


class Clock(Enum):
    """Which time of an operation is the headline. Both are always reported."""

    CPU = "CPU"
    """All of the process, threads and children included: says what it costs, and a busy machine
    hardly disturbs it.
    """
    WALL = "wall"
    """For round trips between threads, where waiting is what one waits for."""


class Bench:
    """The loop under test, for an operation to use."""

    def __init__(self, loop_name: str) -> None:
        self.loop_name = loop_name
        self.new_event_loop = loops.factory(loop_name)

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Made when first asked for: operations that make loops themselves want no other beside
        them.
        """
        return self.new_event_loop()

    def complete(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.loop.run_until_complete(coroutine)


@dataclass(frozen=True)
class Operation:
    name: str
    summary: str
    prepare: Callable[[Bench], Run]
    per_run: int
    """How many operations `run(1)` performs."""
    clock: Clock
    quick: bool


OPERATIONS: dict[str, Operation] = {}


def operation(
    summary: str, *, per_run: int = 1, clock: Clock = Clock.CPU, quick: bool = False
) -> Callable[[Callable[[Bench], Run]], Callable[[Bench], Run]]:
    """Enters the decorated generator into `OPERATIONS` under its name."""

    def enter(prepare: Callable[[Bench], Run]) -> Callable[[Bench], Run]:
        name = prepare.__name__
        if name in OPERATIONS:
            raise ValueError(f"two operations are called {name}")
        OPERATIONS[name] = Operation(name, summary, prepare, per_run, clock, quick)
        return prepare

    return enter
