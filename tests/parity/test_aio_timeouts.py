"""`timeout`, `timeout_at` and `Timeout`: asyncio's on asyncio's loop and ferrio's on ferrio."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import Any

import pytest

from .test_aio_tasks import Broken, chain, outcome, settle
from .trace import Trace
from .twin import twin


@twin
async def test_states_and_texts(trace: Trace, aio: Any) -> None:
    loop = asyncio.get_running_loop()
    timeout = aio.timeout(3600)
    trace("created", repr(timeout), timeout._state, timeout.expired(), timeout.when() is not None)
    with trace.raises("not entered"):
        timeout.reschedule(1)
    async with timeout as entered:
        trace("same", entered is timeout)
        trace("entered", repr(timeout), timeout._state, timeout.expired())
        with trace.raises("twice"):
            async with timeout:
                pass
        timeout.reschedule(None)
        trace("never", repr(timeout), timeout.when())
        at = loop.time() + 7200
        timeout.reschedule(at)
        trace("later", timeout.when() == at)
    trace("exited", repr(timeout), timeout._state, timeout.expired())
    with trace.raises("finished"):
        timeout.reschedule(None)
    with trace.raises("again"):
        async with timeout:
            pass
    for never in (aio.timeout(None), aio.timeout_at(None), aio.Timeout(None)):
        async with never:
            trace("none", repr(never), never.when())
    trace("class", isinstance(timeout, asyncio.Timeout), type(timeout).__name__)
    with trace.raises("text"):
        aio.timeout("soon")
    with trace.raises("arguments"):
        aio.timeout()


@pytest.mark.parametrize("delay", [-1, 0, 0.001])
@twin
async def test_expires(trace: Trace, aio: Any, delay: float) -> None:
    async def body() -> None:
        async with aio.timeout(delay) as timeout:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError as error:
                trace("cancelled", error.args, repr(timeout), timeout.expired())
                raise
            finally:
                with trace.raises("expiring"):
                    timeout.reschedule(None)

    await outcome(trace, "timeout", body())
    task = asyncio.current_task()
    assert task is not None
    trace("cancelling", task.cancelling())


@twin
async def test_the_body_may_swallow_it(trace: Trace, aio: Any) -> None:
    async with aio.timeout(0) as timeout:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
    trace("expired", timeout.expired(), repr(timeout))
    task = asyncio.current_task()
    assert task is not None
    trace("cancelling", task.cancelling())


@twin
async def test_too_late_to_expire(trace: Trace, aio: Any) -> None:
    """It is left in the very turn in which it is due."""
    async with aio.timeout(0) as timeout:
        pass
    await settle()
    trace("left", repr(timeout))
    async with aio.timeout(3600) as timeout:
        timeout.reschedule(-1)
        timeout.reschedule(asyncio.get_running_loop().time() + 3600)
        await settle()
    trace("taken back", repr(timeout))


@twin
async def test_nested(trace: Trace, aio: Any) -> None:
    async def body(outer_delay: float, inner_delay: float) -> None:
        try:
            async with aio.timeout(outer_delay) as outer:
                try:
                    async with aio.timeout(inner_delay) as inner:
                        await asyncio.sleep(3600)
                finally:
                    trace("inner", inner.expired(), "outer", outer.expired())
        finally:
            trace("outer", outer.expired())

    for delays in ((0.001, 3600), (3600, 0.001), (0, 0)):
        await outcome(trace, str(delays), body(*delays))


@pytest.mark.parametrize("error", ["Broken", "group", "subclass", "from", "generator exit"])
@twin
async def test_other_exceptions_on_the_way(trace: Trace, aio: Any, error: str) -> None:
    class Own(asyncio.CancelledError):
        pass

    def made() -> BaseException:
        match error:
            case "group":
                return ExceptionGroup("group", [Broken(1), Broken(2)])
            case "subclass":
                return Own("own")
            case "generator exit":
                return GeneratorExit()
            case _:
                return Broken("it")

    async def body() -> None:
        async with aio.timeout(0):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError as cancelled:
                if error == "from":
                    raise Broken("it") from cancelled
                raise made() from None

    try:
        await body()
    except BaseException as raised:
        trace(error, *chain(raised))
        if isinstance(raised, BaseExceptionGroup):
            for part in raised.exceptions:
                trace("part", *chain(part))


@twin
async def test_cancelled_from_outside_too(trace: Trace, aio: Any) -> None:
    async def body(delay: float) -> None:
        async with aio.timeout(delay):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                task.cancel("from outside")
                trace("cancelling", task.cancelling())
                raise

    task = asyncio.ensure_future(body(0.001))
    await outcome(trace, "both", task)
    trace("cancelling", task.cancelling())
    task = asyncio.ensure_future(body(3600))
    await asyncio.sleep(0)
    task.cancel("before")
    await outcome(trace, "before", task)


@twin
async def test_outside_of_a_task(trace: Trace, aio: Any) -> None:
    ended = asyncio.Event()

    def callback() -> None:
        timeout = aio.timeout_at(0)
        with trace.raises("enter"):
            timeout.__aenter__().send(None)
        ended.set()

    asyncio.get_running_loop().call_soon(callback)
    await ended.wait()


@twin
async def test_subclasses(trace: Trace, aio: Any) -> None:
    class Own(aio.Timeout):  # type: ignore[misc]
        def __init__(self, when: float, word: str) -> None:
            super().__init__(when)
            self.word = word

        def _on_timeout(self) -> None:
            trace("due", self.word)
            super()._on_timeout()

    with trace.raises("own"):
        async with Own(0, "word") as own:
            trace(own.word)
            await asyncio.sleep(3600)
    trace(own.expired())


@twin
async def test_the_handle_of_its_timer(trace: Trace, aio: Any) -> None:
    """Private, but other packages' tests look at it: async-timeout's do."""
    timeout = aio.timeout(3600)
    trace("created", timeout._timeout_handler)
    async with timeout:
        handle = timeout._timeout_handler
        trace("entered", isinstance(handle, asyncio.TimerHandle), handle.when() == timeout.when())
        trace("same", timeout._timeout_handler is handle, handle.cancelled())
        timeout.reschedule(None)
        trace("never", timeout._timeout_handler, handle.cancelled())
        timeout.reschedule(timeout._task.get_loop().time() + 3600)
        handle = timeout._timeout_handler
    trace("exited", timeout._timeout_handler, handle.cancelled())
    async with aio.timeout(None) as never:
        trace("none", never._timeout_handler)
    for delay in (0.001, 0, -1):
        with trace.raises(f"expires after {delay}"):
            async with aio.timeout(delay) as timeout:
                handle = timeout._timeout_handler
                trace("pending", isinstance(handle, asyncio.Handle), handle.cancelled())
                await asyncio.sleep(3600)
        trace("expired", timeout._timeout_handler, handle.cancelled(), timeout.expired())


@twin
async def test_a_clock_of_the_programs(trace: Trace, aio: Any) -> None:
    loop: Any = asyncio.get_running_loop()
    now = loop.time()
    loop.time = lambda: now
    async with aio.timeout(10) as timeout:
        trace("when", timeout.when() == now + 10)
        await settle()
        trace("not yet", timeout.expired())
    with trace.raises("due"):
        async with aio.timeout(10) as timeout:
            now += 11
            await asyncio.sleep(3600)
    del loop.time


@twin
async def test_exit_by_hand(trace: Trace, aio: Any) -> None:
    timeout = aio.timeout(3600)
    with trace.raises("before it was entered"):
        await timeout.__aexit__(None, None, None)
    await timeout.__aenter__()
    trace("exit", await timeout.__aexit__(None, None, None))
    for arguments in ((), (None, None)):
        with trace.raises("arguments"):
            await timeout.__aexit__(*arguments)


@twin
async def test_nothing_is_left_without_the_collector(trace: Trace, aio: Any) -> None:
    gc.collect()
    gc.disable()
    try:
        async with aio.timeout(3600) as timeout:
            alive = weakref.ref(timeout)
        del timeout
        trace("is gone", alive() is None)
        forgotten = aio.timeout(3600)
        alive = weakref.ref(forgotten)
        await forgotten.__aenter__()
        await forgotten.__aexit__(None, None, None)
        forgotten.itself = forgotten
        del forgotten
        gc.collect()
        trace("a cycle is gone", alive() is None)
    finally:
        gc.enable()


@twin
async def test_attributes_that_programs_set(trace: Trace, aio: Any) -> None:
    loop = asyncio.get_running_loop()
    async with aio.timeout(60) as timeout:
        timeout._when = None
        trace(repr(timeout), timeout.when(), timeout._timeout_handler.cancelled())
    timeout._state = type(timeout._state).CREATED
    timeout._when = loop.time() - 1
    with trace.raises("again"):
        async with timeout:
            await asyncio.sleep(60)
    trace(repr(timeout), timeout.expired())
    async with aio.timeout(60) as timeout:
        handle, timeout._timeout_handler = timeout._timeout_handler, None
    trace("its timer is left", handle.cancelled())
    handle.cancel()


@twin
async def test_the_task_that_is_cancelled_can_be_set(trace: Trace, aio: Any) -> None:
    other = asyncio.create_task(asyncio.sleep(60))
    async with aio.timeout(0.01) as timeout:
        timeout._task = other
        await asyncio.wait([other])
        trace(repr(timeout), other.cancelled())
        timeout._task, timeout._cancelling = asyncio.current_task(), 0
    trace(repr(timeout))
