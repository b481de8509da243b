"""asyncio's private names that programs read, and the clock that they replace."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import sys
import threading
import time
from typing import Any
from unittest import mock

import pytest

from .trace import Trace
from .twin import Loop, twin


def callbacks(handles: Any) -> list[Any]:
    """What a handle calls and when, the first one first."""
    return [
        (handle.when(), getattr(handle._callback, "__qualname__", None), handle._args)
        for handle in sorted(handles, key=lambda handle: handle.when())
    ]


@twin
def test_scheduled(trace: Trace, loop: Any) -> None:
    trace(loop._scheduled)
    start = loop.time()
    handles = [loop.call_at(start + 100 * n, print, n) for n in (3, 1, 2)]
    trace([(round(when - start), name, args) for when, name, args in callbacks(loop._scheduled)])
    trace([handle in loop._scheduled for handle in handles])
    handles[0].cancel()
    trace([args for _, _, args in callbacks(h for h in loop._scheduled if not h.cancelled())])
    trace(handles[0]._callback, handles[0]._args, handles[0].cancelled())
    for handle in [handle for handle in loop._scheduled if not handle.cancelled()]:
        trace(isinstance(handle, asyncio.TimerHandle), handle._loop is loop)
        handle.cancel()
    trace([handle for handle in loop._scheduled if not handle.cancelled()])


@twin
async def test_timers_are_fired_by_hand(trace: Trace, aio: Any) -> None:
    """As tests of Home Assistant do it, to see in a moment what would take hours."""
    loop: Any = asyncio.get_running_loop()

    async def sleep() -> None:
        trace(await aio.sleep(3600, "slept"))

    async def wait() -> None:
        trace(await aio.wait([loop.create_future()], timeout=3600) is not None)

    async def timeout(error: type[BaseException]) -> None:
        try:
            async with aio.timeout(3600):
                await loop.create_future()
        except error as raised:
            trace(type(raised))

    async def wait_for() -> None:
        try:
            await aio.wait_for(loop.create_future(), 3600)
        except TimeoutError as raised:
            trace(type(raised))

    loop.call_later(3600, trace, "called")
    for coroutine in (sleep(), wait(), timeout(TimeoutError), wait_for()):
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        before = len(loop._scheduled)
        for handle in list(loop._scheduled):
            if handle.cancelled():
                continue
            if handle.when() > loop.time() + 4000 or handle.when() < loop.time() + 3000:
                # That of the test itself.
                continue
            handle._run()
            handle.cancel()
        trace(before > 0)
        await task


@twin
async def test_timers_are_cancelled_by_hand(trace: Trace, aio: Any) -> None:
    loop: Any = asyncio.get_running_loop()
    task = asyncio.create_task(aio.sleep(0.01))
    await asyncio.sleep(0)
    for handle in list(loop._scheduled):
        if handle.when() < loop.time() + 5:
            handle.cancel()
    done, pending = await asyncio.wait([task], timeout=0.05)
    trace(len(done), len(pending))
    task.cancel()
    await asyncio.wait([task])


@twin
async def test_a_timer_that_was_looked_at_goes_on(trace: Trace, aio: Any) -> None:
    loop: Any = asyncio.get_running_loop()
    task = asyncio.create_task(aio.sleep(0.001, "slept"))
    await asyncio.sleep(0)
    trace(len(loop._scheduled) > 0)
    trace(await task)
    try:
        async with aio.timeout(0.001):
            trace(len(loop._scheduled) > 0)
            await loop.create_future()
    except TimeoutError:
        trace("too late")
    async with aio.timeout(0.001) as scope:
        trace(len(loop._scheduled) > 0)
        scope.reschedule(None)
        await asyncio.sleep(0.005)
    async with aio.timeout(60):
        trace(len(loop._scheduled) > 0)
    trace([handle.cancelled() for handle in loop._scheduled if handle.when() < loop.time() + 40])


@twin
def test_ready(trace: Trace, loop: Any) -> None:
    trace(len(loop._ready), bool(loop._ready))
    handle = loop.call_soon(trace, "called", 1)
    loop.create_task(asyncio.sleep(0))
    loop.create_task(asyncio.sleep(0))
    trace(len(loop._ready), loop._ready[0] is handle, loop._ready[0]._args)
    trace([type(handle).__name__ for handle in loop._ready])

    async def exhaust() -> None:
        turns = 0
        while loop._ready:
            await asyncio.sleep(0)
            turns += 1
        trace("turns", turns)

    loop.run_until_complete(exhaust())


@twin
def test_handles_that_are_cancelled(trace: Trace, loop: Any) -> None:
    for debug in (False, True):
        loop.set_debug(debug)
        for handle in (
            loop.call_soon(print, 1),
            loop.call_soon_threadsafe(print, 2),
            loop.call_later(60, print, 3),
            loop.call_at(loop.time() + 60, functools.partial(print, 4)),
        ):
            trace(handle._callback is not None, handle._args, handle._cancelled)
            handle.cancel()
            trace(handle._callback, handle._args, handle._cancelled)


@pytest.mark.parametrize("when", ["before", "later"])
@twin
def test_the_clock_is_replaced(trace: Trace, loop: Loop, when: str) -> None:
    """Timers follow `time.monotonic`, whatever that is at the time."""
    shift = 0.0
    real = time.monotonic

    def shifted() -> float:
        return real() + shift

    async def main() -> None:
        nonlocal shift
        started = real()
        if when == "later":
            loop.call_later(1000, trace, "a timer from before")
        with mock.patch("time.monotonic", shifted):
            trace(abs(loop.time() - shifted()) < 10)
            loop.call_later(2000, trace, "two thousand")
            sleeping = asyncio.create_task(asyncio.sleep(3000, "slept"))
            await asyncio.sleep(0)
            shift = 5000.0
            trace(abs(loop.time() - shifted()) < 10)
            trace(await sleeping)
        trace(abs(loop.time() - real()) < 10, real() - started < 500)

    loop.run_until_complete(main())
    trace(sys.modules["time"].monotonic is real)


def state_of(transport: Any, names: list[str]) -> list[tuple[str, Any]]:
    return [(name, getattr(transport, name)) for name in names]


@pytest.mark.parametrize("how", ["close", "abort", "write_eof", "reset"])
@twin
async def test_a_connection_is_asked_for_its_state(trace: Trace, how: str) -> None:
    """Programs look at `_conn_lost` before they write."""
    names = ["_conn_lost", "_closing", "_eof", "_paused", "_high_water", "_low_water"]
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=ours)
    transport: Any = writer.transport
    trace(state_of(transport, names))
    transport.set_write_buffer_limits(high=100, low=10)
    transport.pause_reading()
    trace(state_of(transport, names))
    if how == "reset":
        theirs.close()
        transport.write(b"x")
    else:
        getattr(transport, how)()
    trace(state_of(transport, names))
    if how != "write_eof":
        transport.write(b"late")
        trace(transport._conn_lost)
    transport.close()
    theirs.close()
    await asyncio.sleep(0.01)


@twin
async def test_a_pipe_is_asked_for_its_state(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    reader: Any
    writer: Any
    reader, _ = await loop.connect_read_pipe(asyncio.Protocol, os.fdopen(reading, "rb", 0))
    writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writing, "wb", 0))
    trace(reader._fileno == reading, writer._fileno == writing)
    trace(state_of(reader, ["_closing", "_paused"]), state_of(writer, ["_closing", "_conn_lost"]))
    reader.pause_reading()
    trace(state_of(reader, ["_closing", "_paused"]))
    writer.close()
    trace(state_of(writer, ["_closing", "_conn_lost"]))
    writer.write(b"late")
    trace(state_of(writer, ["_closing", "_conn_lost"]))
    reader.close()
    trace(state_of(reader, ["_closing"]), reader._fileno == reading)
    await asyncio.sleep(0)


@twin
async def test_a_datagram_transport_is_asked_for_its_state(trace: Trace) -> None:
    transport: Any
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    trace(state_of(transport, ["_closing", "_conn_lost"]))
    transport.close()
    trace(state_of(transport, ["_closing", "_conn_lost"]))
    await asyncio.sleep(0)


@twin
async def test_another_thread_wakes_the_loop(trace: Trace, aio: Any) -> None:
    """It has put something into a queue, and says no more than that the loop should look."""
    loop: Any = asyncio.get_running_loop()
    queue = aio.Queue()

    def put() -> None:
        queue.put_nowait("put")
        loop._write_to_self()

    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    thread = threading.Timer(0.01, put)
    thread.start()
    trace(await getting)
    thread.join()
    trace(loop._clock_resolution)
    loop._clock_resolution = 0.5
    trace(loop._clock_resolution)


@twin
def test_a_closed_loop_is_woken(trace: Trace, loop: Any) -> None:
    loop.close()
    trace(loop._write_to_self())
