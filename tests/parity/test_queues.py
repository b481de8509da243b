"""Queues: what comes out and who gets it, what cancelling does at every await, and which methods
a subclass is asked by."""

from __future__ import annotations

import asyncio
import collections
import gc
import inspect
import math
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from .trace import Trace
from .twin import twin

since_313 = pytest.mark.skipif(sys.version_info < (3, 13), reason="shutdown came with 3.13")

QUEUES = ("Queue", "PriorityQueue", "LifoQueue")
every_queue = pytest.mark.parametrize("name", QUEUES)


async def settle(turns: int = 4) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


class Broken(BaseException):
    pass


# What is seen of them.


@twin
@every_queue
async def test_classes(trace: Trace, aio: Any, name: str) -> None:
    cls, theirs = getattr(aio, name), getattr(asyncio, name)
    queue = cls()
    trace("is one of asyncio's:", isinstance(queue, theirs), isinstance(queue, asyncio.Queue))
    trace("is a Queue:", issubclass(cls, aio.Queue))
    trace(repr(queue), str(queue), queue._format())
    trace("lacking:", [n for n in dir(theirs) if not hasattr(queue, n)])
    for method in ("get", "put", "join", "get_nowait", "put_nowait", "task_done"):
        ours = getattr(cls, method)
        trace(method, inspect.iscoroutinefunction(ours), asyncio.iscoroutinefunction(ours))
    trace("shutdown:", hasattr(queue, "shutdown"), hasattr(queue, "_is_shutdown"))
    trace("generic:", cls[int].__args__, cls[int].__origin__ is cls)
    trace("kept in:", type(queue._queue), type(queue._getters), type(queue._putters))
    trace("finished:", repr(queue._finished))


@twin
@every_queue
async def test_arguments(trace: Trace, aio: Any, name: str) -> None:
    cls = getattr(aio, name)
    with trace.raises():
        cls(loop=None)
    for maxsize in (-1, 0, 1, True, 1.5, math.inf, 1 << 70, None, "x"):
        queue = cls(maxsize=maxsize)
        trace(repr(queue), queue.maxsize)
        with trace.raises("full"):
            trace(queue.full())
        with trace.raises("put"):
            queue.put_nowait(1)
            queue.put_nowait(2)
            queue.put_nowait(3)
    queue = cls()
    for method, args, kwargs in (
        ("put_nowait", (), {}),
        ("put_nowait", (1, 2), {}),
        ("put_nowait", (1,), {"item": 2}),
        ("put_nowait", (), {"x": 2}),
        ("put", (), {}),
        ("put", (1, 2), {}),
        ("get", (), {"x": 1}),
        ("join", (), {"x": 1}),
    ):
        with trace.raises(method):
            getattr(queue, method)(*args, **kwargs)
    queue.put_nowait(item=1)
    await queue.put(item=2)
    trace(repr(queue))


@twin
@every_queue
async def test_never_awaited(trace: Trace, aio: Any, name: str) -> None:
    queue = getattr(aio, name)()
    for coroutine in (queue.get(), queue.put(1), queue.join()):
        trace(coroutine.__name__, coroutine.__qualname__)
    del coroutine
    trace(repr(queue))


@twin
@every_queue
async def test_order(trace: Trace, aio: Any, name: str) -> None:
    queue = getattr(aio, name)(4)
    for item in (3, 1, 4, 1):
        await queue.put(item)
    trace(repr(queue), queue.qsize(), queue.full(), queue.empty(), list(queue._queue))
    with trace.raises():
        queue.put_nowait(5)
    trace([await queue.get(), queue.get_nowait(), await queue.get(), queue.get_nowait()])
    with trace.raises():
        queue.get_nowait()
    for _ in range(4):
        queue.task_done()
    with trace.raises():
        queue.task_done()
    trace(repr(queue))
    queue._maxsize = 1
    queue.put_nowait(1)
    trace(queue.full(), queue.maxsize)


@twin
@every_queue
async def test_the_program_changes_what_is_inside(trace: Trace, aio: Any, name: str) -> None:
    queue = getattr(aio, name)()
    task = asyncio.create_task(queue.get())
    await settle()
    trace(repr(queue), len(queue._getters))
    queue._queue.append(7)
    queue._unfinished_tasks += 1
    queue._finished.clear()
    queue._wakeup_next(queue._getters)
    trace(await task, repr(queue))
    join = asyncio.create_task(queue.join())
    await settle()
    trace(join.done())
    queue.task_done()
    await join
    queue._queue = collections.deque([3, 1, 2]) if name == "Queue" else [1, 3, 2]
    trace(repr(queue), queue.qsize(), await queue.get())
    if name != "PriorityQueue":

        class Mine(collections.deque if name == "Queue" else list):  # type: ignore[misc]
            def append(self, item: object) -> None:
                trace("append", item)
                super().append(item)

        queue._queue = Mine([1])
        queue.put_nowait(2)
        trace(repr(queue), queue.qsize(), queue.empty(), [await queue.get(), queue.get_nowait()])
    del task
    waiter = asyncio.get_running_loop().create_future()
    queue._putters.append(waiter)
    queue.put_nowait(1)
    queue.get_nowait()
    trace("woken:", waiter.done())


# Turns.


@twin
@every_queue
@pytest.mark.parametrize("maxsize", [0, 1, 2])
async def test_producers_and_consumers(trace: Trace, aio: Any, name: str, maxsize: int) -> None:
    queue = getattr(aio, name)(maxsize)

    async def produce(number: int) -> None:
        for index in range(4):
            await queue.put((index, number))
            trace("put", number, index, queue.qsize())

    async def consume(number: int) -> None:
        while True:
            trace("got", number, await queue.get())
            await settle(number)
            queue.task_done()

    consumers = [asyncio.create_task(consume(number)) for number in range(2)]
    await asyncio.gather(*(produce(number) for number in range(3)))
    await queue.join()
    trace(repr(queue))
    for consumer in consumers:
        consumer.cancel()
    trace(await asyncio.gather(*consumers, return_exceptions=True), repr(queue))


@twin
@every_queue
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("cancelled", range(3))
async def test_getters_cancelled_at_every_turn(
    trace: Trace, aio: Any, name: str, turns: int, cancelled: int
) -> None:
    queue = getattr(aio, name)()

    async def get(number: int) -> None:
        try:
            trace(number, "got", await queue.get())
        except asyncio.CancelledError as error:
            trace(number, error, repr(queue))
            raise

    tasks = [asyncio.create_task(get(number)) for number in range(3)]
    await settle(1)
    queue.put_nowait(1)
    await settle(turns)
    tasks[cancelled].cancel("enough")
    queue.put_nowait(2)
    await settle()
    trace(repr(queue), [task.done() for task in tasks])
    queue.put_nowait(3)
    trace(await asyncio.gather(*tasks, return_exceptions=True), repr(queue))


@twin
@every_queue
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("cancelled", range(3))
async def test_putters_cancelled_at_every_turn(
    trace: Trace, aio: Any, name: str, turns: int, cancelled: int
) -> None:
    queue = getattr(aio, name)(1)
    queue.put_nowait(0)

    async def put(number: int) -> None:
        try:
            trace(number, "put", await queue.put(number))
        except asyncio.CancelledError as error:
            trace(number, error, repr(queue))
            raise

    tasks = [asyncio.create_task(put(number)) for number in range(3)]
    await settle(1)
    trace(queue.get_nowait())
    await settle(turns)
    tasks[cancelled].cancel("enough")
    await settle()
    trace(repr(queue), [task.done() for task in tasks])
    for _ in range(3):
        await settle()
        if not queue.empty():
            trace(queue.get_nowait())
    trace(await asyncio.gather(*tasks, return_exceptions=True), repr(queue))


@twin
async def test_joins_cancelled(trace: Trace, aio: Any) -> None:
    queue = aio.Queue()
    trace(await queue.join())
    queue.put_nowait(1)
    tasks = [asyncio.create_task(queue.join()) for _ in range(3)]
    await settle()
    trace(repr(queue._finished))
    tasks[1].cancel()
    await settle()
    trace(repr(queue._finished))
    queue.task_done()
    queue.put_nowait(2)
    trace(await asyncio.gather(*tasks, return_exceptions=True), repr(queue._finished))


@twin
async def test_closed_while_waiting(trace: Trace, aio: Any) -> None:
    queue = aio.Queue(1)
    get = queue.get()
    trace("waits:", get.send(None).done(), repr(queue))
    get.close()
    trace(repr(queue))
    queue.put_nowait(1)
    put = queue.put(2)
    put.send(None)
    with trace.raises():
        put.throw(Broken("thrown"))
    trace(repr(queue))
    put = queue.put(3)
    put.send(None)
    with trace.raises("woken too early"):
        put.send(None)
    trace(repr(queue))


@twin
async def test_a_getter_finds_nothing_and_waits_on(trace: Trace, aio: Any) -> None:
    queue = aio.Queue()
    task = asyncio.create_task(queue.get())
    await settle()
    queue.put_nowait(1)
    trace("taken by another:", queue.get_nowait(), repr(queue))
    await settle()
    trace(repr(queue), task.done())
    queue.put_nowait(2)
    trace(await task, repr(queue))


# Shutting down.


@since_313
@twin
@every_queue
@pytest.mark.parametrize("immediate", [False, True])
@pytest.mark.parametrize("turns", range(3))
async def test_shutdown(trace: Trace, aio: Any, name: str, immediate: bool, turns: int) -> None:
    queue = getattr(aio, name)(2)

    async def get(number: int) -> None:
        while True:
            with trace.raises(f"get {number}"):
                trace(number, "got", await queue.get())
                await settle(number)
                continue
            return

    async def put(number: int) -> None:
        with trace.raises(f"put {number}"):
            await queue.put(number)

    async def join() -> None:
        await queue.join()
        trace("joined")

    putters = [asyncio.create_task(put(number)) for number in range(5)]
    joiner = asyncio.create_task(join())
    await settle(turns)
    trace(repr(queue))
    queue.shutdown(immediate)
    trace(repr(queue), queue._is_shutdown)
    queue.shutdown(immediate=immediate)
    with trace.raises():
        queue.put_nowait(1)
    await asyncio.gather(*putters)
    getters = [asyncio.create_task(get(number)) for number in range(2)]
    await asyncio.gather(*getters)
    with trace.raises():
        queue.get_nowait()
    trace(repr(queue))
    while queue._unfinished_tasks:
        queue.task_done()
    await joiner


@since_313
@twin
async def test_shutdown_wakes_getters(trace: Trace, aio: Any) -> None:
    queue = aio.Queue()
    tasks = [asyncio.create_task(queue.get()) for _ in range(3)]
    await settle()
    tasks[0].cancel()
    queue.put_nowait(1)
    queue.shutdown()
    trace(await asyncio.gather(*tasks, return_exceptions=True), repr(queue))


@twin
async def test_no_shutdown_before_313(trace: Trace, aio: Any) -> None:
    trace(hasattr(aio.Queue, "shutdown"), hasattr(aio, "QueueShutDown"))


# Overriding.


def overriding(trace: Trace, base: type, names: tuple[str, ...]) -> type:
    """A subclass that records each call of these methods."""

    def recorded(name: str) -> Callable[..., Any]:
        def method(self: Any, *args: Any) -> Any:
            trace(name, [arg for arg in args if not isinstance(arg, collections.deque)])
            return getattr(base, name)(self, *args)

        return method

    return type("Mine", (base,), {name: recorded(name) for name in names})


HOOKS = (
    "_init",
    "_put",
    "_get",
    "qsize",
    "full",
    "empty",
    "_format",
    "_wakeup_next",
    "put_nowait",
    "get_nowait",
    "_get_loop",
)


@twin
@every_queue
@pytest.mark.parametrize("hook", [*HOOKS, "all"])
async def test_hooks_are_called_as_asyncio_calls_them(
    trace: Trace, aio: Any, name: str, hook: str
) -> None:
    cls = overriding(trace, getattr(aio, name), HOOKS if hook == "all" else (hook,))
    trace("making")
    queue = cls(1)
    trace("putting")
    await queue.put(1)
    waiting = asyncio.create_task(queue.put(2))
    await settle()
    trace("asking", repr(queue), str(queue), queue.full(), queue.empty(), queue.qsize())
    trace("getting")
    trace(await queue.get())
    await waiting
    trace(queue.get_nowait())
    with trace.raises():
        queue.get_nowait()
    waiting = asyncio.create_task(queue.get())
    await settle()
    trace("putting again")
    queue.put_nowait(3)
    waiting.cancel()
    trace(await asyncio.gather(waiting, return_exceptions=True))
    with trace.raises():
        queue.put_nowait(4)
    if hasattr(queue, "shutdown"):
        trace("shutting down")
        queue.shutdown(immediate=True)
    trace(repr(queue))


@twin
@every_queue
@pytest.mark.parametrize("hook", [*HOOKS])
async def test_base_exceptions_out_of_hooks(trace: Trace, aio: Any, name: str, hook: str) -> None:
    failing = False
    base = getattr(aio, name)

    def method(self: Any, *args: Any) -> Any:
        if failing:
            raise Broken(hook)
        return getattr(base, hook)(self, *args)

    queue = type("Mine", (base,), {hook: method})(2)
    putters = []
    for turn in range(2):
        failing = turn == 1
        for call in (
            lambda: queue.put_nowait(1),
            lambda: queue.get_nowait(),
            lambda: queue.full(),
            lambda: queue.empty(),
            lambda: repr(queue),
        ):
            with trace.raises("calls"):
                trace(call())
        for coroutine in (queue.put(1), queue.put(2), queue.get()):
            task = asyncio.create_task(coroutine)
            await settle()
            task.cancel("waits")
            trace("awaits", await asyncio.gather(task, return_exceptions=True))
        putters.append(asyncio.create_task(queue.get()))
        await settle()
    failing = False
    trace(repr(queue))
    for task in putters:
        task.cancel()
    trace(await asyncio.gather(*putters, return_exceptions=True))


@twin
@every_queue
async def test_methods_set_on_the_instance_are_called(trace: Trace, aio: Any, name: str) -> None:
    queue = getattr(aio, name)(3)
    put, get, full = queue._put, queue._get, queue.full
    queue._put = lambda item: (trace("_put", item), put(item))
    queue._get = lambda: (trace("_get"), get())[1]
    queue.full = lambda: (trace("full"), full())[1]
    await queue.put(1)
    queue.put_nowait(2)
    trace(await queue.get(), queue.get_nowait(), repr(queue))
    del queue._put, queue._get, queue.full
    await queue.put(3)
    trace(await queue.get())


@twin
async def test_another_container(trace: Trace, aio: Any) -> None:
    class Unique(aio.Queue):  # type: ignore[misc]
        def _init(self, maxsize: int) -> None:
            trace("_init", maxsize)
            self._queue: set[object] = set()

        def _put(self, item: object) -> None:
            self._queue.add(item)

        def _get(self) -> object:
            return self._queue.pop()

    queue = Unique(maxsize=2)
    for item in (1, 1, 2):
        queue.put_nowait(item)
    trace(queue.qsize(), queue.full(), repr(queue), queue._unfinished_tasks)
    trace(sorted([await queue.get(), await queue.get()]), queue.empty(), repr(queue))


@twin
async def test_a_container_that_is_missing(trace: Trace, aio: Any) -> None:
    class Lacking(aio.Queue):  # type: ignore[misc]
        def _init(self, maxsize: int) -> None:
            pass

    queue = Lacking()
    trace(repr(queue))
    for call in (queue.qsize, queue.empty, queue.get_nowait, lambda: queue.put_nowait(1)):
        with trace.raises():
            call()


@twin
async def test_cooperating_classes(trace: Trace, aio: Any) -> None:
    """Another base class comes after the queue, and gets what is left of the arguments."""

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

    class Mine(aio.PriorityQueue, Named):  # type: ignore[misc]
        def __init__(self, name: str, maxsize: int) -> None:
            aio.PriorityQueue.__init__(self, maxsize)
            Named.__init__(self, name)

    queue = Mine("mine", maxsize=2)
    queue.put_nowait(2)
    queue.put_nowait(1)
    trace(queue.name, queue.full(), await queue.get(), repr(queue))


@twin
async def test_put_left(trace: Trace, aio: Any) -> None:
    """A subclass that does by itself what `put_nowait` does, by asyncio's own attributes."""

    class Urgent(aio.Queue):  # type: ignore[misc]
        def put_first(self, item: object) -> None:
            self._queue.appendleft(item)
            self._unfinished_tasks += 1
            self._finished.clear()
            self._wakeup_next(self._getters)

        def give_up(self) -> None:
            while self._getters:
                getter = self._getters.popleft()
                if not getter.done():
                    getter.set_exception(ValueError("given up"))

    queue = Urgent()
    queue.put_nowait(1)
    queue.put_first(0)
    trace(await queue.get(), await queue.get())
    task = asyncio.create_task(queue.get())
    await settle()
    queue.put_first(5)
    trace(await task, repr(queue))
    task = asyncio.create_task(queue.get())
    await settle()
    queue.give_up()
    with trace.raises():
        await task
    trace(repr(queue))


@twin
async def test_items_that_cannot_be_compared(trace: Trace, aio: Any) -> None:
    class Item:
        def __init__(self, number: int) -> None:
            self.number = number

        def __lt__(self, other: Any) -> bool:
            if self.number == 3:
                raise Broken("compared")
            # Comparing may lead back into the queue.
            trace("compares", queue.qsize())
            return bool(self.number < other.number)

    queue = aio.PriorityQueue()
    with trace.raises():
        queue.put_nowait(Item(2))
        queue.put_nowait(Item(1))
        queue.put_nowait(Item(3))
    trace(queue.qsize(), queue._unfinished_tasks)
    trace([item.number for item in queue._queue])
    queue = aio.PriorityQueue()
    queue.put_nowait(1)
    with trace.raises():
        await queue.put("x")
    trace(queue.qsize(), queue._unfinished_tasks)


@twin
@every_queue
def test_another_loop(trace: Trace, factory: Any, aio: Any, name: str) -> None:
    queue = getattr(aio, name)(1)
    for _ in range(2):
        with asyncio.Runner(loop_factory=factory) as runner:
            for method in ("get", "put"):
                with trace.raises(method):

                    async def body(method: str = method) -> None:
                        if method == "put" and not queue.full():
                            queue.put_nowait(0)
                        args = (1,) if method == "put" else ()
                        async with asyncio.timeout(0):
                            await getattr(queue, method)(*args)

                    runner.run(body())
        while not queue.empty():
            queue.get_nowait()
        trace(repr(queue))


@twin
def test_no_loop(trace: Trace, factory: Any, aio: Any) -> None:
    queue = aio.Queue(1)
    coroutine = queue.get()
    with trace.raises():
        coroutine.send(None)
    queue.put_nowait(1)
    coroutine = queue.get()
    with trace.raises("needs none"):
        coroutine.send(None)


# Memory.


@every_queue
def test_collected(name: str) -> None:
    from ferrio import aio

    class Thing:
        def __lt__(self, other: object) -> bool:
            return False

    queue = getattr(aio, name)()
    thing = Thing()
    thing.queue = queue  # type: ignore[attr-defined]
    queue.put_nowait(thing)
    coroutine = queue.put(thing)
    watched = weakref.ref(thing)
    coroutine.close()
    del queue, thing, coroutine
    gc.collect()
    assert watched() is None


@every_queue
def test_items_are_held_no_longer_than_needed(name: str) -> None:
    from ferrio import aio

    class Thing:
        pass

    async def main() -> None:
        queue = getattr(aio, name)()
        for take in (queue.get, queue.get_nowait):
            thing = Thing()
            watched = weakref.ref(thing)
            await queue.put(thing)
            del thing
            taken = take()
            if inspect.isawaitable(taken):
                taken = await taken
            assert watched() is taken
            del taken
            assert watched() is None

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


@twin
@every_queue
async def test_what_stands_in_collections_makes_the_container(
    trace: Trace, aio: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = collections.deque

    class Mine(real):  # type: ignore[misc, valid-type]
        pass

    makers: list[Any] = [lambda *args: real(*args), Mine]
    for made in makers:
        monkeypatch.setattr(collections, "deque", made)
        queue = getattr(aio, name)(1)
        queue.put_nowait(1)
        putting = asyncio.create_task(queue.put(2))
        await settle()
        trace(repr(queue).partition(" ")[2], queue.qsize(), queue.full())
        trace(await queue.get(), await queue.get(), await putting)
        getting = asyncio.create_task(queue.get())
        await settle()
        queue.put_nowait(3)
        trace(await getting, queue.empty())
    monkeypatch.undo()


@twin
@every_queue
async def test_who_waits_is_kept_in_what_the_program_likes(
    trace: Trace, aio: Any, name: str
) -> None:
    class Line(collections.UserList[Any]):
        def popleft(self) -> Any:
            return self.pop(0)

    queue = getattr(aio, name)(1)
    queue._getters, queue._putters = Line(), Line()
    getting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await settle()
    trace(type(queue._getters).__name__, len(queue._getters))
    getting[1].cancel()
    for number in range(3):
        await queue.put(number)
        await settle()
    putting = asyncio.create_task(queue.put(4))
    await settle()
    trace(len(queue._putters), queue.qsize())
    trace(await queue.get(), await putting, await asyncio.gather(*getting, return_exceptions=True))
