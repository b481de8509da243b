"""Copies, pickles and signatures of asyncio's objects, which programs take for granted."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import inspect
import pickle
from typing import Any

import pytest

from .trace import Trace
from .twin import twin

KINDS = {
    "Lock": (),
    "Event": (),
    "Condition": (),
    "Semaphore": (3,),
    "BoundedSemaphore": (3,),
    "Barrier": (2,),
    "Queue": (5,),
    "PriorityQueue": (5,),
    "LifoQueue": (5,),
    "TaskGroup": (),
    "Timeout": (None,),
}
every_kind = pytest.mark.parametrize("name", KINDS)


def make(aio: Any, name: str) -> Any:
    return getattr(aio, name)(*KINDS[name])


def show(trace: Trace, what: str, original: Any, other: Any) -> None:
    trace(what, repr(other), type(other) is type(original), other is original)


async def use(name: str, thing: Any) -> None:
    if name == "Event":
        thing.set()
    elif name == "Barrier":
        await thing.abort()
    elif name == "TaskGroup":
        thing._abort()
    elif name == "Timeout":
        thing._when = 1.5
    elif name.endswith("Queue"):
        for item in (2, 1, 3):
            thing.put_nowait(item)
        thing.task_done()
    else:
        await thing.acquire()


@twin
@every_kind
async def test_copies(trace: Trace, aio: Any, name: str) -> None:
    thing, used = make(aio, name), make(aio, name)
    await use(name, used)
    for original in (thing, used):
        show(trace, "copied", original, copy.copy(original))
        show(trace, "copied deeply", original, copy.deepcopy(original))
        show(trace, "pickled", original, pickle.loads(pickle.dumps(original)))


@twin
@every_kind
async def test_a_copy_goes_its_own_way(trace: Trace, aio: Any, name: str) -> None:
    thing = make(aio, name)
    other = copy.deepcopy(thing)
    await use(name, other)
    trace(repr(thing), repr(other))


@twin
async def test_a_copied_condition_has_a_lock_of_its_own(trace: Trace, aio: Any) -> None:
    condition = aio.Condition()
    other = copy.deepcopy(condition)
    async with other:
        trace(condition.locked(), other.locked(), repr(other))
        other.notify_all()
    trace(other.locked())


@twin
async def test_a_copied_queue_is_joined(trace: Trace, aio: Any) -> None:
    queue = aio.Queue()
    queue.put_nowait(1)
    other = copy.deepcopy(queue)
    joining = asyncio.create_task(other.join())
    await asyncio.sleep(0)
    trace(other.get_nowait(), joining.done())
    other.task_done()
    await joining
    trace(repr(queue), repr(other))


@twin
async def test_what_is_waited_for_cannot_be_copied_deeply(trace: Trace, aio: Any) -> None:
    event = aio.Event()
    waiting = asyncio.create_task(event.wait())
    await asyncio.sleep(0)
    with trace.raises():
        try:
            copy.deepcopy(event)
        except TypeError as error:
            raise TypeError("no copy") from error
    waiting.cancel()
    await asyncio.wait([waiting])


@twin
async def test_subclasses_keep_what_they_add(trace: Trace, aio: Any) -> None:
    class Named(aio.Event):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class Slotted(aio.Queue):  # type: ignore[misc]
        __slots__ = ("name",)

    class Switched(aio.Lock):  # type: ignore[misc]
        def __getstate__(self) -> dict[str, bool]:
            return {"was_locked": self.locked()}

        def __setstate__(self, state: dict[str, bool]) -> None:
            self.__init__()  # type: ignore[misc]
            self.was_locked = state["was_locked"]

    named = Named("a")
    named.set()
    other = copy.deepcopy(named)
    trace(other.name, other.is_set())
    slotted = Slotted()
    slotted.name = "b"
    slotted.put_nowait(1)
    slotted_copy = copy.copy(slotted)
    trace(slotted_copy.name, slotted_copy.qsize())
    switched = Switched()
    await switched.acquire()
    switched_copy = copy.copy(switched)
    trace(switched_copy.was_locked, switched_copy.locked())


@twin
async def test_dataclasses(trace: Trace, aio: Any) -> None:
    @dataclasses.dataclass
    class Job:
        done: Any
        items: Any

    job = Job(aio.Event(), aio.Queue(3))
    as_dict = dataclasses.asdict(job)
    trace(sorted(as_dict), as_dict["done"].is_set(), as_dict["items"].maxsize)
    trace(as_dict["done"] is job.done)


@twin
@pytest.mark.parametrize(
    "name",
    [*sorted(set(KINDS) - {"Timeout"}), "StreamReader", "StreamWriter", "StreamReaderProtocol"],
)
async def test_signatures_of_classes(trace: Trace, aio: Any, name: str) -> None:
    trace(str(inspect.signature(getattr(aio, name))))


@twin
async def test_signatures_of_subclasses(trace: Trace, aio: Any) -> None:
    class Named(aio.Queue):  # type: ignore[misc]
        def __init__(self, name: str, maxsize: int = 0) -> None:
            super().__init__(maxsize)
            self.name = name

    class Plain(aio.Queue):  # type: ignore[misc]
        pass

    trace(str(inspect.signature(Named)), str(inspect.signature(Plain)))


@twin
async def test_a_copy_of_what_is_entered(trace: Trace, aio: Any) -> None:
    async with aio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))
        other = copy.copy(group)
        trace(repr(other), other._tasks is group._tasks, other._parent_task is group._parent_task)
    trace(repr(group))
    async with aio.timeout(60) as timeout:
        other = copy.copy(timeout)
        trace(repr(other), other.when() == timeout.when())
        trace(other._timeout_handler is timeout._timeout_handler)


@twin
@pytest.mark.parametrize("name", ["as_completed", "gather", "shield", "sleep", "wait", "wait_for"])
async def test_signatures_of_functions(trace: Trace, aio: Any, name: str) -> None:
    trace(str(inspect.signature(getattr(aio, name))))
