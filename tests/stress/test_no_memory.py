"""What happens where there is no memory: MemoryError, as with asyncio, and nothing worse.

Each allocation of a step fails in turn, alone and with all that follow, from the first use of what
is in it on: each step has a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("_testcapi")

PREAMBLE = """
import asyncio
import gc
import socket
import sys

import _testcapi
import ferrio
import ferrio._tls
from ferrio import aio

loop = ferrio.new_event_loop()
loop.set_exception_handler(lambda loop, context: None)
sys.unraisablehook = lambda unraisable: None
asyncio._set_running_loop(loop)


def turn():
    asyncio._set_running_loop(None)
    try:
        loop.call_soon(stop)
        loop.run_forever()
    finally:
        asyncio._set_running_loop(loop)


stop = loop.stop


def first_step(coroutine):
    try:
        return coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    finally:
        coroutine.close()


def starve(prepare, step, has_turns):
    unharmed = 0
    start = 0
    while unharmed < 6:
        # A loop without any memory runs for ever: nothing can tell it to stop.
        for ends in (start + 1, start + 4 if has_turns else 0):
            thing = prepare()
            backup = loop.call_later(0.5, stop) if has_turns else None
            was_hit = True
            try:
                _testcapi.set_nomemory(start, ends)
                try:
                    step(thing)
                finally:
                    _testcapi.remove_mem_hooks()
                was_hit = False
            except MemoryError:
                pass
            except Exception as error:
                # What somebody made of it, CPython itself in most cases.
                last = error
            unharmed = 0 if was_hit else unharmed + 1
            if backup is not None:
                backup.cancel()
            del thing
        start += 1
        if start == 400:
            break
    gc.collect()
"""

# What is made ready, and what is done without memory: `thing` is what was made ready.
STEPS = {
    # Made.
    "Lock": ("None", "aio.Lock()"),
    "Event": ("None", "aio.Event()"),
    "Condition": ("None", "aio.Condition()"),
    "Condition of a lock": ("aio.Lock()", "aio.Condition(thing)"),
    "Semaphore": ("None", "aio.Semaphore(2)"),
    "BoundedSemaphore": ("None", "aio.BoundedSemaphore(2)"),
    "Barrier": ("None", "aio.Barrier(2)"),
    "Queue": ("None", "aio.Queue(3)"),
    "PriorityQueue": ("None", "aio.PriorityQueue()"),
    "LifoQueue": ("None", "aio.LifoQueue()"),
    "TaskGroup": ("None", "aio.TaskGroup()"),
    "Timeout": ("None", "aio.Timeout(None)"),
    "timeout": ("None", "aio.timeout(3)"),
    "timeout_at": ("None", "aio.timeout_at(3.5)"),
    "StreamReader": ("None", "aio.StreamReader()"),
    "StreamReaderProtocol": ("aio.StreamReader()", "aio.StreamReaderProtocol(thing)"),
    "create_future": ("None", "loop.create_future()"),
    "Future": ("None", "ferrio.Future(loop=loop)"),
    "Loop": ("None", "ferrio.new_event_loop().close()"),
    # Scheduled.
    "call_soon": ("None", "loop.call_soon(print, 1)"),
    "call_soon with a context": (
        "__import__('contextvars').copy_context()",
        "loop.call_soon(id, 1, context=thing)",
    ),
    "call_soon_threadsafe": ("None", "loop.call_soon_threadsafe(id, 1)"),
    "call_later": ("None", "loop.call_later(1000, id, 1).cancel()"),
    "call_later of odd numbers": (
        "__import__('fractions').Fraction(1000)",
        "loop.call_later(thing, id, 1)",
    ),
    "call_at": ("None", "loop.call_at(1000.5, id, 1).cancel()"),
    "repr of a handle": ("loop.call_soon(id, 1)", "repr(thing)"),
    "repr of a timer": ("loop.call_later(1000, id, 1)", "repr(thing)"),
    "a turn": ("loop.call_soon(id, 1)", "turn()"),
    "a turn with a task": ("loop.create_task(asyncio.sleep(0))", "turn()"),
    "a turn with a failing task": ("loop.create_task(fails())", "turn()"),
    "a turn with a timer": ("loop.call_later(0, id, 1)", "turn()"),
    "create_task": ("asyncio.sleep(0)", "loop.create_task(thing).cancel()"),
    "_scheduled": ("loop.call_later(1000, id)", "loop._scheduled"),
    "_ready": ("loop.create_task(asyncio.sleep(0))", "loop._ready"),
    "add_reader": (
        "socket.socketpair()",
        "loop.add_reader(thing[0], id, 1), loop.remove_reader(thing[0])",
    ),
    "call_exception_handler": ("None", "loop.call_exception_handler({'message': 'x'})"),
    "repr of a loop": ("None", "repr(loop)"),
    # Futures.
    "set_result": ("callback(loop.create_future())", "thing.set_result(1)"),
    "set_exception": (
        "loop.create_future()",
        "thing.set_exception(ValueError(1)), thing.exception()",
    ),
    "cancel of a future": ("loop.create_future()", "thing.cancel('why')"),
    "await of a future": ("loop.create_future()", "next(iter(thing))"),
    "await of a done future": ("done(loop.create_future())", "list(iter(thing))"),
    "repr of a future": ("loop.create_future()", "repr(thing)"),
    # Over tasks.
    "sleep": ("None", "first_step(aio.sleep(10))"),
    "sleep of nothing": ("None", "first_step(aio.sleep(0))"),
    "gather": ("[loop.create_future(), loop.create_future()]", "aio.gather(*thing)"),
    "gather of coroutines": ("[asyncio.sleep(0)]", "aio.gather(*thing).cancel()"),
    "gather of nothing": ("None", "aio.gather()"),
    "shield": ("loop.create_future()", "aio.shield(thing)"),
    "wait": ("[loop.create_future()]", "first_step(aio.wait(thing, timeout=10))"),
    "wait_for": ("loop.create_future()", "first_step(aio.wait_for(thing, 10))"),
    "wait_for without time": ("loop.create_future()", "first_step(aio.wait_for(thing, 0))"),
    "wait_for of a coroutine": ("aio.sleep(10)", "first_step(aio.wait_for(thing, 10))"),
    "as_completed": (
        "[loop.create_future()]",
        "[each.close() for each in aio.as_completed(thing, timeout=10)]",
    ),
    "the end of gather": ("gathered()", "thing.set_result(1), turn()"),
    "a failing end of gather": ("gathered()", "thing.set_exception(ValueError(1)), turn()"),
    # Locks.
    "Lock.acquire": ("aio.Lock()", "first_step(thing.acquire())"),
    "Lock.acquire of a locked one": ("locked(aio.Lock())", "first_step(thing.acquire())"),
    "Lock.__aenter__": ("aio.Lock()", "first_step(thing.__aenter__())"),
    "Lock.release": ("locked(aio.Lock())", "thing.release()"),
    "Lock.release of an open one": ("aio.Lock()", "thing.release()"),
    "repr of a lock": ("aio.Lock()", "repr(thing)"),
    "Event.wait": ("aio.Event()", "first_step(thing.wait())"),
    "Event.set": ("aio.Event()", "thing.set(), thing.clear(), repr(thing)"),
    "Condition.acquire": ("aio.Condition()", "first_step(thing.acquire())"),
    "Condition.wait": ("locked(aio.Condition())", "first_step(thing.wait())"),
    "Condition.wait_for": ("locked(aio.Condition())", "first_step(thing.wait_for(int))"),
    "Condition.notify": ("locked(aio.Condition())", "thing.notify(), thing.notify_all()"),
    "Condition.notify of an open one": ("aio.Condition()", "thing.notify()"),
    "repr of a condition": ("aio.Condition()", "repr(thing)"),
    "Semaphore.acquire": ("aio.Semaphore(1)", "first_step(thing.acquire())"),
    "Semaphore.acquire of a locked one": ("aio.Semaphore(0)", "first_step(thing.acquire())"),
    "Semaphore.release": ("aio.Semaphore(1)", "thing.release(), repr(thing), thing.locked()"),
    "BoundedSemaphore.release": ("aio.BoundedSemaphore(1)", "thing.release()"),
    "Barrier.wait": ("aio.Barrier(2)", "first_step(thing.wait())"),
    "Barrier.wait of the last": ("aio.Barrier(1)", "first_step(thing.wait())"),
    "Barrier.__aenter__": ("aio.Barrier(1)", "first_step(thing.__aenter__())"),
    "Barrier.abort": ("aio.Barrier(2)", "first_step(thing.abort()), repr(thing)"),
    "Barrier.reset": ("aio.Barrier(2)", "first_step(thing.reset()), repr(thing)"),
    # Queues.
    "Queue.put": ("aio.Queue()", "first_step(thing.put(1))"),
    "Queue.put of a full one": ("filled(aio.Queue(1))", "first_step(thing.put(1))"),
    "Queue.put_nowait": ("aio.Queue()", "thing.put_nowait(1)"),
    "Queue.put_nowait of a full one": ("filled(aio.Queue(1))", "thing.put_nowait(1)"),
    "PriorityQueue.put_nowait": ("aio.PriorityQueue()", "thing.put_nowait(1)"),
    "LifoQueue.put_nowait": ("aio.LifoQueue()", "thing.put_nowait(1)"),
    "Queue.get": ("aio.Queue()", "first_step(thing.get())"),
    "Queue.get of a filled one": ("filled(aio.Queue())", "first_step(thing.get())"),
    "Queue.get_nowait": ("filled(aio.Queue())", "thing.get_nowait()"),
    "Queue.get_nowait of an empty one": ("aio.Queue()", "thing.get_nowait()"),
    "PriorityQueue.get_nowait": ("filled(aio.PriorityQueue())", "thing.get_nowait()"),
    "LifoQueue.get_nowait": ("filled(aio.LifoQueue())", "thing.get_nowait()"),
    "Queue.join": ("filled(aio.Queue())", "first_step(thing.join())"),
    "Queue.task_done": ("filled(aio.Queue())", "thing.task_done(), thing.qsize(), thing.empty()"),
    "Queue.task_done too often": ("aio.Queue()", "thing.task_done()"),
    "Queue.shutdown": ("filled(aio.Queue())", "getattr(thing, 'shutdown', repr)()"),
    "repr of a queue": ("filled(aio.Queue(5))", "repr(thing)"),
    # Groups and timeouts.
    "TaskGroup.__aenter__": ("aio.TaskGroup()", "first_step(thing.__aenter__())"),
    "a group": ("grouped()", "loop.create_task(thing), turn(), turn(), turn()"),
    "a failing group": ("grouped(fails)", "loop.create_task(thing), turn(), turn(), turn()"),
    "Timeout.__aenter__": ("aio.timeout(3)", "first_step(thing.__aenter__())"),
    "a timeout": ("timed(1000)", "loop.create_task(thing), turn(), turn()"),
    "a timeout that is over": ("timed(0)", "loop.create_task(thing), turn(), turn(), turn()"),
    "repr of a timeout": ("aio.timeout(3)", "repr(thing), thing.when(), thing.expired()"),
    # Streams.
    "StreamReader.feed_data": ("aio.StreamReader()", "thing.feed_data(b'x' * 100)"),
    "StreamReader.read": ("fed(b'abc')", "first_step(thing.read(2))"),
    "StreamReader.read to the end": ("fed(b'abc', True)", "first_step(thing.read())"),
    "StreamReader.read of nothing": ("aio.StreamReader()", "first_step(thing.read(2))"),
    "StreamReader.readline": ("fed(b'abc' + bytes([10]))", "first_step(thing.readline())"),
    "StreamReader.readexactly": ("fed(b'abc')", "first_step(thing.readexactly(2))"),
    "StreamReader.readexactly too much": ("fed(b'abc', True)", "first_step(thing.readexactly(9))"),
    "StreamReader.readuntil": ("fed(b'abc')", "first_step(thing.readuntil(b'b'))"),
    "StreamReader.readuntil too far": ("fed(b'x' * 200_000)", "first_step(thing.readuntil(b'b'))"),
    "StreamReader.set_exception": ("aio.StreamReader()", "thing.set_exception(ValueError(1))"),
    "repr of a reader": ("fed(b'abc')", "repr(thing)"),
    "a transport": ("None", "loop.create_task(connects())" + ", turn()" * 6),
    "streams": ("None", "loop.create_task(streams())" + ", turn()" * 6),
    "write": ("connected()", "thing.write(b'abc'), thing.writelines([b'abc', b'def'])"),
    "write of much": ("connected()", "thing.write(b'abc' * 500_000)"),
    "write of odd things": (
        "connected()",
        "thing.write(memoryview(b'abc')), thing.write(bytearray(9))",
    ),
    "reading": ("receiving()", "turn(), turn()"),
    "get_extra_info": (
        "connected()",
        "[thing.get_extra_info(name) for name in ('peername', 'sockname', 'socket')]",
    ),
    "a transport's numbers": (
        "connected()",
        "thing.get_write_buffer_size(), thing.get_write_buffer_limits(), repr(thing)",
    ),
    "close": ("connected()", "thing.close(), turn()"),
    "abort": ("connected()", "thing.abort(), turn()"),
    "datagrams": ("None", "loop.create_task(datagrams())" + ", turn()" * 6),
    "a server": ("None", "loop.create_task(serves())" + ", turn()" * 6),
    "pipes": ("None", "loop.create_task(pipes())" + ", turn()" * 6),
    "sock_recv": ("socket_with(b'abc')", "first_step(loop.sock_recv(thing, 100))"),
    "sock_sendall": ("socket_with(b'abc')", "first_step(loop.sock_sendall(thing, b'abc'))"),
    "getaddrinfo": ("None", "first_step(loop.getaddrinfo('127.0.0.1', 80))"),
    "TLS": ("ssl_protocol()", "thing._app_transport, repr(thing), thing._state"),
    "a TLS handshake": ("None", "loop.create_task(handshakes())" + ", turn()" * 6),
}

HELPERS = """
import contextlib
import os
import ssl


class Talker(asyncio.Protocol):
    pass


async def fails():
    raise ValueError


def callback(future):
    future.add_done_callback(id)
    future.add_done_callback(id)
    return future


def done(future):
    future.set_result(1)
    return future


def gathered():
    future = loop.create_future()
    future.outer = None
    aio.gather(future, done(loop.create_future()))
    return future


def locked(lock):
    first_step(lock.acquire())
    return lock


def filled(queue):
    queue.put_nowait(1)
    return queue


def fed(data, is_eof=False):
    reader = aio.StreamReader()
    reader.feed_data(data)
    if is_eof:
        reader.feed_eof()
    return reader


async def grouped(member=lambda: aio.sleep(0)):
    async with aio.TaskGroup() as group:
        group.create_task(member())


async def timed(seconds):
    async with aio.timeout(seconds):
        await aio.sleep(1000)


async def connects():
    transport, _ = await loop.create_connection(Talker, sock=socket.socketpair()[0])
    transport.close()


async def streams():
    reader, writer = await aio.open_connection(sock=socket.socketpair()[0])
    writer.write(b"abc")
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def datagrams():
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    transport.sendto(b"abc", transport.get_extra_info("sockname"))
    await aio.sleep(0)
    transport.close()


async def serves():
    server = await loop.create_server(Talker, "127.0.0.1", 0)
    repr(server), server.sockets
    transport, _ = await loop.create_connection(Talker, *server.sockets[0].getsockname())
    transport.close()
    server.close()


async def pipes():
    reading, writing = os.pipe()
    one, _ = await loop.connect_read_pipe(Talker, os.fdopen(reading, "rb", 0))
    other, _ = await loop.connect_write_pipe(Talker, os.fdopen(writing, "wb", 0))
    other.write(b"abc")
    await aio.sleep(0)
    one.close()
    other.close()


kept = []


def run(coroutine):
    asyncio._set_running_loop(None)
    try:
        task = loop.create_task(coroutine)
        while not task.done():
            # What a turn without memory has left behind may stop the loop.
            with contextlib.suppress(RuntimeError):
                loop.run_until_complete(task)
        return task.result()
    finally:
        asyncio._set_running_loop(loop)


def connected():
    pair = socket.socketpair()
    kept[:] = [pair]
    return run(loop.create_connection(Talker, sock=pair[0]))[0]


def receiving():
    transport = connected()
    kept[0][1].send(b"abc")
    return transport


def socket_with(data):
    pair = socket.socketpair()
    kept[:] = [pair]
    pair[0].setblocking(False)
    pair[1].send(data)
    return pair[0]


client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def ssl_protocol():
    return ferrio._tls.SSLProtocol(loop, Talker(), client, None, False, "host")


async def handshakes():
    await loop.create_connection(
        Talker, sock=socket.socketpair()[0], ssl=client, server_hostname="host"
    )
"""


@pytest.mark.parametrize("name", STEPS)
def test_no_memory(name: str) -> None:
    prepare, step = STEPS[name]
    if "turn" in step and "create_task" in prepare + step and sys.version_info[:2] == (3, 13):
        pytest.skip("CPython's own _enter_task breaks its dictionary of tasks then")
    if name.startswith("repr of a ") and sys.version_info[:2] == (3, 12):
        pytest.skip("CPython does not survive the repr of a handle of asyncio's own loop, either")
    if name == "Loop" and sys.version_info < (3, 13):
        # object_new() before 3.13, without memory for the instance's dictionary: PyO3 frees fields
        # then that it has not set.
        pytest.skip("CPython has an object freed that is not there yet")
    call = f"starve(lambda: {prepare}, lambda thing: [{step}], {'turn' in step})"
    program = f"{PREAMBLE}\n{HELPERS}\n{call}\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program) + "print('lives')"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "lives"), done.stderr[-4000:]
    assert "panicked" not in done.stderr
