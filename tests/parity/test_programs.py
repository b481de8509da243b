"""Random programs of tasks that use locks and queues, and are cancelled: hypothesis makes them up,
and both loops have to run them in the same way.

A program is data: what each task does, step by step, over one of each kind of lock and queue. Time
is counted in turns of the loop. A task that still waits when nothing more happens is cancelled, so
that every program ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import loops

from .trace import Trace
from .twin import difference, run

# What a program has one of each of, and how it is made.
OBJECTS: dict[str, Callable[[Any], Any]] = {
    "lock": lambda aio: aio.Lock(),
    "event": lambda aio: aio.Event(),
    "condition": lambda aio: aio.Condition(),
    "semaphore": lambda aio: aio.Semaphore(2),
    "bounded": lambda aio: aio.BoundedSemaphore(1),
    "barrier": lambda aio: aio.Barrier(2),
    "queue": lambda aio: aio.Queue(2),
    "priority": lambda aio: aio.PriorityQueue(),
    "lifo": lambda aio: aio.LifoQueue(1),
}
GUARDS = ("lock", "condition", "semaphore", "bounded")
QUEUES = ("queue", "priority", "lifo")

TASKS = 4
TURNS = 40


@dataclass(frozen=True)
class Step:
    """One thing that a task does: a method of an object, `with` others inside it, or a pause."""

    action: str
    name: str = ""
    number: int = 0
    inside: tuple[Step, ...] = ()


def steps(inside: st.SearchStrategy[Step] | None) -> st.SearchStrategy[Step]:
    """Steps; those that guard a block have these inside."""
    numbers = st.integers(0, 3)
    simple = [
        st.builds(Step, st.just("sleep"), number=numbers),
        st.builds(Step, st.sampled_from(["acquire", "release"]), st.sampled_from(GUARDS)),
        st.builds(
            Step,
            st.sampled_from(["put", "put_nowait", "get", "get_nowait", "task_done", "join"]),
            st.sampled_from(QUEUES),
            numbers,
        ),
        st.builds(Step, st.sampled_from(["set", "clear", "wait"]), st.just("event")),
        st.builds(
            Step,
            st.sampled_from(["wait", "wait_for", "notify", "notify_all"]),
            st.just("condition"),
            numbers,
        ),
        st.builds(Step, st.sampled_from(["wait", "reset", "abort"]), st.just("barrier")),
        st.builds(Step, st.just("cancel"), number=st.integers(0, TASKS - 1)),
    ]
    if sys.version_info >= (3, 13):
        simple.append(
            st.builds(Step, st.just("shutdown"), st.sampled_from(QUEUES), st.integers(0, 1))
        )
    if inside is None:
        return st.one_of(simple)
    blocks = st.lists(inside, max_size=3).map(tuple)
    return st.one_of(
        *simple,
        st.builds(Step, st.just("with"), st.sampled_from([*GUARDS, "barrier"]), inside=blocks),
        st.builds(Step, st.just("within"), number=numbers, inside=blocks),
    )


PROGRAMS = st.lists(
    st.lists(steps(steps(steps(None))), max_size=6).map(tuple), min_size=TASKS, max_size=TASKS
)


class Machine:
    """Runs one program, and records what happens in which turn."""

    def __init__(self, trace: Trace, aio: Any) -> None:
        self.trace = trace
        self.objects = {name: make(aio) for name, make in OBJECTS.items()}
        self.tasks: list[asyncio.Task[None]] = []

    async def run(self, program: list[tuple[Step, ...]]) -> None:
        for number, steps in enumerate(program):
            self.tasks.append(asyncio.create_task(self.task(number, steps)))
        for turn in range(TURNS):
            if all(task.done() for task in self.tasks):
                break
            self.trace("turn", turn)
            await asyncio.sleep(0)
        # One after the other. Who waits for a condition does not end before it has the lock again,
        # which somebody may have taken and kept.
        condition = self.objects["condition"]
        while pending := [task for task in self.tasks if not task.done()]:
            pending[0].cancel("the program is over")
            await asyncio.sleep(0)
            if condition.locked():
                condition.release()
        for name, thing in self.objects.items():
            self.trace(name, repr(thing))

    async def task(self, number: int, steps: tuple[Step, ...]) -> None:
        with self.recorded(number, "ended"):
            await self.steps(number, steps)

    async def steps(self, number: int, steps: tuple[Step, ...]) -> None:
        for step in steps:
            with self.recorded(number, step.action, step.name):
                self.trace(number, step.action, step.name, await self.step(number, step))

    @contextlib.contextmanager
    def recorded(self, number: int, *what: str) -> Any:
        """Records how it ends; only being cancelled ends the task."""
        try:
            yield
        except asyncio.CancelledError as error:
            self.trace(number, *what, error)
            raise
        except Exception as error:
            self.trace(number, *what, error)

    async def step(self, number: int, step: Step) -> Any:
        if step.action == "sleep":
            for _ in range(step.number):
                await asyncio.sleep(0)
            return None
        if step.action == "cancel":
            if step.number < len(self.tasks):
                self.tasks[step.number].cancel(f"by {number}")
            return None
        if step.action == "within":
            return await self.within(number, step)
        thing = self.objects[step.name]
        if step.action == "with":
            async with thing as entered:
                self.trace(number, "has", step.name, entered)
                await self.steps(number, step.inside)
            return None
        result = getattr(thing, step.action)(*self.arguments(step))
        return await result if isinstance(result, Awaitable) else result

    def arguments(self, step: Step) -> tuple[Any, ...]:
        if step.action in ("put", "put_nowait", "notify", "shutdown"):
            return (step.number,)
        if step.action == "wait_for":
            event = self.objects["event"]
            return (lambda: event.is_set() and "it is set",)
        return ()

    async def within(self, number: int, step: Step) -> str:
        """A timeout: the block is cancelled after so many turns."""
        task = asyncio.ensure_future(self.steps(number, step.inside))
        # To be cancelled with the others, if nothing else ends it.
        self.tasks.append(task)
        try:
            for _ in range(step.number + 1):
                if task.done():
                    self.tasks.remove(task)
                    return "in time"
                await asyncio.sleep(0)
            task.cancel("timeout")
            await asyncio.wait([task])
            self.tasks.remove(task)
            return "too late" if task.cancelled() else "in time"
        finally:
            task.cancel()


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(program=PROGRAMS)
def test_programs(request: pytest.FixtureRequest, program: list[tuple[Step, ...]]) -> None:
    async def body(trace: Trace, aio: Any) -> None:
        await Machine(trace, aio).run(program)

    subject = request.config.getoption("--loop")
    expected, actual = run(body, loops.REFERENCE, {}), run(body, subject, {})
    if actual.channels != expected.channels:
        pytest.fail(difference(expected, actual, subject), pytrace=False)
