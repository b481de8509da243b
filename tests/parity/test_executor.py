"""`run_in_executor`, the default executor and its end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from .trace import Trace
from .twin import Loop, twin

since_312 = pytest.mark.skipif(sys.version_info < (3, 12), reason="timeout came with 3.12")


@twin
async def test_results_and_exceptions_come_back(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    trace("result", await loop.run_in_executor(None, pow, 2, 10))
    with trace.raises():
        await loop.run_in_executor(None, int, "x")
    trace("thread", await loop.run_in_executor(None, threading.get_ident) != threading.get_ident())


@twin
async def test_names_of_the_threads(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    name = await loop.run_in_executor(None, lambda: threading.current_thread().name)
    trace("name", name)


@twin
async def test_run_in_executor_gives_a_future(trace: Trace) -> None:
    future = asyncio.get_running_loop().run_in_executor(None, int)
    trace("future", isinstance(future, asyncio.Future), asyncio.isfuture(future))
    trace("result", await future)


@twin
async def test_an_executor_of_ones_own(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
        name = await loop.run_in_executor(pool, lambda: threading.current_thread().name)
        trace("name", name)
        loop.set_default_executor(pool)
        name = await loop.run_in_executor(None, lambda: threading.current_thread().name)
        trace("default", name)


@twin
async def test_what_is_no_executor(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    for wrong in (5, "text", None, object()):
        trace.call(loop.set_default_executor, wrong)
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        trace.call(loop.set_default_executor, pool)


@twin
async def test_what_cannot_be_run(trace: Trace) -> None:
    loop = asyncio.get_running_loop()

    async def coroutine_function() -> None: ...

    with trace.raises("int"):
        await loop.run_in_executor(None, 5)  # type: ignore[arg-type]
    loop.set_debug(True)
    trace.hide(coroutine_function.__qualname__, "coroutine_function")
    with trace.raises("coroutine function in debug mode"):
        await loop.run_in_executor(None, coroutine_function)  # type: ignore[unused-coroutine]
    with trace.raises("int in debug mode"):
        await loop.run_in_executor(None, 5)  # type: ignore[arg-type]


@twin
async def test_a_cancelled_call_does_not_stop_the_thread(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    go, done = threading.Event(), threading.Event()
    future = loop.run_in_executor(None, lambda: (go.wait(30), done.set()))
    await asyncio.sleep(0)
    future.cancel()
    with trace.raises():
        await future
    go.set()
    trace("the thread went on", await loop.run_in_executor(None, done.wait, 5))


@twin
async def test_calls_that_end_where_the_loop_runs(trace: Trace) -> None:
    """Since 3.14 the loop's future is done at once then."""
    loop = asyncio.get_running_loop()

    class ByHand(concurrent.futures.Executor):
        call: concurrent.futures.Future[Any]

        def submit(self, function: Any, /, *args: Any, **options: Any) -> Any:
            self.call = concurrent.futures.Future()
            if function is not None:
                self.call.set_result(function(*args))
            return self.call

    executor: Any = ByHand()
    future = loop.run_in_executor(executor, int, "1")
    trace("at once", future.done(), await future)
    ends: tuple[Callable[[Any], object], ...] = (
        lambda call: call.set_result(2),
        lambda call: call.set_exception(KeyError("by hand")),
        lambda call: call.cancel() and call.set_running_or_notify_cancel(),
    )
    nothing: Any = None
    for end in ends:
        future = loop.run_in_executor(executor, nothing)
        end(executor.call)
        trace("ended", future.done())
        with trace.raises("outcome"):
            trace("result", await future)
    future = loop.run_in_executor(executor, nothing)
    trace("cancelled", future.cancel(), executor.call.cancelled())
    await asyncio.sleep(0)
    trace("a turn later", executor.call.cancelled())
    # From a thread in which another loop runs.
    future = loop.run_in_executor(executor, nothing)

    async def elsewhere() -> None:
        executor.call.set_result(3)

    thread = threading.Thread(target=asyncio.run, args=(elsewhere(),))
    thread.start()
    thread.join()
    trace("elsewhere", future.done(), await future)


@twin
async def test_to_thread_carries_the_context(trace: Trace) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")
    trace("to_thread", await asyncio.to_thread(variable.get))
    trace("plain", await asyncio.get_running_loop().run_in_executor(None, variable.get))


@twin
async def test_many_calls_at_once(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    results = await asyncio.gather(*(loop.run_in_executor(None, abs, -n) for n in range(100)))
    trace("results", results == list(range(100)))


@twin
def test_shutdown_waits_for_what_runs(trace: Trace, loop: Loop) -> None:
    async def main() -> Any:
        return loop.run_in_executor(None, lambda: (time.sleep(0.05), trace.on("thread", "done")))

    future = loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())
    trace("shut down", future.done())
    with trace.raises("afterwards"):
        loop.run_in_executor(None, int)


@twin
def test_shutdown_without_an_executor(trace: Trace, loop: Loop) -> None:
    trace("result", loop.run_until_complete(loop.shutdown_default_executor()))
    trace("again", loop.run_until_complete(loop.shutdown_default_executor()))


@since_312
@twin
def test_shutdown_gives_up_after_its_timeout(trace: Trace, loop: Loop) -> None:
    release = threading.Event()

    async def main() -> None:
        loop.run_in_executor(None, release.wait, 30)
        await loop.shutdown_default_executor(timeout=0.05)  # type: ignore[call-arg]

    threading.Timer(0.3, release.set).start()
    loop.run_until_complete(main())
    trace("gave up")


@twin
def test_close_does_not_wait_for_the_executor(trace: Trace, loop: Loop) -> None:
    release = threading.Event()

    async def main() -> None:
        loop.run_in_executor(None, release.wait, 30)
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    loop.close()
    trace("closed")
    release.set()
