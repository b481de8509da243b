"""What functions over tasks await, and how what they await is left."""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from .trace import Trace
from .twin import Loop, twin


class Odd:
    """`__await__` returns this."""

    def __init__(self, iterator: Any) -> None:
        self.iterator = iterator

    def __await__(self) -> Any:
        return self.iterator


class NotCallable:
    __await__ = 5


async def five() -> int:
    return 5


def generator() -> Any:
    yield
    return 5


@types.coroutine
def marked() -> Any:
    yield
    return 5


class Iterator:
    """The least that `__await__` may return."""

    def __init__(self) -> None:
        self.steps = 0

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> None:
        self.steps += 1
        if self.steps > 2:
            raise StopIteration("end")


THINGS: dict[str, Callable[[], Any]] = {
    "number": lambda: 5,
    "none": lambda: None,
    "function": lambda: five,
    "lock": threading.Lock,
    "generator": generator,
    "marked": marked,
    "list": lambda: Odd([]),
    "odd": lambda: Odd(5),
    "odd generator": lambda: Odd(generator()),
    "odd marked": lambda: Odd(marked()),
    "odd coroutine": lambda: Odd(five()),
    "odd lock": lambda: Odd(threading.Lock()),
    "odd iterator": lambda: Odd(Iterator()),
    "no method": NotCallable,
    "coroutine": five,
}


@twin
async def test_what_cannot_be_awaited(trace: Trace, aio: Any) -> None:
    async def in_lock(thing: Any) -> Any:
        class Lock(aio.Lock):  # type: ignore[misc]
            def acquire(self) -> Any:
                return thing

            def release(self) -> None:
                pass

        async with Lock() as entered:
            return entered

    async def in_condition(thing: Any) -> Any:
        class Condition(aio.Condition):  # type: ignore[misc]
            def wait(self) -> Any:
                return thing

        condition = Condition()
        answers = iter([False, True])
        async with condition:
            return await condition.wait_for(lambda: next(answers))

    async def in_barrier(thing: Any) -> Any:
        class Barrier(aio.Barrier):  # type: ignore[misc]
            def wait(self) -> Any:
                return thing

        async with Barrier(1) as entered:
            return entered

    async def in_queue(thing: Any) -> Any:
        class Queue(aio.Queue):  # type: ignore[misc]
            def get(self) -> Any:
                return thing

        return await Queue().get()

    async def first(thing: Any) -> Any:
        for future in aio.as_completed([thing]):
            return await future
        return None

    ways: dict[str, Callable[[Any], Any]] = {
        "wait_for": lambda thing: aio.wait_for(thing, 1),
        "wait_for without": lambda thing: aio.wait_for(thing, None),
        "wait_for too late": lambda thing: aio.wait_for(thing, 0),
        "gather": aio.gather,
        "shield": aio.shield,
        "wait": lambda thing: aio.wait([thing]),
        "as_completed": first,
        "lock": in_lock,
        "condition": in_condition,
        "barrier": in_barrier,
        "queue": in_queue,
    }
    for way, function in ways.items():
        for name, make in THINGS.items():
            thing = make()
            try:
                trace(way, name, await function(thing))
            except Exception as error:
                trace(way, name, error)
            finally:
                for leftover in (thing, getattr(thing, "iterator", None)):
                    if asyncio.iscoroutine(leftover):
                        leftover.close()


@twin
def test_awaited_already(trace: Trace, aio: Any, loop: Loop) -> None:
    async def wait() -> Any:
        return await loop.create_future()

    async def again(coroutine: Any) -> Any:
        return await coroutine

    for make in (
        wait,
        lambda: aio.sleep(60),
        lambda: aio.Event().wait(),
        lambda: aio.wait_for(wait(), 60),
    ):

        async def main(make: Callable[[], Any] = make) -> None:
            seconds: list[Callable[[Any], Any]] = [again, lambda it: aio.wait_for(it, None)]
            # 3.11's makes a task of it, which goes on with the coroutine in another's place: with
            # what error depends on whose turn it is.
            if sys.version_info >= (3, 12):
                seconds.append(lambda it: aio.wait_for(it, 1))
            for second in seconds:
                coroutine = make()
                task = asyncio.create_task(again(coroutine))
                await asyncio.sleep(0)
                with trace.raises():
                    await second(coroutine)
                task.cancel()
                await asyncio.wait([task])
                trace(task.cancelled())

        loop.run_until_complete(main())


class Closes:
    """An awaitable that notes how it is left."""

    def __init__(self, trace: Trace, *, error: BaseException | None = None) -> None:
        self.trace = trace
        self.error = error

    def __await__(self) -> Closes:
        return self

    def __iter__(self) -> Closes:
        return self

    def __next__(self) -> None:
        return None

    def send(self, value: object) -> None:
        return None

    def throw(self, *error: Any) -> None:
        self.trace("throw", *error)
        raise error[0]

    def close(self) -> None:
        self.trace("close")
        if self.error is not None:
            raise self.error


class CannotClose(Closes):
    """Of which not even the method can be had."""

    @property
    def close(self) -> Any:
        raise KeyError("no method")


class OnlyNext:
    def __await__(self) -> OnlyNext:
        return self

    def __iter__(self) -> OnlyNext:
        return self

    def __next__(self) -> None:
        return None


@pytest.mark.skipif(
    sys.version_info < (3, 12),
    reason="wait_for leaves tasks behind there, which become garbage in no certain order",
)
@twin
def test_what_is_awaited_is_closed(trace: Trace, aio: Any, loop: Loop) -> None:
    async def guarded(*, swallow: bool = False, wait: bool = False) -> Any:
        try:
            await loop.create_future()
        except BaseException as error:
            trace("inner", error)
            if wait:
                await loop.create_future()
            if not swallow:
                raise
            return "swallowed"

    def waits(make: Callable[[], Any]) -> list[Any]:
        class Condition(aio.Condition):  # type: ignore[misc]
            def wait(self) -> Any:
                return make()

        class Lock(aio.Lock):  # type: ignore[misc]
            def acquire(self) -> Any:
                return make()

        return [
            lambda: aio.wait_for(make(), 60),
            lambda: aio.wait_for(make(), None),
            lambda: aio.wait_for(aio.wait_for(make(), None), None),
            lambda: Condition().wait_for(lambda: False),
            lambda: Lock().__aenter__(),
        ]

    async def main(coroutine: Any, end: Callable[[Any], Any]) -> None:
        coroutine.send(None)
        try:
            trace("end", end(coroutine))
        except BaseException as error:
            trace("raised", error, type(error.__context__))
        try:
            coroutine.send(None)
        except BaseException as error:
            trace("afterwards", error)

    makers: list[Callable[[], Any]] = [
        guarded,
        lambda: guarded(swallow=True),
        lambda: guarded(wait=True),
        lambda: Closes(trace),
        lambda: Closes(trace, error=KeyError("close")),
        lambda: Closes(trace, error=GeneratorExit("close")),
        lambda: CannotClose(trace),
        OnlyNext,
    ]
    ends: list[Callable[[Any], Any]] = [
        lambda coroutine: coroutine.close(),
        lambda coroutine: coroutine.throw(GeneratorExit),
        lambda coroutine: coroutine.throw(GeneratorExit("given")),
        lambda coroutine: coroutine.throw(KeyError("given")),
    ]
    for number, make in enumerate(makers):
        for wait in waits(make):
            for end in ends:
                trace("maker", number)
                task = loop.create_task(main(wait(), end))
                loop.run_until_complete(asyncio.wait([task]))
                with trace.raises("outside"):
                    task.result()


@twin
def test_garbage(trace: Trace, aio: Any, factory: Any) -> None:
    """What is awaited is older than who awaits, and finalized first."""
    for timeout in (None, 60):
        loop = factory()

        async def inner(loop: Any = loop) -> None:
            try:
                await loop.create_future()
            except BaseException as error:
                trace("inner", error)
                raise

        async def outer(coroutine: Any, timeout: float | None = timeout) -> None:
            try:
                await aio.wait_for(coroutine, timeout)
            except BaseException as error:
                trace("outer", error)
                raise

        async def main(loop: Any = loop) -> None:
            task = loop.create_task(outer(inner()))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task._log_destroy_pending = False
            del task
            gc.collect()

        loop.run_until_complete(main())
        loop.close()


@twin
async def test_who_catches_the_end_may_change_it(trace: Trace, aio: Any) -> None:
    def end(coroutine: Any) -> StopIteration:
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop
        raise AssertionError("it waits")

    changes: list[Callable[[Any], None]] = [
        lambda stop: setattr(stop, "value", "somebody else's"),
        lambda stop: setattr(stop, "args", ()),
        lambda stop: setattr(stop, "args", (False,)),
        lambda stop: setattr(stop, "__suppress_context__", True),
        lambda stop: setattr(stop, "__cause__", KeyError()),
        lambda stop: setattr(stop, "__context__", KeyError()),
        lambda stop: stop.add_note("note"),
        lambda stop: setattr(stop, "attribute", 1),
        lambda stop: stop.__init__("again"),
        lambda stop: stop.__setstate__({"more": 1}),
    ]
    for change in changes:
        for make in (
            lambda: aio.Lock().acquire(),
            aio.Semaphore(99).acquire,
            lambda: aio.sleep(0, True),
        ):
            for _ in range(2):
                coroutine = make()
                if coroutine.__name__ == "sleep":
                    coroutine.send(None)
                stop = end(coroutine)
                change(stop)
                stop.__traceback__ = None
                del stop
            trace("afterwards", await aio.wait_for(aio.Semaphore(1).acquire(), None))
            iterator = aio.Lock().acquire().__await__()
            again = end(iterator)
            trace(
                again.value,
                again.args,
                again.__suppress_context__,
                again.__cause__,
                again.__context__,
                getattr(again, "__notes__", None),
                vars(again),
            )


@twin
async def test_the_end_has_a_context(trace: Trace, aio: Any) -> None:
    for make in (aio.Lock().acquire, lambda: aio.wait_for(five(), None), lambda: aio.sleep(0)):
        coroutine = make()
        try:
            raise KeyError("handled")
        except KeyError:
            try:
                while True:
                    coroutine.send(None)
            except StopIteration as stop:
                trace(stop.value, stop.__context__)


@twin
async def test_the_end_keeps_nothing_alive(trace: Trace, aio: Any) -> None:
    """What is handled, and whoever catches it, go when they would in asyncio."""

    class Local:
        pass

    def catches(step: Callable[[], Any]) -> weakref.ref[Local]:
        local = Local()
        try:
            step()
        except StopIteration:
            return weakref.ref(local)
        raise AssertionError("it waits")

    async def handles(local: Local) -> weakref.ref[Local]:
        try:
            raise KeyError
        except KeyError as error:
            error.__dict__["local"] = local
            await aio.Lock().acquire()
            await aio.wait_for(aio.Semaphore(1).acquire(), None)
        return weakref.ref(local)

    for make in (aio.Semaphore(9).acquire, lambda: aio.sleep(0, True)):
        for way in ("send", "next"):
            coroutine = make()
            if coroutine.__name__ == "sleep":
                coroutine.send(None)
            iterator = coroutine.__await__()
            step = iterator.__next__ if way == "next" else functools.partial(coroutine.send, None)
            trace(coroutine.__name__, way, catches(step)())
    future = asyncio.get_running_loop().create_future()
    future.set_result(True)
    trace("future", catches(future.__await__().__next__)())
    trace("handled", (await handles(Local()))())


WAITS: dict[str, Callable[[Any, Any], Any]] = {
    "sleep": lambda aio, loop: aio.sleep(1000),
    "event": lambda aio, loop: aio.Event().wait(),
    "semaphore": lambda aio, loop: aio.Semaphore(0).acquire(),
    "barrier": lambda aio, loop: aio.Barrier(2).wait(),
    "queue": lambda aio, loop: aio.Queue().get(),
    "read": lambda aio, loop: aio.StreamReader(loop=loop).read(1),
    "readline": lambda aio, loop: aio.StreamReader(loop=loop).readline(),
    "wait": lambda aio, loop: aio.wait([loop.create_future()], timeout=1000),
    "wait_for": lambda aio, loop: aio.wait_for(loop.create_future(), 1000),
    "wait_for None": lambda aio, loop: aio.wait_for(loop.create_future(), None),
    "as_completed": lambda aio, loop: next(iter(aio.as_completed([loop.create_future()]))),
}


@pytest.mark.parametrize("way", WAITS)
@twin
async def test_stepped_by_somebody_else(trace: Trace, aio: Any, way: str) -> None:
    """A task waits for the coroutine already, and is not asked."""
    loop = asyncio.get_running_loop()

    async def awaits(coroutine: Any) -> Any:
        return await coroutine

    for steps in (1, 2, 3):
        coroutine = WAITS[way](aio, loop)
        task = loop.create_task(awaits(coroutine))
        await asyncio.sleep(0)
        for _ in range(steps):
            with trace.raises(f"step of {steps}"):
                yielded = coroutine.send(None)
                trace("yielded", yielded._asyncio_future_blocking, yielded.done())
        task.cancel()
        await asyncio.wait([task], timeout=5)
        with trace.raises("task"):
            trace("result", await task)
        coroutine.close()


@twin
async def test_a_future_that_was_refused(trace: Trace, aio: Any) -> None:
    """It counts as awaited by somebody from then on."""
    loop = asyncio.get_running_loop()
    other = asyncio.new_event_loop()

    async def plain(future: Any) -> None:
        await future

    async def within(future: Any) -> None:
        async with aio.timeout(1000):
            await future

    ways: dict[str, Callable[[Any], Any]] = {
        "plain": plain,
        "within": within,
        "wait_for": lambda future: aio.wait_for(future, 1000),
        "wait_for None": lambda future: aio.wait_for(future, None),
    }
    for first in ways:
        for second in ways:
            future = other.create_future()
            for way in (first, second, first):
                task = loop.create_task(plain(ways[way](future)))
                await asyncio.wait([task], timeout=5)
                error = task.exception() if task.done() else None
                is_other = "attached to a different loop" in str(error)
                trace(way, type(error), "(another loop)" if is_other else str(error))
                trace("mark", future._asyncio_future_blocking)
                task.cancel()
    other.close()


@twin
def test_cleanup_raises_amid_what_ended_it(trace: Trace, factory: Any, aio: Any) -> None:
    """The loop is closed: whoever is woken as somebody goes cannot be told."""

    async def notified(condition: Any) -> None:
        async with condition:
            await condition.wait()

    def begun(loop: Loop) -> Any:
        queue, full = aio.Queue(), aio.Queue(1)
        full.put_nowait(1)
        yield queue.get()
        yield full.put(2)
        yield notified(aio.Condition())
        yield aio.Semaphore(0).acquire()
        yield aio.Event().wait()
        yield aio.wait_for(loop.create_future(), 1000)
        yield aio.wait_for(queue.get(), None)
        yield aio.wait([loop.create_future()], timeout=1000)
        yield aio.sleep(1000)
        yield aio.Barrier(2).wait()
        yield aio.StreamReader(loop=loop).read(1)

    for end in ("close", "throw", "forget"):
        for number in range(11):
            loop = factory()

            async def main(number: int = number, loop: Loop = loop) -> Any:
                coroutines = list(begun(loop))
                chosen = coroutines.pop(number)
                for coroutine in coroutines:
                    coroutine.close()
                with trace.raises("began"):
                    chosen.send(None)
                return chosen

            chosen = loop.run_until_complete(main())
            loop.close()
            if end == "forget":
                trace(chosen.__qualname__, end)
                del chosen
                gc.collect()
                continue
            with trace.raises("ended"):
                try:
                    chosen.close() if end == "close" else chosen.throw(KeyError("thrown"))
                except BaseException as error:
                    trace(chosen.__qualname__, end, error, error.__context__)
                    raise


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="from 3.14 on it waits")
@twin
def test_cancelling_does_not_wait_for_what_runs(trace: Trace, loop: Loop) -> None:
    handles: list[asyncio.Handle] = []

    def callback() -> None:
        thread = threading.Thread(target=lambda: trace("cancel", handles[0].cancel()))
        thread.start()
        thread.join(10)
        trace("joined", not thread.is_alive(), handles[0].cancelled())
        loop.stop()

    handles.append(loop.call_soon_threadsafe(callback))
    trace(type(handles[0]).__name__)
    loop.run_forever()
