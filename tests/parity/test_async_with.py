"""`__aenter__` and `__aexit__`, looked up and called otherwise than by `async with`."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import inspect
import types
import weakref
from typing import Any

import pytest

from .trace import Trace
from .twin import twin

GUARDS = ("Lock", "Condition", "Semaphore", "BoundedSemaphore", "TaskGroup", "timeout")
every_guard = pytest.mark.parametrize("name", GUARDS)


def make(aio: Any, name: str) -> Any:
    return aio.timeout(60) if name == "timeout" else getattr(aio, name)()


@twin
@every_guard
async def test_bound_methods(trace: Trace, aio: Any, name: str) -> None:
    guard, other = make(aio, name), make(aio, name)
    for method in ("__aenter__", "__aexit__"):
        bound = getattr(guard, method)
        trace(method, isinstance(bound, types.MethodType), inspect.ismethod(bound))
        trace("awaited:", inspect.iscoroutinefunction(bound), asyncio.iscoroutinefunction(bound))
        trace("named:", bound.__name__, bound.__self__ is guard, callable(bound))
        trace("function:", bound.__func__ == getattr(type(guard), method))
        trace("text:", repr(bound).startswith(f"<bound method {bound.__qualname__} of <"))
        trace("equal:", bound == getattr(guard, method), bound == getattr(other, method))
        trace("made by hand:", types.MethodType(bound.__func__, guard) == bound)
        trace("unequal:", bound != getattr(guard, method), bound == 1)
        trace("hash:", hash(bound) == hash(getattr(guard, method)), len({bound, copy.copy(bound)}))
        trace("attributes are its function's:", hasattr(bound, "no_such"))
        with trace.raises("attributes cannot be set"):
            bound.attribute = 1
        trace("weakly:", weakref.ref(bound)() is bound)


@twin
@every_guard
async def test_called_by_hand(trace: Trace, aio: Any, name: str) -> None:
    guard = make(aio, name)
    enter, leave = guard.__aenter__, guard.__aexit__
    trace("entered:", type(await enter()) is type(guard))
    trace("left:", await leave(*[None] * 3))
    # The texts differ where a method of asyncio's takes `*args`, and by version.
    for function, arguments in ((leave, []), (leave, [None] * 9), (enter, [1])):
        try:
            function(*arguments)
        except TypeError as error:
            trace("refused:", type(error), len(arguments))
    with contextlib.suppress(TypeError):
        trace("named:", enter(unknown=1))


@twin
@every_guard
async def test_exit_stack(trace: Trace, aio: Any, name: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        guard = make(aio, name)
        trace((await stack.enter_async_context(guard)) is guard)
        later = make(aio, name)
        await later.__aenter__()
        stack.push_async_exit(later.__aexit__)
    trace("left")


@twin
@every_guard
async def test_cycles(trace: Trace, aio: Any, name: str) -> None:
    class Holder:
        pass

    holder: Any = Holder()
    holder.guard = make(aio, name)
    holder.bound = make(aio, name).__aenter__

    class Guard(type(holder.guard)):  # type: ignore[misc]
        pass

    made: Any = Guard(None) if name == "timeout" else Guard()
    made.bound = made.__aenter__
    made.holder = holder
    weakly = weakref.ref(holder)
    del holder, made
    gc.collect()
    trace("collected:", weakly() is None)


@twin
@every_guard
async def test_overridden(trace: Trace, aio: Any, name: str) -> None:
    class Guard(type(make(aio, name))):  # type: ignore[misc]
        async def __aenter__(self) -> Any:
            trace("before")
            return await super().__aenter__()

        async def __aexit__(self, *error: Any) -> Any:
            trace("after", *error)
            return await super().__aexit__(*error)

    guard = Guard(None) if name == "timeout" else Guard()
    async with guard:
        trace("within")
