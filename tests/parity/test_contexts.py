"""What an exception drags along: `__context__`, `__cause__`, and the frames of its traceback."""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
import ssl
import sys
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any

import pytest

from .peers import LOCALHOST, free_port, socket_pair
from .trace import Trace
from .twin import Loop, twin


class Outer(Exception):
    """What is being handled when the operation is called."""


def frames(traceback: TracebackType | None) -> list[str]:
    """The functions of this file that a traceback goes through: others are the loop's own."""
    names: list[str] = []
    if sys.version_info < (3, 12):
        # What is thrown into a coroutine loses frames or doubles them there, in asyncio as well.
        return names
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename == __file__:
            names.append(code.co_name)
        traceback = traceback.tb_next
    return names


def chain(error: BaseException | None) -> list[Any]:
    links: list[Any] = []
    while error is not None and len(links) < 10:
        links.append((error, type(error.__cause__), error.__suppress_context__))
        error = error.__context__
    return links


async def performed(operation: Callable[[], Any]) -> Any:
    result = operation()
    return await result if inspect.isawaitable(result) else result


async def plain(operation: Callable[[], Any]) -> None:
    await performed(operation)


async def handling(operation: Callable[[], Any]) -> None:
    try:
        raise Outer
    except Outer:
        await performed(operation)


async def in_finally(operation: Callable[[], Any]) -> None:
    try:
        raise Outer
    finally:
        await performed(operation)


async def observe(trace: Trace, name: str, operation: Callable[[], Any]) -> None:
    """With nothing handled, in a handler, in one of what awaits, and in a task."""

    async def nested(operation: Callable[[], Any]) -> None:
        await handling(lambda: plain(operation))

    async def in_task(operation: Callable[[], Any]) -> None:
        await handling(lambda: asyncio.create_task(plain(operation)))

    for way in (plain, handling, in_finally, nested, in_task):
        try:
            await way(operation)
        except BaseException as error:
            trace(name, way.__name__, chain(error), frames(error.__traceback__))
        else:
            trace(name, way.__name__, "has not failed")


def reader_with(aio: Any, data: bytes, *, limit: int = 8, eof: bool = True) -> Any:
    reader = aio.StreamReader(limit=limit)
    reader.feed_data(data)
    if eof:
        reader.feed_eof()
    return reader


@twin
async def test_readers(trace: Trace, aio: Any) -> None:
    long = b"x" * 40
    for name, operation in {
        "readexactly": lambda: reader_with(aio, b"ab").readexactly(3),
        "negative": lambda: reader_with(aio, b"ab").readexactly(-1),
        "readuntil at the end": lambda: reader_with(aio, b"ab").readuntil(b"\n"),
        "readuntil without": lambda: reader_with(aio, long, eof=False).readuntil(b"\n"),
        "readuntil with": lambda: reader_with(aio, long + b"\n").readuntil(b"\n"),
        "no separator": lambda: reader_with(aio, long).readuntil(b""),
        "readline without": lambda: reader_with(aio, long, eof=False).readline(),
        "readline with": lambda: reader_with(aio, long + b"\n").readline(),
        "anext": lambda: reader_with(aio, long + b"\n").__anext__(),
        "the end": lambda: reader_with(aio, b"ab").__anext__().send(None),
        "after eof": lambda: reader_with(aio, b"ab").feed_data(b"c"),
        "limit": lambda: aio.StreamReader(limit=0),
    }.items():
        await observe(trace, name, operation)


@twin
async def test_an_exception_that_is_kept(trace: Trace, aio: Any) -> None:
    """The same object each time: its context is the last one, and its traceback grows."""
    reader = aio.StreamReader()
    reader.set_exception(OSError(5, "kept"))
    for name in ("read", "readline", "readuntil", "__anext__"):
        await observe(trace, name, getattr(reader, name))
    await observe(trace, "readexactly", lambda: reader.readexactly(1))
    error = reader.exception()
    trace("in the end", chain(error), frames(error.__traceback__))

    causes = OSError(6, "with a cause")
    causes.__cause__ = KeyError("the cause")
    reader.set_exception(causes)
    await observe(trace, "with a cause", reader.read)

    waiting = aio.StreamReader()

    async def read() -> None:
        await waiting.read()

    task = asyncio.create_task(handling(read))
    await asyncio.sleep(0)
    waiting.set_exception(OSError(7, "told"))
    await asyncio.wait([task])
    trace("told", chain(task.exception()))


@twin
async def test_writers(trace: Trace, aio: Any) -> None:
    async def serve(reader: Any, writer: Any) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, LOCALHOST, 0)
    reader, writer = await aio.open_connection(*server.sockets[0].getsockname())
    await observe(trace, "no bytes", lambda: writer.write(1))
    await observe(trace, "no lines", lambda: writer.writelines(1))
    await observe(trace, "limits", lambda: writer.transport.set_write_buffer_limits(1, 2))
    await observe(trace, "resume", lambda: writer.transport.get_extra_info())
    writer.write_eof()
    await observe(trace, "after eof", lambda: writer.write(b"x"))
    await observe(trace, "lines after eof", lambda: writer.writelines([b"x"]))
    await reader.read()
    writer.close()
    await writer.wait_closed()
    await observe(trace, "lost", writer.drain)
    reader.set_exception(OSError(5, "kept"))
    await observe(trace, "drain", writer.drain)
    server.close()
    await server.wait_closed()


@twin
def test_what_the_loop_refuses_when_it_is_closed(trace: Trace, aio: Any, factory: Any) -> None:
    # It is left open: there is no loop to close it on.
    warnings.simplefilter("ignore", ResourceWarning)
    loop = factory()
    ends: list[Any] = []

    async def main() -> None:
        one, other = socket_pair()
        ends.extend([other, *await aio.open_connection(sock=one)])

    loop.run_until_complete(main())
    other, _, writer = ends
    loop.close()
    other.close()

    def closed(operation: Callable[[], Any]) -> None:
        try:
            raise Outer
        except Outer:
            try:
                operation()
            except Exception as error:
                trace(chain(error))
            else:
                trace("has not failed")

    closed(lambda: loop.call_soon(print))
    closed(lambda: loop.call_later(1, print))
    closed(lambda: loop.call_soon_threadsafe(print))
    closed(lambda: loop.run_until_complete(loop.create_future()))
    closed(loop.run_forever)
    closed(lambda: loop.run_in_executor(None, print))
    closed(writer.close)


@twin
async def test_locks_and_queues(trace: Trace, aio: Any) -> None:
    broken = aio.Barrier(2)
    await broken.abort()

    async def reset() -> None:
        barrier = aio.Barrier(2)
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(barrier.reset()))
        await barrier.wait()

    async def entered() -> None:
        async with broken:
            pass

    full = aio.Queue(1)
    full.put_nowait(1)
    down = aio.Queue()
    if hasattr(down, "shutdown"):
        down.shutdown()
        await observe(trace, "get of a queue that is shut down", down.get)
        await observe(trace, "put into one", lambda: down.put(1))
        await observe(trace, "get_nowait of one", down.get_nowait)
    for name, operation in {
        "barrier": broken.wait,
        "reset": reset,
        "with": entered,
        "get_nowait": aio.Queue().get_nowait,
        "put_nowait": lambda: full.put_nowait(1),
        "task_done": aio.LifoQueue().task_done,
        "priority": aio.PriorityQueue().get_nowait,
        "release": aio.Lock().release,
        "semaphore": lambda: aio.Semaphore(-1),
        "bounded": aio.BoundedSemaphore(1).release,
        "condition": aio.Condition().wait,
        "notify": aio.Condition().notify,
        "wait_for": lambda: aio.Condition().wait_for(lambda: False),
        "parties": lambda: aio.Barrier(0),
    }.items():
        await observe(trace, name, operation)


async def fail() -> None:
    raise KeyError("failed")


async def cancelled() -> None:
    raise asyncio.CancelledError("by itself")


@twin
async def test_tasks(trace: Trace, aio: Any) -> None:
    loop = asyncio.get_running_loop()
    never = loop.create_future()

    async def timeout(delay: float | None) -> None:
        async with aio.timeout(delay):
            await loop.create_future()

    async def other_error() -> None:
        async with aio.timeout(0):
            try:
                await loop.create_future()
            finally:
                raise KeyError("instead")

    async def twice() -> None:
        once = aio.timeout(None)
        async with once, once:
            pass

    async def group() -> None:
        async with aio.TaskGroup() as tg:
            tg.create_task(fail())

    async def body() -> None:
        async with aio.TaskGroup() as tg:
            tg.create_task(fail())
            raise IndexError("body")

    async def late_task() -> None:
        async with aio.TaskGroup() as tg:
            pass
        coroutine = fail()
        try:
            tg.create_task(coroutine)
        finally:
            coroutine.close()

    async def first_of() -> None:
        for first in aio.as_completed([loop.create_future()], timeout=0.001):
            await first

    done = loop.create_future()
    done.set_result(1)
    operations: dict[str, Callable[[], Any]] = {
        "wait_for": lambda: aio.wait_for(loop.create_future(), 0.001),
        "wait_for in time": lambda: aio.wait_for(fail(), 60),
        "wait_for without": lambda: aio.wait_for(fail(), None),
        "wait_for too late": lambda: aio.wait_for(loop.create_future(), 0),
        "wait_for cancelled": lambda: aio.wait_for(cancelled(), 60),
        "timeout": lambda: timeout(0),
        "timeout and error": other_error,
        "timeout twice": twice,
        "group": group,
        "body": body,
        "late task": late_task,
        "as_completed": first_of,
        "gather": lambda: aio.gather(fail()),
        "gather of nothing": lambda: aio.gather(1),
        "shield": lambda: aio.shield(asyncio.ensure_future(fail())),
        "shield of nothing": lambda: aio.shield(1),
        "wait": lambda: aio.wait([]),
        "wait of one": lambda: aio.wait(never),
        "wait when": lambda: aio.wait([never], return_when="x"),
        "sleep": lambda: aio.sleep("x"),
        "result": lambda: done.set_result(),  # type: ignore[call-arg]
        "again": lambda: done.set_result(2),
        "exception again": lambda: done.set_exception(KeyError()),
        "not done": never.result,
        "a task": lambda: asyncio.ensure_future(1),  # type: ignore[call-overload]
        "call_soon": lambda: loop.call_soon(1),  # type: ignore[arg-type]
        "call_later": lambda: loop.call_later("x", print),  # type: ignore[arg-type]
        "close": loop.close,
    }
    for name, operation in operations.items():
        await observe(trace, name, operation)
    never.cancel()


@twin
async def test_cancelling(trace: Trace, aio: Any) -> None:
    """CancelledError is thrown into what waits while something is handled there."""
    loop = asyncio.get_running_loop()
    lock, condition, full = aio.Lock(), aio.Condition(), aio.Queue(1)
    await lock.acquire()
    full.put_nowait(1)

    async def notified() -> None:
        async with condition:
            await condition.wait()

    async def locked() -> None:
        async with lock:
            pass

    async def group() -> None:
        async with aio.TaskGroup() as tg:
            tg.create_task(aio.sleep(60))

    for name, operation in {
        "sleep": lambda: aio.sleep(60),
        "acquire": lock.acquire,
        "with": locked,
        "notified": notified,
        "event": aio.Event().wait,
        "semaphore": aio.Semaphore(0).acquire,
        "barrier": aio.Barrier(2).wait,
        "get": aio.Queue().get,
        "put": lambda: full.put(1),
        "join": full.join,
        "read": aio.StreamReader().read,
        "readline": aio.StreamReader().readline,
        "wait_for": lambda: aio.wait_for(loop.create_future(), 60),
        "wait_for without": lambda: aio.wait_for(aio.sleep(60), None),
        "wait": lambda: aio.wait([loop.create_future()]),
        "gather": lambda: aio.gather(aio.sleep(60)),
        "shield": lambda: aio.shield(loop.create_future()),
        "group": group,
    }.items():
        for way in (plain, handling):
            task = asyncio.create_task(way(operation))
            for _ in range(3):
                await asyncio.sleep(0)
            task.cancel("enough")
            try:
                await task
            except asyncio.CancelledError as error:
                trace(name, way.__name__, chain(error), frames(error.__traceback__))


@twin
async def test_a_condition_that_is_cancelled_twice(trace: Trace, aio: Any) -> None:
    condition = aio.Condition()

    async def wait() -> None:
        async with condition:
            await condition.wait()

    for way in (plain, handling):
        task = asyncio.create_task(way(wait))
        await asyncio.sleep(0)
        await condition.acquire()
        task.cancel("first")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel("second")
        await asyncio.sleep(0)
        condition.release()
        try:
            await task
        except asyncio.CancelledError as error:
            trace(chain(error))


@twin
async def test_names_and_connections(trace: Trace, aio: Any, tmp_path: Any) -> None:
    loop: Any = asyncio.get_running_loop()
    nobody = (LOCALHOST, free_port())
    trace.hide(nobody[1], "FREE-PORT")
    trace.hide(tmp_path, "TMP")
    taken = socket.socket()
    taken.bind((LOCALHOST, 0))
    taken.listen()
    trace.hide(taken.getsockname()[1], "TAKEN-PORT")
    one, other = socket_pair()
    blocking = socket.socket()
    for name, operation in {
        "getaddrinfo": lambda: loop.getaddrinfo("127.0.0.1", "no such service"),
        "getaddrinfo flags": lambda: loop.getaddrinfo("::1", 80, family=socket.AF_INET),
        "getnameinfo": lambda: loop.getnameinfo((LOCALHOST, 1), flags=1 << 20),
        "create_connection": lambda: loop.create_connection(asyncio.Protocol, *nobody),
        "open_connection": lambda: aio.open_connection(*nobody),
        "no address": lambda: loop.create_connection(asyncio.Protocol),
        "no such service": lambda: loop.create_connection(asyncio.Protocol, LOCALHOST, "none such"),
        "sock_connect": lambda: loop.sock_connect(blocking, nobody),
        "sock_recv": lambda: loop.sock_recv(blocking, 1),
        "sock_sendall": lambda: loop.sock_sendall(one, 1),
        "create_server": lambda: loop.create_server(asyncio.Protocol, *taken.getsockname()),
        "unix": lambda: loop.create_unix_connection(asyncio.Protocol, str(tmp_path / "none")),
        "unix server": lambda: loop.create_unix_server(
            asyncio.Protocol, str(tmp_path / "no" / "x")
        ),
        "datagram": lambda: loop.create_datagram_endpoint(asyncio.DatagramProtocol),
        "start_tls": lambda: loop.start_tls(1, 2, 3),
        "subprocess": lambda: loop.subprocess_exec(
            asyncio.SubprocessProtocol, str(tmp_path / "none")
        ),
        "add_reader": lambda: loop.add_reader(-1, print),
        "add_reader of nothing": lambda: loop.add_reader("x", print),
        "remove_reader": lambda: loop.remove_reader("x"),
        "signal": lambda: loop.add_signal_handler(9999, print),
        "factory": lambda: loop.set_task_factory(1),
        "handler": lambda: loop.set_exception_handler(1),
        "tls": lambda: loop.create_connection(
            asyncio.Protocol, *taken.getsockname(), ssl=1, server_hostname="x"
        ),
        "handshake": lambda: loop.create_connection(
            asyncio.Protocol, *nobody, ssl_handshake_timeout=1
        ),
        "context": lambda: ssl.create_default_context(cafile=os.devnull + "/none"),
    }.items():
        await observe(trace, name, operation)
    for sock in (taken, one, other, blocking):
        sock.close()


@pytest.mark.parametrize("deep", [1200, 3000])
@twin
def test_recursion(trace: Trace, aio: Any, loop: Loop, deep: int) -> None:
    async def nested(depth: int) -> None:
        if depth:
            await aio.wait_for(nested(depth - 1), None)

    async def main() -> None:
        # How many coroutines there were by then is each one's own affair.
        warnings.simplefilter("ignore")
        try:
            await handling(lambda: nested(deep))
        except RecursionError as error:
            trace(type(error), [type(link[0]) for link in chain(error)][-1])

    loop.run_until_complete(main())
