"""What a coroutine method of the loop returns is a coroutine to whoever looks at it."""

from __future__ import annotations

import asyncio
import gc
import inspect
import io
import re
import subprocess
import sys
import types
import warnings
import weakref
from typing import Any

import pytest

from tests import loops

from .peers import socket_pair
from .trace import Trace
from .twin import Loop, twin


@twin
def test_it_is_a_coroutine(trace: Trace, loop: Loop) -> None:
    one, other = socket_pair()
    with one, other:
        receiving: Any = loop.sock_recv(one, 1)
        trace("inspect", inspect.iscoroutine(receiving), inspect.isawaitable(receiving))
        trace("asyncio", asyncio.iscoroutine(receiving))
        trace("types", isinstance(receiving, types.CoroutineType))
        trace("iterator", isinstance(receiving, types.GeneratorType))
        trace("name", receiving.__name__)
        trace("running", receiving.cr_running)
        trace("weakly", weakref.ref(receiving)() is receiving)
        receiving.close()


@twin
def test_states(trace: Trace, loop: Loop) -> None:
    one, other = socket_pair()
    with one, other:
        receiving: Any = loop.sock_recv(one, 1)

        async def look() -> None:
            trace("suspended", inspect.getcoroutinestate(receiving), receiving.cr_suspended)
            other.send(b"x")

        async def receive() -> None:
            looking = asyncio.create_task(look())
            trace("received", await asyncio.create_task(receiving))
            await looking

        trace("new", inspect.getcoroutinestate(receiving), receiving.cr_suspended)
        trace("frame", receiving.cr_frame.f_code.co_name, receiving.cr_frame.f_back)
        loop.run_until_complete(receive())
        trace("over", inspect.getcoroutinestate(receiving), receiving.cr_suspended)
        trace("frame", receiving.cr_frame, "await", receiving.cr_await)


@twin
async def test_stacks(trace: Trace, aio: Any) -> None:
    async def sleep() -> None:
        await aio.sleep(60)

    for coroutine in (aio.sleep(60), sleep()):
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        trace([frame.f_code.co_name for frame in task.get_stack()])
        text = io.StringIO()
        task.print_stack(file=text)
        trace(re.sub(r'".*", line \d+', "", text.getvalue().splitlines()[1]))
        task.cancel()
        await asyncio.wait([task])


def chain(coroutine: Any) -> list[str]:
    """The coroutines that await each other, from the outermost on."""
    names = []
    while getattr(coroutine, "cr_frame", None) is not None:
        names.append(coroutine.cr_frame.f_code.co_qualname.rpartition("<locals>.")[2])
        coroutine = coroutine.cr_await
    return names


@twin
async def test_what_is_awaited(trace: Trace, aio: Any) -> None:
    event = aio.Event()

    async def inner() -> None:
        await event.wait()

    async def outer() -> None:
        await inner()

    coroutines: list[Any] = [
        outer(),
        aio.wait_for(outer(), 60),
        aio.wait_for(outer(), None),
        aio.wait_for(asyncio.get_running_loop().create_future(), 60),
    ]
    for coroutine in coroutines:
        task = asyncio.create_task(coroutine)
        trace("new", coroutine.cr_await)
        await asyncio.sleep(0)
        trace(chain(coroutine))
        if sys.version_info >= (3, 14):
            graph = asyncio.capture_call_graph(task)
            assert graph is not None
            trace([entry.frame.f_code.co_name for entry in graph.call_stack])
        task.cancel()
        await asyncio.wait([task])
        trace("over", coroutine.cr_await)


@twin
def test_closing_throwing_sending(trace: Trace, loop: Loop) -> None:
    one, other = socket_pair()
    with one, other:
        other.send(b"hello")
        closed: Any = loop.sock_recv(one, 1)
        trace("close", closed.close(), closed.close())
        with trace.raises("send after close"):
            closed.send(None)
        with trace.raises("throw after close"):
            closed.throw(ValueError("late"))
        fresh: Any = loop.sock_recv(one, 1)
        with trace.raises("a value to begin with"):
            fresh.send(1)
        with trace.raises("throw to begin with"):
            fresh.throw(ValueError("early"))
        with trace.raises("send after throw"):
            fresh.send(None)
        fresh = loop.sock_recv(one, 1)
        with trace.raises("no exception"):
            fresh.throw(1)
        fresh.close()


@twin
def test_nobody_awaits_it(trace: Trace, loop: Loop) -> None:
    one, other = socket_pair()
    with one, other:
        loop.sock_recv(one, 1)  # type: ignore[unused-coroutine]
        gc.collect()


@twin
def test_nobody_awaits_it_and_warnings_are_errors(trace: Trace, loop: Loop) -> None:
    one, other = socket_pair()
    with one, other, warnings.catch_warnings():
        warnings.simplefilter("error")
        trace("made")
        loop.sock_recv(one, 1)  # type: ignore[unused-coroutine]
        gc.collect()


@twin
def test_debug_mode_says_where_it_was_made(trace: Trace, loop: Loop) -> None:
    one, other = socket_pair()
    loop.set_debug(True)

    async def forget() -> None:
        loop.sock_recv(one, 1)  # type: ignore[unused-coroutine]
        origin = loop.sock_recv(one, 1)
        frames: Any = origin.cr_origin  # type: ignore[attr-defined]
        trace("innermost", frames[0][2], "made_by" in [frame[2] for frame in frames])
        origin.close()

    async def made_by() -> None:
        await forget()

    with one, other:
        loop.run_until_complete(made_by())
        gc.collect()
        untracked: Any = loop.sock_recv(one, 1)
        trace("after the run", untracked.cr_origin)
        untracked.close()


@twin
async def test_one_that_is_dropped_while_it_waits_cleans_up(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one, other:
        dropped: Any = loop.sock_recv(one, 1)
        dropped.send(None)
        del dropped
        gc.collect()
        other.send(b"x")
        trace("another one gets it", await loop.sock_recv(one, 1))


def test_awaited_twice(new_loop: loops.Factory) -> None:
    async def main() -> None:
        one, other = socket_pair()
        with one, other:
            other.send(b"x")
            receiving = asyncio.get_running_loop().sock_recv(one, 1)
            assert await receiving == b"x"
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await receiving

    loop = new_loop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


# One task's coroutine is native, another's is Python's.
WAITING = """
import asyncio, socket, sys
import ferrio

async def main():
    one, other = socket.socketpair()
    one.setblocking(False)
    native = asyncio.create_task(asyncio.get_running_loop().sock_recv(one, 1), name="native task")
    python = asyncio.create_task(asyncio.sleep(60), name="python task")
    await asyncio.sleep(0)
    print("waiting", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    native.cancel()
    python.cancel()

ferrio.run(main())
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="python -m asyncio ps came with 3.14")
def test_asyncio_ps_sees_all_tasks() -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", WAITING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with program:
        assert program.stdout is not None
        assert program.stdin is not None
        assert program.stdout.readline() == "waiting\n"
        seen = subprocess.run(
            [sys.executable, "-m", "asyncio", "ps", str(program.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        program.stdin.close()
    if "permission" in seen.stderr.lower():
        pytest.skip("this process may not read another one's memory")
    assert seen.returncode == 0, seen.stderr
    assert "native task" in seen.stdout
    assert "python task" in seen.stdout
    assert program.returncode == 0


def test_warnings_can_be_errors(new_loop: loops.Factory) -> None:
    """The warning of one that nobody awaits comes from a finalizer, where nothing can be raised."""
    loop = new_loop()
    one, other = socket_pair()
    seen: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, seen.append
    try:
        with one, other, warnings.catch_warnings():
            warnings.simplefilter("error")
            loop.sock_recv(one, 1)  # type: ignore[unused-coroutine]
            gc.collect()
    finally:
        sys.unraisablehook = hook
        loop.close()
    assert [type(report.exc_value) for report in seen] == [RuntimeWarning]


# What waits is told of its end by whatever takes the objects apart.
LEFT_WAITING = """
import asyncio, socket, sys
import ferrio
from ferrio import aio

async def guarded(name, waiting):
    try:
        await waiting
    except GeneratorExit:
        print(name, "is closed")
        raise

async def main():
    loop = asyncio.get_running_loop()
    one, other = socket.socketpair()
    one.setblocking(False)
    lock, reader = aio.Lock(), aio.StreamReader()
    await lock.acquire()
    async def timed():
        async with aio.timeout(60):
            await aio.Event().wait()
    async def grouped():
        async with aio.TaskGroup() as group:
            group.create_task(aio.sleep(60))
    for name, waiting in {
        "sleep": aio.sleep(60),
        "event": aio.Event().wait(),
        "lock": lock.acquire(),
        "queue": aio.Queue().get(),
        "read": reader.read(1),
        "readline": aio.StreamReader().readline(),
        "timeout": timed(),
        "group": grouped(),
        "wait_for": aio.wait_for(loop.create_future(), 60),
        "wait": aio.wait([loop.create_future()]),
        "gather": aio.gather(aio.sleep(60)),
        "shield": aio.shield(aio.sleep(60)),
        "sock_recv": loop.sock_recv(one, 1),
    }.items():
        kept.append(loop.create_task(guarded(name, waiting)))
    kept.append((one, other))
    await asyncio.sleep(0)

kept = []
loop = ferrio.new_event_loop()
loop.run_until_complete(main())
if sys.argv[1] == "closed":
    loop.close()
print("the end")
"""


@pytest.mark.parametrize("loop_is", ["closed", "open"])
def test_what_waits_at_the_interpreters_end(loop_is: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEFT_WAITING, loop_is], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "panicked" not in done.stderr
    assert "ImportError" not in done.stderr
    # All but the one at the queue, whose cleanup fails as it does in asyncio: it calls the loop.
    assert done.stdout.count(" is closed") == 12, done.stdout + done.stderr


@pytest.mark.skipif(sys.version_info < (3, 14), reason="call graphs came with 3.14")
@twin
async def test_call_graphs(trace: Trace, aio: Any) -> None:
    """What stands in a call graph, and that somebody awaits it, is told by frames."""
    loop = asyncio.get_running_loop()
    lock, condition, barrier, queue = aio.Lock(), aio.Condition(), aio.Barrier(2), aio.Queue(1)
    await lock.acquire()
    queue.put_nowait(1)

    async def group() -> None:
        async with aio.TaskGroup() as group:
            group.create_task(aio.sleep(60))

    async def locked() -> None:
        async with lock:
            pass

    async def met() -> None:
        async with barrier:
            pass

    async def notified() -> None:
        async with condition:
            await condition.wait_for(lambda: False)

    async def first() -> None:
        for future in aio.as_completed([loop.create_future()]):
            await future

    async def first_of_many() -> None:
        async for future in aio.as_completed([loop.create_future()]):
            await future

    coroutines: dict[str, Any] = {
        "sleep": aio.sleep(60),
        "wait": aio.wait([loop.create_future()]),
        "wait with timeout": aio.wait([loop.create_future()], timeout=60),
        "wait_for": aio.wait_for(aio.sleep(60), 60),
        "wait_for without": aio.wait_for(aio.sleep(60), None),
        "group": group(),
        "acquire": lock.acquire(),
        "locked": locked(),
        "met": met(),
        "barrier": barrier.wait(),
        "notified": notified(),
        "event": aio.Event().wait(),
        "semaphore": aio.Semaphore(0).acquire(),
        "get": aio.Queue().get(),
        "put": queue.put(2),
        "join": queue.join(),
        "read": aio.StreamReader().read(),
        "readexactly": aio.StreamReader().readexactly(1),
        "readline": aio.StreamReader().readline(),
        "readuntil": aio.StreamReader().readuntil(),
        "iteration": aio.StreamReader().__anext__(),
        "as_completed": first(),
        "async as_completed": first_of_many(),
    }
    for name, coroutine in coroutines.items():
        task = asyncio.create_task(coroutine, name=name)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        graph = asyncio.capture_call_graph(task)  # type: ignore[attr-defined]
        assert graph is not None
        shown = []
        for entry in graph.call_stack:
            generator: Any = entry.frame.f_generator
            code = getattr(generator, "cr_code", entry.frame.f_code)
            shown.append((type(generator).__name__, code.co_qualname.rpartition("<locals>.")[2]))
        trace(name, shown)
        text = asyncio.format_call_graph(task)  # type: ignore[attr-defined]
        trace([line.partition(", in ")[2] for line in text.splitlines() if ", in " in line])
        if name == "met":
            await barrier.abort()
            await barrier.reset()
        task.cancel()
        await asyncio.wait([task])
