"""Memory runs out at any point: an exception and a loop that can be closed, never a crash."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

from .conftest import Load

# `_testcapi`, CPython's own means for this, has one allocation of Python's fail, in each child
# another. Two things are left out, for want of which CPython itself crashes up to 3.13: nothing
# makes a function meanwhile (PyFunction_New), and asyncio's table of current tasks has no need to
# grow (PyDict_SetDefaultRef, which leaves a dictionary behind that counts what it does not have).
# Nor are loops made meanwhile up to 3.12: there an instance of a subclass of a native class is
# given up before the native part is set up if it lacks memory for its `__dict__` (object_new), and
# `Loop.__del__` then finds nothing under it.
TORTURE = """
    import asyncio, gc, importlib, json, os, signal, socket, sys, warnings
    import _testcapi
    from tests import loops

    factory = loops.factory_named(sys.argv[1])
    numbers = range(int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    OK, MEMORY, OTHER, AFTERWARDS, PANIC = range(5)
    # Of the same kind as the loop.
    aio = importlib.import_module("ferrio.aio" if sys.argv[1] == "ferrio" else "asyncio")

    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
        def data_received(self, data):
            self.transport.write(data)

    class EchoDatagrams(asyncio.DatagramProtocol):
        pass

    def complete(future):
        if not future.done():
            future.set_result(None)

    async def doors(loop, one, other, reader, listener):
        future = loop.create_future()
        loop.call_later(0.0001, complete, future)
        task = loop.create_task(asyncio.sleep(0))
        transport, _ = await loop.create_connection(Echo, sock=one)
        transport.get_write_buffer_limits()
        transport.get_extra_info("peername")
        repr(transport)
        await loop.sock_sendall(other, b"hello")
        got = await loop.sock_recv(other, 100)
        transport.close()
        await task
        await future
        pipe, _ = await loop.connect_read_pipe(Echo, reader)
        pipe.close()
        await loop.getaddrinfo("127.0.0.1", 80)
        await loop.getnameinfo(("127.0.0.1", 80), 3)
        server = await loop.create_server(Echo, sock=listener)
        client, _ = await loop.create_connection(Echo, *listener.getsockname())
        await asyncio.sleep(0.0001)
        client.abort()
        server.close()
        endpoint, _ = await loop.create_datagram_endpoint(EchoDatagrams, ("127.0.0.1", 0))
        endpoint.sendto(b"x", endpoint.get_extra_info("sockname"))
        await asyncio.sleep(0)
        endpoint.abort()
        await asyncio.sleep(0)
        return got

    async def produce(queue):
        for number in range(3):
            await queue.put(number)

    async def hold(lock):
        async with lock:
            await aio.sleep(0)

    async def notice(condition, event):
        async with condition:
            event.set()
            await condition.wait()

    async def fail(error):
        await aio.sleep(0)
        raise error

    # Each primitive at rest, with somebody who waits, and with what it raises.
    async def classes(loop, one, other, reader, listener):
        lock = aio.Lock()
        await aio.gather(hold(lock), hold(lock))
        semaphore = aio.BoundedSemaphore(1)
        await aio.gather(hold(semaphore), hold(semaphore))
        for misused in (lock, semaphore):
            repr(misused)
            try:
                misused.release()
            except (RuntimeError, ValueError):
                pass
        condition, event = aio.Condition(), aio.Event()
        waiting = loop.create_task(notice(condition, event))
        await event.wait()
        async with condition:
            condition.notify_all()
        await waiting
        barrier = aio.Barrier(2)
        await aio.gather(barrier.wait(), barrier.wait())
        queue = aio.Queue(1)
        producer = loop.create_task(produce(queue))
        for _ in range(3):
            await queue.get()
            queue.task_done()
        await queue.join()
        await producer
        repr(queue)
        ordered = aio.PriorityQueue()
        ordered.put_nowait(1)
        ordered.get_nowait()
        try:
            ordered.get_nowait()
        except aio.QueueEmpty:
            pass
        # As open_connection() does, whose factory is a function.
        stream = aio.StreamReader(loop=loop)
        protocol = aio.StreamReaderProtocol(stream, loop=loop)
        transport, _ = await loop.create_connection(iter([protocol]).__next__, sock=one)
        writer = aio.StreamWriter(transport, protocol, stream, loop)
        other.send(b"hello\\nhello")
        got = await stream.readexactly(5)
        await stream.readline()
        writer.write(b"x" * 100)
        await writer.drain()
        other.close()
        try:
            await stream.readexactly(6)
        except (aio.IncompleteReadError, ConnectionError):
            pass
        repr(stream)
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass
        await aio.wait([loop.create_task(aio.sleep(0))], timeout=60)
        await aio.wait_for(aio.sleep(0), 60)
        await aio.shield(aio.sleep(0))
        for done in aio.as_completed([aio.sleep(0), aio.sleep(0)]):
            await done
        try:
            async with aio.timeout(0.0001):
                await aio.sleep(60)
        except TimeoutError:
            pass
        async with aio.TaskGroup() as group:
            group.create_task(aio.sleep(0))
            repr(group)
        try:
            async with aio.TaskGroup() as group:
                group.create_task(fail(KeyError("on purpose")))
                group.create_task(aio.sleep(60))
        except ExceptionGroup:
            pass
        return got

    def make_room():
        table = getattr(asyncio.tasks, "_current_tasks", None)
        if isinstance(table, dict):
            for number in range(20_000):
                table[number] = None
            for number in range(20_000):
                del table[number]

    body = {"doors": doors, "classes": classes}[sys.argv[2]]

    panics = []

    def watch(error):
        # Of PyO3's, not an Exception: no module exports it.
        if type(error).__module__ == "pyo3_runtime":
            panics.append(error)

    def report(loop, context):
        watch(context.get("exception"))

    def unraisable(args):
        watch(args.exc_value)

    def materials():
        one, other = socket.socketpair()
        one.setblocking(False)
        other.setblocking(False)
        listener = socket.create_server(("127.0.0.1", 0))
        reader, _ = os.pipe()
        return one, other, open(reader, "rb", 0), listener

    def program(materials, loop=None):
        loop = loop or factory()
        try:
            loop.set_exception_handler(report)
            # What only lost its wake-up ends by this: one allocation fails, not two.
            return loop.run_until_complete(asyncio.wait_for(body(loop, *materials), 2))
        finally:
            loop.close()

    def attempt(number):
        signal.alarm(10)
        given = materials()
        loop = factory() if sys.version_info < (3, 13) else None
        outcome = OK
        _testcapi.set_nomemory(number, number + 1)
        try:
            program(given, loop)
        except MemoryError:
            outcome = MEMORY
        except BaseException as error:
            outcome = OTHER
            watch(error)
        _testcapi.remove_mem_hooks()
        # Whatever has failed, the next loop is none the worse for it.
        try:
            gc.collect()
            if program(materials()) != b"hello":
                return AFTERWARDS
        except BaseException as error:
            # CPython's own: a look-up that reports no memory as "nothing", with the error set.
            if not isinstance(error, SystemError):
                os.write(2, f"{number}: {error!r}\\n".encode())
                return AFTERWARDS
        return PANIC if panics else outcome

    make_room()
    warnings.simplefilter("ignore")
    sys.unraisablehook = unraisable
    for _ in range(3):
        assert program(materials()) == b"hello"
    gc.collect()
    outcomes = {}
    for number in numbers:
        child = os.fork()
        if child == 0:
            outcome = AFTERWARDS
            try:
                outcome = attempt(number)
            finally:
                os._exit(outcome)
        _, status = os.waitpid(child, 0)
        outcomes.setdefault(os.waitstatus_to_exitcode(status), []).append(number)
    print(json.dumps(outcomes))
    """


# What is hit in `classes` is more often a wake-up, and as in asyncio nobody then knows of it.
ENDS_FOR_A_HANG = {"doors": 20, "classes": 2}


@pytest.mark.skipif(sys.platform != "linux", reason="forks for each allocation")
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("body", list(ENDS_FOR_A_HANG))
def test_any_allocation_may_fail(
    request: pytest.FixtureRequest, load: Load, figures: Callable[[str], None], body: str
) -> None:
    pytest.importorskip("_testcapi", reason="this interpreter comes without CPython's test modules")
    last, step = load(400, 1200), load(3, 1)
    done = subprocess.run(
        [
            *(sys.executable, "-c", textwrap.dedent(TORTURE)),
            *(request.config.getoption("--loop"), body, "1", str(last), str(step)),
        ],
        capture_output=True,
        text=True,
        timeout=7000,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcomes = {int(code): numbers for code, numbers in json.loads(done.stdout).items()}
    fine, memory, other = (len(outcomes.pop(code, ())) for code in range(3))
    # The last callback of a run can be what there was no memory for: then nobody stops the loop, as
    # in asyncio.
    hung = len(outcomes.pop(-signal.SIGALRM, ()))
    # By signal, or with a next loop that does not run.
    assert not outcomes, (outcomes, done.stderr)
    assert memory > 0
    assert hung * ENDS_FOR_A_HANG[body] < fine + memory + other
    figures(
        f"{fine + memory + other + hung} allocations failed, one in each run: {memory} ended with "
        f"MemoryError, {other} with something else, {hung} were never woken, {fine} went well"
    )


# Each call raises an exception with a text, for which there is no memory; then none for the
# exception, and so on.
MISUSE = """
    import json, os, sys
    import _testcapi
    import ferrio
    from ferrio import aio

    closed = ferrio.new_event_loop()
    closed.close()
    calls = [
        aio.Lock().release,
        aio.BoundedSemaphore(1).release,
        aio.Queue().task_done,
        aio.Condition().notify,
        closed.run_forever,
    ]
    expected = (RuntimeError, ValueError, MemoryError)

    def is_as_expected(call, number):
        _testcapi.set_nomemory(number, number + 1)
        try:
            call()
        except expected:
            return True
        except BaseException:
            return False
        finally:
            _testcapi.remove_mem_hooks()
        return False

    outcomes = {}
    for call in calls:
        for number in range(10):
            child = os.fork()
            if child == 0:
                os._exit(not is_as_expected(call, number))
            _, status = os.waitpid(child, 0)
            if status:
                outcomes[f"{call} {number}"] = os.waitstatus_to_exitcode(status)
    print(json.dumps(outcomes))
    """


@pytest.mark.skipif(sys.platform != "linux", reason="forks for each allocation")
def test_exceptions_there_is_no_memory_for() -> None:
    pytest.importorskip("_testcapi", reason="this interpreter comes without CPython's test modules")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MISUSE)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}, done.stderr
