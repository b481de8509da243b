"""Locks and queues with one method overridden: it is called where asyncio's code calls it, and all
else is done as if nothing were overridden."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from .trace import Trace
from .twin import twin

WAYS = ["subclass", "instance", "class afterwards"]
QUEUE_METHODS = [
    "_get",
    "_get_loop",
    "_init",
    "_put",
    "_wakeup_next",
    "empty",
    "full",
    "get",
    "get_nowait",
    "put",
    "put_nowait",
    "qsize",
    "task_done",
]
LOCK_METHODS = ["_get_loop", "_wake_up_first", "acquire", "locked", "release"]


def made(trace: Trace, kind: type, name: str, way: str, *args: Any) -> Any:
    method = getattr(kind, name)

    @functools.wraps(method)
    def override(self: Any, *args: Any, **kwargs: Any) -> Any:
        trace(name, *(arg for arg in args if isinstance(arg, int)))
        return method(self, *args, **kwargs)

    subclass = type("Mine", (kind,), {name: override} if way == "subclass" else {})
    instance = subclass(*args)
    if way == "instance":
        setattr(instance, name, functools.partial(override, instance))
    elif way == "class afterwards":
        setattr(subclass, name, override)
    return instance


@pytest.mark.parametrize("kind", ["Queue", "PriorityQueue", "LifoQueue"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", QUEUE_METHODS)
@twin
async def test_a_method_of_a_queue(trace: Trace, aio: Any, kind: str, way: str, name: str) -> None:
    queue = made(trace, getattr(aio, kind), name, way, 2)
    await queue.put(3)
    queue.put_nowait(1)
    trace("holds", queue.qsize(), queue.full(), queue.empty())
    putter = asyncio.ensure_future(queue.put(2))
    await asyncio.sleep(0)
    try:
        queue.put_nowait(4)
    except asyncio.QueueFull:
        trace("full")
    trace("got", await queue.get())
    await putter
    trace("got", queue.get_nowait(), queue.get_nowait())
    try:
        queue.get_nowait()
    except asyncio.QueueEmpty:
        trace("empty")
    getters = [asyncio.ensure_future(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    getters[0].cancel()
    await queue.put(5)
    trace("got", await getters[1], getters[0].cancelled())
    for _ in range(4):
        queue.task_done()
    await queue.join()
    trace("done", len(queue._queue))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LOCK_METHODS)
@twin
async def test_a_method_of_a_lock(trace: Trace, aio: Any, way: str, name: str) -> None:
    lock = made(trace, aio.Lock, name, way)

    async def hold(number: int) -> None:
        async with lock:
            trace("holds", number, lock.locked())
            await asyncio.sleep(0)

    async with lock:
        pass
    trace("acquired", await lock.acquire())
    holders = [asyncio.ensure_future(hold(number)) for number in range(3)]
    await asyncio.sleep(0)
    holders[0].cancel()
    lock.release()
    await asyncio.wait(holders)
    try:
        lock.release()
    except RuntimeError as error:
        trace("refused", error)
