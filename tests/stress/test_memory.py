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
# another. What runs meanwhile makes no functions: CPython itself crashes where it lacks memory for
# one (PyFunction_New, up to 3.13). Nor loops, up to 3.12: there an instance of a subclass of a native
# class is given up before the native part is set up if it lacks memory for its `__dict__` (object_new),
# and `Loop.__del__` then finds nothing under it.
TORTURE = """
    import asyncio, gc, json, os, signal, socket, sys, warnings
    import _testcapi
    from tests import loops

    factory = loops.factory_named(sys.argv[1])
    numbers = range(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    OK, MEMORY, OTHER, AFTERWARDS = range(4)

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

    async def body(loop, one, other, reader, listener):
        future = loop.create_future()
        loop.call_later(0.0001, complete, future)
        task = loop.create_task(asyncio.sleep(0))
        transport, _ = await loop.create_connection(Echo, sock=one)
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

    def ignore(*args):
        pass

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
            loop.set_exception_handler(ignore)
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
        except BaseException:
            outcome = OTHER
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
        return outcome

    warnings.simplefilter("ignore")
    sys.unraisablehook = ignore
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


@pytest.mark.skipif(sys.platform != "linux", reason="forks for each allocation")
def test_any_allocation_may_fail(
    request: pytest.FixtureRequest, load: Load, figures: Callable[[str], None]
) -> None:
    pytest.importorskip("_testcapi", reason="this interpreter comes without CPython's test modules")
    last, step = load(400, 1200), load(3, 1)
    done = subprocess.run(
        [
            *(sys.executable, "-c", textwrap.dedent(TORTURE)),
            *(request.config.getoption("--loop"), "1", str(last), str(step)),
        ],
        capture_output=True,
        text=True,
        timeout=load(300, 1700),
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
    assert hung * 20 < fine + memory + other
    figures(
        f"{fine + memory + other + hung} allocations failed, one in each run: {memory} ended with "
        f"MemoryError, {other} with something else, {hung} were never woken, {fine} went well"
    )
