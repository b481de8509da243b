"""What a program lets go of, in cycles, is collected, and reported as asyncio reports it."""

from __future__ import annotations

import asyncio
import gc
import importlib
import warnings
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests import loops

from .conftest import Load

CROWD = 20


def count_reports(
    new_loop: loops.Factory, aio: Any, kind: str, crowd: int
) -> tuple[Counter[str], int]:
    """The reports on a crowd that was abandoned, each with its number; and how many objects of it
    are still there after a collection."""
    reports: Counter[str] = Counter()
    watched: list[weakref.ref[Any]] = []
    loop = new_loop()

    def handle(loop: Any, context: dict[str, Any]) -> None:
        reports[context["message"]] += 1

    async def leave() -> None:
        for _ in range(crowd):
            watched.extend(weakref.ref(each) for each in await ABANDON[kind](loop, aio))
            # Those who wait have begun to.
            for _ in range(3):
                await asyncio.sleep(0)

    loop.set_exception_handler(handle)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop.run_until_complete(leave())
        gc.collect()
        loop.run_until_complete(asyncio.sleep(0))
        gc.collect()
    reports.update(str(warning.message) for warning in caught)
    # From 3.15 on, the warning for a coroutine has it as its source.
    caught.clear()
    gc.collect()
    left = sum(each() is not None for each in watched)
    assert not asyncio.all_tasks(loop)
    loop.close()
    return reports, left


async def wait_in(coroutine: Any, *held: Any) -> None:
    """A task that waits holds, by its frame, what it waits for; that holds the task."""
    await coroutine


async def a_getter(loop: Any, aio: Any) -> list[Any]:
    queue = aio.Queue()
    return [queue, loop.create_task(wait_in(queue.get(), queue))]


async def a_putter(loop: Any, aio: Any) -> list[Any]:
    queue = aio.LifoQueue(1)
    queue.put_nowait(queue)
    return [queue, loop.create_task(wait_in(queue.put(None), queue))]


async def a_joiner(loop: Any, aio: Any) -> list[Any]:
    queue = aio.PriorityQueue()
    queue.put_nowait(1)
    return [queue, loop.create_task(wait_in(queue.join(), queue))]


async def a_lock(loop: Any, aio: Any) -> list[Any]:
    lock = aio.Lock()
    await lock.acquire()
    return [lock, loop.create_task(wait_in(lock.acquire(), lock))]


async def a_semaphore(loop: Any, aio: Any) -> list[Any]:
    semaphore = aio.BoundedSemaphore(1)
    await semaphore.acquire()
    return [semaphore, loop.create_task(wait_in(semaphore.acquire(), semaphore))]


async def an_event(loop: Any, aio: Any) -> list[Any]:
    event = aio.Event()
    return [event, loop.create_task(wait_in(event.wait(), event))]


async def wait_with(condition: Any) -> None:
    async with condition:
        await condition.wait()


async def a_condition(loop: Any, aio: Any) -> list[Any]:
    condition = aio.Condition()
    return [condition, loop.create_task(wait_with(condition))]


async def a_barrier(loop: Any, aio: Any) -> list[Any]:
    barrier = aio.Barrier(2)
    return [barrier, loop.create_task(wait_in(barrier.wait(), barrier))]


async def a_reader(loop: Any, aio: Any) -> list[Any]:
    reader = aio.StreamReader(loop=loop)
    return [reader, loop.create_task(wait_in(reader.readline(), reader))]


async def a_gathering(loop: Any, aio: Any) -> list[Any]:
    future = loop.create_future()
    return [future, loop.create_task(wait_in(aio.gather(future, loop.create_future()), future))]


async def a_waiting(loop: Any, aio: Any) -> list[Any]:
    future = loop.create_future()
    return [future, loop.create_task(wait_in(aio.wait([future]), future))]


async def a_shielded(loop: Any, aio: Any) -> list[Any]:
    future = loop.create_future()
    return [future, loop.create_task(wait_in(aio.shield(future), future))]


async def wait_in_group(aio: Any, future: Any) -> None:
    async with aio.TaskGroup() as group:
        group.create_task(wait_in(future))


async def a_group(loop: Any, aio: Any) -> list[Any]:
    future = loop.create_future()
    return [future, loop.create_task(wait_in_group(aio, future))]


async def a_failed_future(loop: Any, aio: Any) -> list[Any]:
    future = loop.create_future()
    future.itself = future
    future.set_exception(ValueError("for nobody"))
    return [future]


async def fail() -> None:
    raise ValueError("for nobody")


async def a_failed_task(loop: Any, aio: Any) -> list[Any]:
    task = loop.create_task(fail())
    task.itself = task
    return [task]


async def a_failed_gathering(loop: Any, aio: Any) -> list[Any]:
    gathering = aio.gather(fail(), loop.create_future())
    gathering.itself = gathering
    return [gathering]


async def a_coroutine(loop: Any, aio: Any) -> list[Any]:
    lock = aio.Lock()
    lock.coroutine = lock.acquire()
    return [lock]


async def a_sleep(loop: Any, aio: Any) -> list[Any]:
    lock = aio.Lock()
    lock.coroutine = aio.sleep(1)
    return [lock]


ABANDON: dict[str, Callable[[Any, Any], Any]] = {
    "getter": a_getter,
    "putter": a_putter,
    "joiner": a_joiner,
    "lock": a_lock,
    "semaphore": a_semaphore,
    "event": an_event,
    "condition": a_condition,
    "barrier": a_barrier,
    "reader": a_reader,
    "gathering": a_gathering,
    "waiting": a_waiting,
    "shielded": a_shielded,
    "group": a_group,
    "failed future": a_failed_future,
    "failed task": a_failed_task,
    "failed gathering": a_failed_gathering,
    "coroutine": a_coroutine,
    "sleep": a_sleep,
}


@pytest.mark.parametrize("kind", ABANDON)
def test_a_crowd_that_is_abandoned(
    request: pytest.FixtureRequest,
    descriptors: None,
    new_loop: loops.Factory,
    load: Load,
    kind: str,
) -> None:
    crowd = load(CROWD, 50 * CROWD)
    is_ours = request.config.getoption("--loop") == "ferrio"
    aio = importlib.import_module("ferrio.aio" if is_ours else "asyncio")
    reports, left = count_reports(new_loop, aio, kind, crowd)
    assert left == 0
    expected, _ = count_reports(loops.factory_named(loops.REFERENCE), asyncio, kind, crowd)
    assert reports == expected
    assert max(expected.values()) >= crowd
