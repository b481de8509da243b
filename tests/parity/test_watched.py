"""What profilers and debuggers are told of."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from typing import Any

import pytest

from .trace import Trace
from .twin import twin

task_of = contextvars.ContextVar("task_of", default="nobody")


@twin
async def test_a_profile_function_sees_that_the_loop_waits(trace: Trace) -> None:
    """One that follows the context, as pyinstrument's, is called out of every task's."""
    seen: set[str] = set()

    def profile(frame: Any, event: str, arg: object) -> None:
        seen.add(task_of.get())

    async def main() -> None:
        task_of.set("main")
        sys.setprofile(profile)
        try:
            for _ in range(3):
                seen.clear()
                await asyncio.sleep(0.01)
                trace(sorted(seen))
        finally:
            sys.setprofile(None)

    await asyncio.ensure_future(main())


if sys.version_info >= (3, 13):

    @twin
    async def test_only_what_is_raised_is_told_as_raised(trace: Trace, aio: Any) -> None:
        """A result is no exception, to the debugger that stops at each."""
        queue = aio.Queue()
        lock = aio.Lock()
        event = aio.Event()
        reader = aio.StreamReader()
        loop = asyncio.get_running_loop()
        events = sys.monitoring.events
        heard: list[str] = []

        def raised(code: Any, offset: int, exception: BaseException) -> None:
            if code.co_filename == __file__:
                heard.append(type(exception).__name__)

        async def at_once() -> object:
            await queue.put(1)
            await lock.acquire()
            lock.release()
            async with lock:
                reader.feed_data(b"ab\n")
                event.set()
            await aio.gather(aio.sleep(0, 1), aio.sleep(0, 2))
            return [await queue.get(), await event.wait(), await reader.readline()]

        async def later() -> object:
            loop.call_soon(queue.put_nowait, 1)
            loop.call_soon(lock.release)
            loop.call_soon(reader.feed_data, b"abc")
            await lock.acquire()
            await lock.acquire()
            return [
                await queue.get(),
                await reader.read(10),
                await aio.sleep(0.001, 5),
                await aio.wait_for(aio.sleep(0.001, 6), 10),
                len(await aio.wait([loop.create_task(asyncio.sleep(0.001))])),
            ]

        async def cancelled() -> None:
            try:
                async with asyncio.timeout(0.001):
                    await queue.get()
            except TimeoutError:
                heard.append("timed out")

        async def failing() -> None:
            loop.call_soon(reader.set_exception, ValueError())
            try:
                await reader.read(10)
            except ValueError:
                heard.append("failed")

        tool = sys.monitoring.DEBUGGER_ID
        sys.monitoring.use_tool_id(tool, "test")
        sys.monitoring.register_callback(tool, events.RAISE, raised)
        try:
            for function in (at_once, later, cancelled, failing):
                heard.clear()
                sys.monitoring.set_events(tool, events.RAISE)
                result = await function()
                sys.monitoring.set_events(tool, events.NO_EVENTS)
                trace(function.__name__, result, list(heard))
        finally:
            sys.monitoring.set_events(tool, events.NO_EVENTS)
            sys.monitoring.register_callback(tool, events.RAISE, None)
            sys.monitoring.free_tool_id(tool)

    @pytest.mark.parametrize("end", ["close", "throw", "never awaited"])
    @twin
    async def test_a_watched_await_ends_as_any(trace: Trace, aio: Any, end: str) -> None:
        queue = aio.Queue()
        tool = sys.monitoring.DEBUGGER_ID

        async def get() -> object:
            try:
                return await queue.get()
            finally:
                trace("ends", len(queue._getters))

        sys.monitoring.use_tool_id(tool, "test")
        sys.monitoring.set_events(tool, sys.monitoring.events.RAISE)
        try:
            coroutine = get()
            coroutine.send(None)
            if end == "close":
                coroutine.close()
            elif end == "throw":
                try:
                    coroutine.throw(KeyError("thrown"))
                except KeyError as error:
                    trace("raised", error, error.__context__)
            else:
                waiting = queue.get()
                waiting.close()
                queue.put_nowait(1)
                queue._getters.clear()
        finally:
            sys.monitoring.set_events(tool, sys.monitoring.events.NO_EVENTS)
            sys.monitoring.free_tool_id(tool)
        trace("getters", len(queue._getters))
