"""The functions over tasks: asyncio's on its loop and ferrio's on ferrio, one body on both."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import pickle
import re
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from .trace import Trace
from .twin import twin

since_313 = pytest.mark.skipif(sys.version_info < (3, 13), reason="came with 3.13")
since_314 = pytest.mark.skipif(sys.version_info < (3, 14), reason="came with 3.14")


class Broken(Exception):
    pass


async def settle(turns: int = 6) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def returns(value: Any, turns: int = 0) -> Any:
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


async def raises(error: BaseException, turns: int = 0) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    raise error


async def stubborn(trace: Trace, name: str, turns: int = 3) -> str:
    """Swallows its first cancellation."""
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError as error:
        trace(name, "cancelled with", error.args)
        for _ in range(turns):
            await asyncio.sleep(0)
    return name


def chain(error: BaseException | None) -> list[str]:
    """The exception, what it was raised from, and while what was being handled."""
    shown: list[str] = []
    while error is not None and len(shown) < 6:
        cause, context = error.__cause__, error.__context__
        shown.append(
            f"{type(error).__name__}{error.args} cause={type(cause).__name__} "
            f"context={type(context).__name__} suppressed={error.__suppress_context__}"
        )
        error = cause or context
    return shown


async def outcome(trace: Trace, name: str, awaitable: Awaitable[Any]) -> None:
    try:
        trace(name, "returned", await awaitable)
    except BaseException as error:
        trace(name, "raised", *chain(error))


#: What is awaited by each of the functions, as a coroutine that takes a namespace.
WAYS: dict[str, Callable[[Any, Any], Awaitable[Any]]] = {
    "sleep(0)": lambda aio, inner: aio.sleep(0, "slept"),
    "sleep": lambda aio, inner: aio.sleep(3600, "slept"),
    "gather": lambda aio, inner: aio.gather(inner, returns("other", 2)),
    "gather exceptions": lambda aio, inner: aio.gather(
        inner, raises(Broken("other"), 1), return_exceptions=True
    ),
    "shield": lambda aio, inner: aio.shield(inner),
    "wait_for": lambda aio, inner: aio.wait_for(inner, 3600),
    "wait_for None": lambda aio, inner: aio.wait_for(inner, None),
    "timeout": lambda aio, inner: within(aio, inner, 3600),
    "timeout None": lambda aio, inner: within(aio, inner, None),
    "group": lambda aio, inner: grouped(aio, inner),
}


async def within(aio: Any, inner: Any, delay: float | None) -> Any:
    async with aio.timeout(delay):
        return await inner


async def grouped(aio: Any, inner: Any) -> Any:
    async with aio.TaskGroup() as group:
        other = group.create_task(returns("other", 2))
        result = await inner
    return (result, other.result())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("turns", range(6))
@twin
async def test_cancelled_at_every_await(trace: Trace, aio: Any, way: str, turns: int) -> None:
    async def inner() -> str:
        try:
            await settle(2)
            trace("inner goes on")
            await settle(2)
        except BaseException as error:
            trace("inner raised", error)
            raise
        return "inner"

    inner_task = asyncio.ensure_future(inner())
    task = asyncio.ensure_future(WAYS[way](aio, inner_task))
    for _ in range(turns):
        await asyncio.sleep(0)
    trace("cancel", task.cancel("the message"))
    await outcome(trace, way, task)
    trace("cancelling", task.cancelling() if isinstance(task, asyncio.Task) else None)
    await outcome(trace, "inner", inner_task)
    await settle()


@pytest.mark.parametrize("way", WAYS)
@twin
async def test_results_and_errors_pass(trace: Trace, aio: Any, way: str) -> None:
    await outcome(trace, "result", asyncio.wait_for(WAYS[way](aio, returns("it", 1)), 3600)) if (
        way != "sleep"
    ) else None
    if way != "sleep":
        await outcome(trace, "error", WAYS[way](aio, raises(Broken("it"), 1)))
    await settle()
    trace("end")


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("return_exceptions", [False, True])
@twin
async def test_gather_whoever_is_first(
    trace: Trace, aio: Any, first: int, return_exceptions: bool
) -> None:
    def child(number: int) -> Any:
        turns = 0 if number == first else 3 + number
        match number:
            case 0:
                return asyncio.ensure_future(returns(number, turns))
            case 1:
                return raises(Broken(number), turns)
            case 2:
                return asyncio.ensure_future(returns(number, turns))
            case _:
                return returns(number, turns)

    children = [child(number) for number in range(4)]
    gathered = aio.gather(*children, return_exceptions=return_exceptions)
    trace("made", type(gathered).__name__, gathered.done(), len(gathered._children))
    children[2].add_done_callback(lambda task: trace("second is done", gathered.done()))
    await outcome(trace, "gather", gathered)
    for future in gathered._children:
        trace("child", future.done(), future.cancelled())
    await settle(12)
    trace("later", [future.done() for future in gathered._children])


@twin
async def test_gather_of_nothing_twice_and_of_what_is_done(trace: Trace, aio: Any) -> None:
    nothing = aio.gather()
    trace("nothing", nothing.done(), await nothing)
    coro, future = returns("coro", 1), asyncio.get_running_loop().create_future()
    future.set_result("future")
    failed = asyncio.get_running_loop().create_future()
    failed.set_exception(Broken("failed"))
    trace("twice", await aio.gather(coro, future, coro, future))
    done = aio.gather(future, failed, return_exceptions=True)
    trace("at once", done.done())
    trace("done", await done)
    done = aio.gather(failed)
    trace("failed at once", done.done())
    await outcome(trace, "failed", done)

    class Equal:
        """Awaitables may be equal to each other."""

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        def __hash__(self) -> int:
            return 1

        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return "equal"

    trace("equal", await aio.gather(Equal(), returns(1), Equal()))


@twin
async def test_gather_cancels_its_children(trace: Trace, aio: Any) -> None:
    loop = asyncio.get_running_loop()
    done, pending = loop.create_future(), loop.create_future()
    done.set_result(1)
    task = asyncio.ensure_future(stubborn(trace, "stubborn"))
    gathered = aio.gather(done, pending, task, return_exceptions=True)
    await settle()
    trace("cancel", gathered.cancel("stop"), gathered._cancel_requested, gathered.cancelled())
    await outcome(trace, "gather", gathered)
    trace("states", pending.cancelled(), task.done(), gathered.cancelled(), gathered.cancel())
    everything_done = aio.gather(done)
    trace("nothing to cancel", everything_done.cancel(), everything_done.done())


@twin
async def test_gather_refuses(trace: Trace, aio: Any) -> None:
    for wrong in (1, None, "text", [1]):
        try:
            aio.gather(returns(1), wrong)
        except TypeError as error:
            trace("refused", error)
    other = asyncio.new_event_loop()
    mine, theirs = asyncio.get_running_loop().create_future(), other.create_future()
    with trace.raises("two loops"):
        aio.gather(mine, theirs)
    with trace.raises("keyword"):
        aio.gather(mine, nonsense=1)
    mine.cancel()
    other.close()
    await settle()


def test_gather_outside_of_a_loop() -> None:
    from ferrio import aio

    loop = asyncio.new_event_loop()
    future = loop.create_future()
    gathered: Any = aio.gather(future)
    future.set_result(1)
    assert loop.run_until_complete(gathered) == [1]
    loop.close()


@twin
async def test_shield_either_way_round(trace: Trace, aio: Any) -> None:
    loop = asyncio.get_running_loop()
    for who in ("inner result", "inner error", "inner cancel", "outer cancel", "outer, then error"):
        inner = loop.create_future()
        outer = aio.shield(inner)
        trace(who, "made", bool(inner._callbacks), len(outer._callbacks or ()))
        match who:
            case "inner result":
                inner.set_result(1)
            case "inner error":
                inner.set_exception(Broken(1))
            case "inner cancel":
                inner.cancel("by inner")
            case "outer cancel":
                outer.cancel("by outer")
                await settle()
                inner.set_result(2)
            case _:
                outer.cancel()
                inner.set_exception(Broken(2))
                await settle()
        await outcome(trace, who, outer)
        await settle()
        trace(who, inner.done(), inner.cancelled(), inner._callbacks)
        del inner, outer
        gc.collect(0)
    done = loop.create_future()
    done.set_result(1)
    trace("done already", aio.shield(done) is done)
    trace("coroutine", await aio.shield(returns("it", 1)))


@pytest.mark.parametrize("when", ["FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"])
@pytest.mark.parametrize("timeout", [None, 0.2])
@twin
async def test_wait(trace: Trace, aio: Any, when: str, timeout: float | None) -> None:
    loop = asyncio.get_running_loop()
    names = {}

    def future(name: str) -> Any:
        made = loop.create_future()
        names[made] = name
        return made

    cancelled, failed, fine = future("cancelled"), future("failed"), future("fine")
    loop.call_soon(cancelled.cancel)
    loop.call_soon(loop.call_soon, failed.set_exception, Broken("failed"))
    if timeout is None:
        loop.call_soon(loop.call_soon, loop.call_soon, fine.set_result, 1)
    done, pending = await aio.wait(
        [cancelled, failed, fine, fine], timeout=timeout, return_when=when
    )
    trace("done", sorted(names[f] for f in done), "pending", sorted(names[f] for f in pending))
    trace("callbacks", fine._callbacks, failed._callbacks)
    await settle()
    trace("all", failed.exception())
    fine.cancel()


@twin
async def test_wait_refuses(trace: Trace, aio: Any) -> None:
    future = asyncio.get_running_loop().create_future()
    coro = returns(1)
    wrong: list[list[Any]] = [
        [],
        [future],
        [coro],
        [future, 1],
        [[]],
        [[coro]],
        [set()],
        [1],
        [None],
    ]
    for arguments in wrong:
        try:
            await aio.wait(*arguments)
        except (TypeError, ValueError) as error:
            trace("refused", error)
    for keywords in ({"return_when": "whenever"}, {"return_when": None}, {"nonsense": 1}):
        try:
            await aio.wait([future], **keywords)
        except (TypeError, ValueError) as error:
            trace("refused", error)
    coro.close()
    future.cancel()


@twin
async def test_wait_is_cancelled(trace: Trace, aio: Any) -> None:
    future = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(aio.wait([future], timeout=3600))
    await settle()
    task.cancel("stop")
    await outcome(trace, "wait", task)
    trace("left alone", future.done(), future._callbacks)
    future.cancel()


@pytest.mark.parametrize("timeout", [-1, 0, 0.001])
@twin
async def test_wait_for_is_too_late(trace: Trace, aio: Any, timeout: float) -> None:
    loop = asyncio.get_running_loop()
    await outcome(trace, "sleep", aio.wait_for(asyncio.sleep(3600), timeout))
    await outcome(trace, "stubborn", aio.wait_for(stubborn(trace, "stubborn"), timeout))
    pending, done, failed = loop.create_future(), loop.create_future(), loop.create_future()
    done.set_result("done")
    failed.set_exception(Broken("failed"))
    await outcome(trace, "pending", aio.wait_for(pending, timeout))
    trace("cancelled", pending.cancelled())
    await outcome(trace, "done", aio.wait_for(done, timeout))
    await outcome(trace, "failed", aio.wait_for(failed, timeout))

    async def breaks() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise Broken("while it was cancelled")

    await outcome(trace, "breaks", aio.wait_for(breaks(), timeout))


@pytest.mark.parametrize("timeout", [0, 0.001])
@twin
async def test_errors_while_something_is_handled(trace: Trace, aio: Any, timeout: float) -> None:
    async def waits() -> None:
        try:
            raise Broken("handled")
        except Broken:
            await aio.wait_for(asyncio.sleep(3600), timeout)

    async def sleeps(way: str) -> None:
        try:
            raise Broken("handled")
        except Broken:
            await WAYS[way](aio, asyncio.sleep(3600))

    await outcome(trace, "wait_for", waits())
    for way in ("sleep", "gather", "shield", "wait_for", "timeout", "group"):
        task = asyncio.ensure_future(sleeps(way))
        await settle(3)
        task.cancel("stop")
        await outcome(trace, way, task)


@twin
async def test_wait_for_refuses(trace: Trace, aio: Any) -> None:
    for wrong in (1, None, "text"):
        await outcome(trace, "wrong", aio.wait_for(wrong, 1))
    coro = returns(1)
    await outcome(trace, "no number", aio.wait_for(coro, "soon"))
    coro.close()
    with trace.raises("none"):
        aio.wait_for()
    with trace.raises("three"):
        aio.wait_for(1, 2, 3)


@twin
async def test_as_completed(trace: Trace, aio: Any) -> None:
    coros = [returns(n, 6 - n) for n in range(3)] + [raises(Broken(3), 8)]
    for number, awaitable in enumerate(aio.as_completed(coros)):
        await outcome(trace, f"number {number}", awaitable)
    waits = list(aio.as_completed([asyncio.sleep(3600), returns(1)], timeout=0.2))
    trace("how many", len(waits))
    for awaitable in waits:
        await outcome(trace, "timeout", awaitable)
    for wrong in (returns(1), asyncio.get_running_loop().create_future(), 1):
        try:
            list(aio.as_completed(wrong))
        except TypeError as error:
            trace("refused", error)
    trace("nothing", list(aio.as_completed([])))


@twin
async def test_how_it_looks_that_somebody_waits(trace: Trace, aio: Any) -> None:
    loop = asyncio.get_running_loop()

    async def first(inner: Any) -> Any:
        for waiting in aio.as_completed([inner, returns(1, 99)]):
            trace("coroutine", waiting.__qualname__)
            waiting.close()
        await asyncio.sleep(3600)

    ways: dict[str, Callable[[Any, Any], Awaitable[Any]]] = {
        **WAYS,
        "as_completed": lambda aio, inner: first(inner),
        "wait": lambda aio, inner: aio.wait([inner]),
        "shields": lambda aio, inner: aio.gather(aio.shield(inner), aio.shield(inner)),
    }

    async def waits(way: str, inner: Any) -> None:
        await ways[way](aio, inner)

    def shown(future: Any) -> str:
        text = re.sub(r" at /\S+?:\d+", "", repr(future))
        # What 3.11's wait_for is woken by: a partial, or a function of ours.
        return re.sub(r"_release_waiter\(<Future .*?>\)\(\)", "_release_waiter()", text)

    for way in ways:
        inner = loop.create_future()
        task = loop.create_task(waits(way, inner))
        await settle(3)
        trace(way, shown(inner))
        task.cancel()
        await settle()
        trace(way, shown(inner))
        await asyncio.wait([task])
    # Outside of a task.
    inner = loop.create_future()
    outer: list[Any] = []
    loop.call_soon(lambda: outer.append(aio.shield(inner)))
    await settle(1)
    trace("in a callback", shown(inner))


@since_313
@twin
async def test_as_completed_of_futures(trace: Trace, aio: Any) -> None:
    tasks = {asyncio.ensure_future(returns(n, 5 - n)): n for n in range(3)}
    async for task in aio.as_completed(tasks):
        trace("completed", tasks[task], task.result())
    iterator = aio.as_completed([asyncio.ensure_future(asyncio.sleep(3600))], timeout=0.001)
    trace("same", iter(iterator) is iterator, aiter(iterator) is iterator)
    with trace.raises("timeout"):
        async for _ in iterator:
            trace("not reached")
    with trace.raises("at its end"):
        await anext(iterator)
    trace("end", next(iterator, "nothing"))
    two = aio.as_completed([returns(1, 1), returns(2, 9)])
    waiting = [asyncio.ensure_future(next(two)), asyncio.ensure_future(next(two))]
    await settle(1)
    waiting[0].cancel()
    await outcome(trace, "first", waiting[0])
    await outcome(trace, "second", waiting[1])


@twin
async def test_sleep(trace: Trace, aio: Any) -> None:
    loop = asyncio.get_running_loop()
    for delay in (0, -1, 0.001, True, 0.0):
        trace("slept", delay, await aio.sleep(delay, result=delay))
    for wrong in ("text", None, object):
        await outcome(trace, "wrong", aio.sleep(wrong))
    if sys.version_info >= (3, 13):
        # Before, it upsets the order of asyncio's timers.
        await outcome(trace, "nan", aio.sleep(float("nan")))
    for arguments in ((), (1, 2, 3)):
        with trace.raises("arguments"):
            aio.sleep(*arguments)
    with trace.raises("keyword"):
        aio.sleep(1, nonsense=2)
    with trace.raises("twice"):
        aio.sleep(1, delay=2)

    order = []

    async def sleeper(name: str, delay: float) -> None:
        await aio.sleep(delay)
        order.append(name)

    await aio.gather(*(sleeper(str(n), 0.3 if n % 2 else 0.001) for n in range(6)))
    trace("order", order)
    coro = aio.sleep(3600)
    loop.call_soon(coro.close)
    await settle()


def test_sleep_outside_of_a_loop() -> None:
    from ferrio import aio

    with pytest.raises(RuntimeError, match="no running event loop"):
        aio.sleep(1).send(None)
    assert aio.sleep(0).send(None) is None
    coro = aio.sleep(0, "it")
    coro.send(None)
    with pytest.raises(StopIteration) as stop:
        coro.send(None)
    assert stop.value.value == "it"


@twin
async def test_the_running_loop_is_what_the_module_says(
    trace: Trace, aio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trio-asyncio runs asyncio's code without a running loop, by functions of its own."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    lock = aio.Lock()
    await lock.acquire()
    coroutines = [aio.sleep(0.001, "slept"), lock.acquire(), aio.Queue().get()]
    coroutines += [aio.wait_for(loop.create_future(), 3600)]
    asyncio._set_running_loop(None)
    for name in ("_get_running_loop", "get_running_loop"):
        monkeypatch.setattr(asyncio.events, name, lambda: loop)
    monkeypatch.setattr(asyncio.tasks, "current_task", lambda _loop=None: task)
    try:
        with trace.raises("timeout"):
            aio.timeout(3600)
        futures = [coroutine.send(None) for coroutine in coroutines]
    finally:
        monkeypatch.undo()
        asyncio._set_running_loop(loop)
    trace("loops", [future.get_loop() is loop for future in futures])
    while not futures[0].done():
        await asyncio.sleep(0.001)
    try:
        coroutines[0].send(None)
    except StopIteration as stop:
        trace("result", stop.value)
    for coroutine in coroutines[1:]:
        coroutine.close()


@twin
async def test_methods_of_the_program_are_called(trace: Trace, aio: Any) -> None:
    """A loop whose methods were replaced is asked by them."""
    loop: Any = asyncio.get_running_loop()
    names = ("call_later", "create_task", "create_future")
    for name in names:
        original = getattr(loop, name)

        def replaced(
            *args: Any, _name: str = name, _original: Any = original, **kwargs: Any
        ) -> Any:
            trace("called", _name, sorted(kwargs))
            return _original(*args, **kwargs)

        setattr(loop, name, replaced)
    await aio.sleep(0.001)
    await aio.wait([aio.shield(returns(1))], timeout=3600)
    trace(await aio.gather(returns(1), returns(2)))
    async with aio.TaskGroup() as group:
        group.create_task(returns(1), name="named")
    for name in names:
        delattr(loop, name)

    def call_at(when: float, callback: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        trace("call_at", callback.__name__, args, sorted(kwargs))
        return type(loop).call_at(loop, when, callback, *args, **kwargs)

    loop.call_at = call_at
    async with aio.timeout(3600) as timeout:
        timeout.reschedule(None)
    del loop.call_at


@twin
async def test_futures_of_other_kinds(trace: Trace, aio: Any) -> None:
    futures: Any = asyncio.futures
    loop = asyncio.get_running_loop()

    class Own(asyncio.Future):  # type: ignore[type-arg]
        def cancel(self, msg: Any = None) -> bool:
            trace("cancel of its own", msg)
            return super().cancel(msg)

        def add_done_callback(self, *args: Any, **kwargs: Any) -> None:
            trace("add", sorted(kwargs))
            super().add_done_callback(*args, **kwargs)

    kinds: list[Any] = [Own, futures._PyFuture, asyncio.Future]
    for kind in kinds:
        one, two, three = (kind(loop=loop) for _ in range(3))
        loop.call_soon(one.set_result, 1)
        loop.call_soon(two.set_exception, Broken(2))
        trace("gather", await aio.gather(one, two, return_exceptions=True))
        await outcome(trace, "shield", aio.shield(one))
        await outcome(trace, "wait_for", aio.wait_for(three, 0.001))
        done, _ = await aio.wait([one, two])
        trace("wait", len(done))
        four = kind(loop=loop)
        gathered = aio.gather(four)
        gathered.cancel("message")
        await outcome(trace, "cancelled", gathered)


@twin
async def test_contexts(trace: Trace, aio: Any) -> None:
    """Callbacks of futures are called in the context that was current when they were added."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    loop = asyncio.get_running_loop()

    class Own(asyncio.Future):  # type: ignore[type-arg]
        def cancelled(self) -> bool:
            trace("asked in", variable.get())
            return super().cancelled()

    future = Own(loop=loop)
    variable.set("outer")
    gathered = aio.gather(future)
    shielded = aio.shield(future)
    waits = asyncio.ensure_future(aio.wait([future]))
    await settle(1)
    variable.set("later")
    future.set_result(1)
    trace(await gathered, await shielded)
    await waits

    async def sets() -> None:
        variable.set("in the child")

    await aio.wait_for(sets(), 1)
    trace("wait_for", variable.get())


# asyncio's group took note at once of a task that was done when it was made, until that was mended
# (gh-128588). ferrio's does not, on any version: tests/parity/test_beyond.py.
NOTICES_LATE = "done" not in asyncio.TaskGroup.create_task.__code__.co_names


@twin
async def test_eager_tasks(trace: Trace, aio: Any) -> None:
    if sys.version_info < (3, 12):
        trace("there are none")
        return
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    gathered = aio.gather(returns(1), returns(2))
    trace("eager gather", gathered.done(), await gathered)
    await outcome(trace, "eager error", aio.gather(raises(Broken(1)), returns(1)))
    trace("mixed", await aio.gather(returns(1), returns(2, 2)))
    async with aio.TaskGroup() as group:
        done = group.create_task(returns(1))
        trace("done at once", done.done(), len(group._tasks) if NOTICES_LATE else None)
        group.create_task(returns(1, 1))
    trace("shield", await aio.shield(returns(3)))
    await outcome(trace, "wait_for", aio.wait_for(returns(3), 0))
    trace([await one for one in aio.as_completed([returns(1), returns(1, 1)])])
    if NOTICES_LATE:
        # In a task of its own: up to 3.12 that stays cancelled.
        await outcome(trace, "group", asyncio.Task(failing(aio), loop=loop))


async def failing(aio: Any) -> None:
    async with aio.TaskGroup() as group:
        group.create_task(raises(Broken("at once")))
        group.create_task(returns(1, 3))
        await asyncio.sleep(0)


@twin
async def test_debug_mode(trace: Trace, aio: Any) -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    trace(await aio.gather(returns(1), aio.sleep(0.001, 2)))
    await outcome(trace, "wait_for", aio.wait_for(aio.sleep(3600), 0.001))
    async with aio.timeout(3600):
        pass
    async with aio.TaskGroup() as group:
        group.create_task(returns(1))
    gathered = aio.gather(returns(1))
    trace("traced", gathered._source_traceback is not None)
    await gathered


@twin
async def test_how_they_look(trace: Trace, aio: Any) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    gathered, shielded = aio.gather(future), aio.shield(future)
    trace("gather", str(gathered).partition(" cb=")[0], isinstance(gathered, asyncio.Future))
    trace(
        "coroutines",
        [
            asyncio.iscoroutinefunction(getattr(aio, name))
            for name in ("sleep", "wait", "wait_for", "gather", "shield", "timeout", "as_completed")
        ],
    )
    trace(
        "inspect",
        [
            inspect.iscoroutinefunction(getattr(aio, name)) or sys.version_info < (3, 12)
            for name in ("sleep", "wait", "wait_for")
        ],
    )
    for name in ("sleep", "wait_for", "gather", "shield"):
        function = getattr(aio, name)
        trace(name, function.__name__, list(inspect.signature(function).parameters))
        trace(pickle.loads(pickle.dumps(function)) is function, bool(function.__doc__))
    coro = aio.sleep(0)
    trace(asyncio.iscoroutine(coro), inspect.isawaitable(coro), coro.__qualname__, coro.__name__)
    coro.close()
    future.set_result(1)
    await gathered
    await shielded

    class Holder:
        nap = aio.sleep

    holder: Any = Holder()
    try:
        await holder.nap()
    except TypeError as error:
        trace("is a method in a class", "not supported" in str(error))


@since_314
@twin
async def test_who_waits_for_whom(trace: Trace, aio: Any) -> None:
    """The edges of the call graph."""

    def waiters(future: Any) -> list[str]:
        waiting = future._asyncio_awaited_by
        return sorted(task.get_name() for task in waiting or ())

    loop = asyncio.get_running_loop()

    async def uses(way: str, inner: Any) -> None:
        match way:
            case "wait":
                await aio.wait([inner])
            case "group":
                async with aio.TaskGroup() as group:
                    group.create_task(asyncio.wait([inner]))
            case "as_completed":
                for one in aio.as_completed([inner]):
                    await one
            case "wait_for 0":
                await aio.wait_for(inner, 0)
            case _:
                await WAYS[way](aio, inner)

    for way in ("gather", "shield", "wait", "wait_for", "as_completed", "timeout", "group"):
        inner = loop.create_future()
        task = loop.create_task(uses(way, inner), name=way)
        await settle(2)
        trace(way, "waits", waiters(inner))
        if way == "shield":
            task.cancel()
        else:
            inner.set_result(1)
        await settle(8)
        trace(way, "has waited", waiters(inner), task.done())


@twin
async def test_cycles_are_collected(trace: Trace, aio: Any) -> None:
    """What is forgotten half-way goes when the collector comes, and says what asyncio says."""
    loop = asyncio.get_running_loop()

    class Marker(asyncio.Future):  # type: ignore[type-arg]
        pass

    def refer(task: object, future: object) -> None:
        """A callback that has the task in it."""

    async def forgotten(way: str, inner: Any) -> None:
        await (aio.wait([inner]) if way == "wait" else WAYS[way](aio, inner))

    for way in ("gather", "shield", "wait_for None", "timeout None", "group", "wait"):
        inner = Marker(loop=loop)
        alive = weakref.ref(inner)
        task = loop.create_task(forgotten(way, inner))
        await settle(3)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        inner.add_done_callback(functools.partial(refer, task))
        del task, inner
        gc.collect()
        trace(way, "is gone", alive() is None)


@pytest.mark.parametrize(
    "way", ["gather", "shield", "wait_for", "timeout", "group", "sleep", "wait"]
)
@twin
async def test_nothing_is_left_without_the_collector(trace: Trace, aio: Any, way: str) -> None:
    class Value:
        pass

    gc.collect()
    gc.disable()
    try:
        value = Value()
        alive = weakref.ref(value)
        match way:
            case "sleep":
                await aio.sleep(0.001, value)
            case "wait":
                await aio.wait([asyncio.ensure_future(returns(value, 1))])
            case _:
                await WAYS[way](aio, returns(value, 1))
        del value
        await settle()
        trace(way, "is gone", alive() is None)
    finally:
        gc.enable()


@twin
async def test_never_awaited(trace: Trace, aio: Any) -> None:
    aio.sleep(1)
    aio.wait_for(asyncio.get_running_loop().create_future(), 1)
    trace("end")


@twin
async def test_a_lost_gather_reports_its_exception(trace: Trace, aio: Any) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(trace.exception_handler)
    gathered = aio.gather(raises(Broken("lost")))
    await settle()
    del gathered
    gc.collect()
    trace("end")


def test_futures_are_of_the_kind_of_the_task_that_makes_them() -> None:
    """asyncio's own tasks wait for their own kind at less cost than for any other."""
    import ferrio

    async def kind() -> type:
        return type(asyncio.get_running_loop().create_future())

    async def interrupted() -> None:
        raise KeyboardInterrupt

    async def kinds() -> list[type]:
        loop = asyncio.get_running_loop()
        return [await kind(), await asyncio.Task(kind(), loop=loop), await kind()]

    loop = ferrio.new_event_loop()
    try:
        own = type(loop.create_future())
        assert loop.run_until_complete(kinds()) == [own, asyncio.Future, own]
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(asyncio.Task(interrupted(), loop=loop))
        assert loop.run_until_complete(kind()) is own
    finally:
        loop.close()
