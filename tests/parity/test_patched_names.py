"""Names of other modules under which a program has put something else: asyncio looks each one up
when it uses it, and so does ferrio; what is taken away again is used no more."""

from __future__ import annotations

import asyncio
import collections
import heapq
import json
import logging
import socket
import ssl
import subprocess
import sys
from asyncio import constants
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificates

from .peers import LOCALHOST, socket_pair
from .trace import Trace
from .twin import Loop, twin

ROOT = Path(__file__).parents[2]

#: What asyncio calls and ferrio does not, with the reason, as docs/compatibility.md has it.
NOT_CALLED = {
    # What makes a loop of asyncio's, and what it is made of.
    "collections.deque": "the loop's own",
    "heapq.heapify": "the loop's own",
    "heapq.heappop": "the loop's own",
    "heapq.heappush": "the loop's own",
    "math.isnan": "the loop's own",
    "math.ulp": "the loop's own, from 3.15 on",
    "selectors.DefaultSelector": "the loop's own",
    "socket.socket": "the loop's own",
    "socket.socketpair": "the loop's own",
    "threading.get_ident": "the loop's own",
    "time.get_clock_info": "the loop's own",
    "time.monotonic": "the loop's own",
    "weakref.WeakValueDictionary": "the loop's own",
    "asyncio.events.Handle": "native",
    "asyncio.events.TimerHandle": "native",
    "asyncio.events._ThreadSafeHandle": "native",
    "threading.RLock": "of that handle",
    # Transports and TLS.
    "asyncio.selector_events._SelectorSocketTransport": "native",
    "asyncio.selector_events._SelectorDatagramTransport": "native",
    "asyncio.sslproto._SSLProtocolTransport": "native",
    "asyncio.sslproto.add_flowcontrol_defaults": "native",
    "asyncio.base_events._interleave_addrinfos": "native",
    "collections.OrderedDict": "of a function that is native",
    "functools.partial": "of functions that are native",
    "itertools.chain": "of functions that are native",
    "itertools.islice": "of functions that are native",
    "itertools.zip_longest": "of a function that is native",
    # Pipes and children.
    "asyncio.events._get_event_loop_policy": "no child watcher",
    "asyncio.events._init_event_loop_policy": "no child watcher",
    "asyncio.events.get_child_watcher": "no child watcher",
    "asyncio.events.get_event_loop_policy": "no child watcher",
    "asyncio.unix_events.PidfdChildWatcher": "no child watcher",
    "asyncio.unix_events.ThreadedChildWatcher": "no child watcher",
    "asyncio.unix_events._PidfdChildWatcher": "no child watcher",
    "asyncio.unix_events._ThreadedChildWatcher": "no child watcher",
    "asyncio.unix_events.can_use_pidfd": "no child watcher",
    "asyncio.unix_events.waitstatus_to_exitcode": "no child watcher",
    "asyncio.unix_events._UnixReadPipeTransport": "native",
    "asyncio.unix_events._UnixWritePipeTransport": "native",
    "asyncio.unix_events._UnixSubprocessTransport": "derived from at import",
    "itertools.count": "no child watcher",
    "os.close": "pipes and children are native",
    "os.fstat": "pipes and children are native",
    "os.getpid": "pipes and children are native",
    "os.pidfd_open": "pipes and children are native",
    "os.read": "pipes and children are native",
    "os.set_blocking": "pipes and children are native",
    "os.waitpid": "pipes and children are native",
    "os.waitstatus_to_exitcode": "pipes and children are native",
    "os.write": "pipes and children are native",
    "stat.S_ISCHR": "pipes and children are native",
    "stat.S_ISFIFO": "pipes and children are native",
    "stat.S_ISSOCK": "pipes and children are native",
    "threading.Thread": "no child watcher",
    "threading.Lock": "no child watcher",
    "warnings._deprecated": "no child watcher",
    "warnings.catch_warnings": "no child watcher",
    "warnings.simplefilter": "no child watcher",
}

#: asyncio asks an executor for addresses and names, ferrio threads of its own or nobody.
ASKING = {
    "asyncio.futures.Future",
    "asyncio.futures._chain_future",
    "asyncio.futures._copy_future_state",
    "asyncio.futures.wrap_future",
}
#: Of a socket that the loop has made itself there is nothing to be checked.
MADE = {"asyncio.base_events._check_ssl_socket"}
NOT_CALLED_IN = {
    "names_of_hosts": ASKING,
    "streams_by_name": ASKING | MADE,
    **dict.fromkeys(["streams", "tls", "start_tls", "sendfile"], MADE),
}

#: The same of the functions and classes that are replaced by native ones.
NOT_CALLED_BY_REPLACED = {
    "asyncio.queues.Queue": "as_completed has a deque of its own",
    "asyncio.locks.Event": "of the queue in as_completed",
    "asyncio.tasks._AsCompletedIterator": "native",
    "asyncio.tasks._GatheringFuture": "native",
    "asyncio.tasks.__sleep0": "native",
    "asyncio.tasks._wait": "native",
    "asyncio.tasks._cancel_and_wait": "native",
    "asyncio.futures._get_loop": "native",
    "asyncio.tasks._release_waiter": "native, up to 3.11",
    "asyncio.events._get_event_loop": "only 3.11 has it: the running loop is found without it",
    "asyncio.exceptions.TimeoutError": "native",
    "functools.partial": "of functions that are native",
}


@pytest.fixture(scope="module")
def folder(certificates: Certificates) -> str:
    return str(certificates.folder)


@cache
def seen(which: str, folder: str) -> dict[str, dict[str, set[str]]]:
    """By phase and scenario the names that were called."""
    known = {} if which == "asyncio" else seen("asyncio", folder)["later"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.parity.reached", which, folder],
        input=json.dumps({name: sorted(names) for name, names in known.items()}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    phases = json.loads(done.stdout)
    return {
        phase: {name: set(names) for name, names in scenarios.items()}
        for phase, scenarios in phases.items()
    }


def told(differences: dict[str, set[str]]) -> str:
    return "\n".join(f"{name}: {sorted(names)}" for name, names in differences.items() if names)


@pytest.mark.parametrize("which", ["ferrio", "replaced"])
@pytest.mark.parametrize("phase", ["first", "later", "alone"])
def test_what_stands_there_is_called(folder: str, which: str, phase: str) -> None:
    allowed = set(NOT_CALLED)
    if which == "replaced":
        allowed |= set(NOT_CALLED_BY_REPLACED)
    expected, actual = seen("asyncio", folder), seen(which, folder)
    reference = expected["first" if phase == "first" else "later"]
    missing = {
        name: reference[name] - actual[phase][name] - allowed - NOT_CALLED_IN.get(name, set())
        for name in reference
    }
    assert not any(missing.values()), f"not called:\n{told(missing)}"
    more = {name: actual[phase][name] - reference[name] for name in reference}
    assert not any(more.values()), f"called, unlike in asyncio:\n{told(more)}"


@pytest.mark.parametrize("which", ["asyncio", "ferrio", "replaced"])
def test_what_is_gone_is_not(folder: str, which: str) -> None:
    gone = seen(which, folder)["gone"]
    assert not any(gone.values()), told(gone)


# ----------------------------------------------------------------------- what is no function


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("queues", "QueueEmpty"),
        ("queues", "QueueFull"),
        ("exceptions", "IncompleteReadError"),
        ("exceptions", "LimitOverrunError"),
        ("exceptions", "BrokenBarrierError"),
    ],
)
@twin
async def test_exceptions(
    trace: Trace, aio: Any, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    class Odd(getattr(getattr(asyncio, module), name)):  # type: ignore[misc]
        pass

    async def provoke(label: str) -> None:
        reader = aio.StreamReader(limit=4)
        reader.feed_data(b"123456789")
        with trace.raises(label):
            await reader.readuntil(b"!")
        reader = aio.StreamReader()
        reader.feed_data(b"1")
        reader.feed_eof()
        with trace.raises(label):
            await reader.readexactly(2)
        queue = aio.Queue(1)
        with trace.raises(label):
            queue.get_nowait()
        queue.put_nowait(1)
        with trace.raises(label):
            queue.put_nowait(2)
        barrier = aio.Barrier(2)
        await barrier.abort()
        with trace.raises(label):
            await barrier.wait()

    await provoke("before")
    with monkeypatch.context() as patch:
        patch.setattr(getattr(asyncio, module), name, Odd)
        await provoke("meanwhile")
    await provoke("afterwards")


@pytest.mark.parametrize(
    "module", ["base_events", "selector_events", "unix_events", "sslproto", "log"]
)
@twin
async def test_loggers(
    trace: Trace, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    class Log(logging.Logger):
        lines = 0

        def makeRecord(self, *arguments: Any, **options: Any) -> logging.LogRecord:
            Log.lines += 1
            return super().makeRecord(*arguments, **options)

        def handle(self, record: logging.LogRecord) -> None:
            pass

    loop = asyncio.get_running_loop()

    async def late_writes() -> int:
        Log.lines = 0
        one, other = socket_pair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
        with other:
            transport.abort()
            for _ in range(10):
                transport.write(b"x")
            await asyncio.sleep(0)
        return Log.lines > 0

    monkeypatch.setattr(getattr(asyncio, module), "logger", Log("odd"))
    trace("late writes", await late_writes())
    monkeypatch.undo()
    trace("late writes afterwards", await late_writes())


@twin
async def test_constants(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()

    async def warnings_of(writes: int) -> None:
        one, other = socket_pair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
        with other:
            transport.abort()
            for _ in range(writes):
                transport.write(b"x")
            await asyncio.sleep(0)

    with monkeypatch.context() as patch:
        patch.setattr(constants, "LOG_THRESHOLD_FOR_CONNLOST_WRITES", 1)
        await warnings_of(3)
    await warnings_of(3)
    trace("done")


@twin
async def test_tls_limits(
    trace: Trace, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, LOCALHOST, 0, ssl=certificates.server())
    address = server.sockets[0].getsockname()

    async def limits(label: str) -> None:
        connecting = asyncio.open_connection(
            *address, ssl=certificates.client(), server_hostname="localhost"
        )
        _, writer = await connecting
        trace(label, writer.transport.get_write_buffer_limits())
        writer.transport.set_write_buffer_limits()
        trace(label, writer.transport.get_write_buffer_limits())
        writer.close()
        await writer.wait_closed()

    with monkeypatch.context() as patch:
        patch.setattr(constants, "FLOW_CONTROL_HIGH_WATER_SSL_WRITE", 3)
        await limits("meanwhile")
    await limits("afterwards")
    server.close()


# ------------------------------------------------------------------------------- single names


@pytest.mark.parametrize("how", ["deleted", "None"])
@twin
async def test_names_that_are_gone(
    trace: Trace, aio: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async def locked() -> None:
        lock = aio.Lock()
        await lock.acquire()
        await lock.acquire()

    def full() -> None:
        queue = aio.Queue(1)
        queue.put_nowait(1)
        queue.put_nowait(2)

    async def connect() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            transport.close()

    uses: list[tuple[Any, str, Any]] = [
        (asyncio.queues, "QueueEmpty", lambda: aio.Queue().get_nowait()),
        (asyncio.queues, "QueueFull", full),
        (asyncio.tasks, "ensure_future", lambda: aio.shield(asyncio.sleep(0))),
        (collections, "deque", locked),
        (collections, "deque", lambda: aio.Queue()),
        (asyncio.base_events, "_check_ssl_socket", connect),
    ]
    for module, name, use in uses:
        with monkeypatch.context() as patch:
            if how == "deleted":
                patch.delattr(module, name)
            else:
                patch.setattr(module, name, None)
            try:
                used = use()
                if asyncio.iscoroutine(used):
                    await asyncio.wait_for(used, 5)
            except Exception as error:
                trace(name, type(error))
            else:
                trace(name, "nothing")


@twin
async def test_a_deque_that_is_none(
    trace: Trace, aio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loud(collections.deque[Any]):
        def append(self, item: Any) -> None:
            trace("append", item)
            super().append(item)

        def popleft(self) -> Any:
            trace("popleft")
            return super().popleft()

    real = collections.deque
    for name, stand_in in (("function", lambda *args: real(*args)), ("subclass", Loud)):
        with monkeypatch.context() as patch:
            patch.setattr(collections, "deque", stand_in)
            queue, lock = aio.Queue(), aio.Lock()
        trace(name)
        queue.put_nowait(1)
        trace("item", await queue.get())
        async with lock:
            waiting = asyncio.create_task(lock.acquire())
            await asyncio.sleep(0)
        trace("locked", await waiting)


@twin
async def test_heapq_is_bound_by_then(
    trace: Trace, aio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> None:
        raise AssertionError("PriorityQueue has its own")

    with monkeypatch.context() as patch:
        for name in ("heappush", "heappop"):
            patch.setattr(heapq, name, fail)
        queue = aio.PriorityQueue()
        for item in (3, 1, 2):
            queue.put_nowait(item)
        trace("items", [queue.get_nowait() for _ in range(3)])


@twin
async def test_methods_of_ssl_object(
    trace: Trace, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: set[str] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        writer.close()

    async def talk() -> None:
        server = await asyncio.start_server(serve, LOCALHOST, 0, ssl=certificates.server())
        connecting = asyncio.open_connection(
            *server.sockets[0].getsockname(),
            ssl=certificates.client(),
            server_hostname="localhost",
        )
        reader, writer = await connecting
        writer.write(b"hello")
        trace("answer", await reader.read())
        writer.close()
        await writer.wait_closed()
        server.close()

    with monkeypatch.context() as patch:
        for name in ("read", "write", "do_handshake", "unwrap"):
            original = getattr(ssl.SSLObject, name)

            def method(*arguments: Any, name: str = name, original: Any = original) -> Any:
                called.add(name)
                return original(*arguments)

            patch.setattr(ssl.SSLObject, name, method)
        await talk()
    trace("called", sorted(called))
    called.clear()
    await talk()
    trace("afterwards", sorted(called))


@twin
def test_run_until_complete(trace: Trace, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing() -> None:
        pass

    for name in ("ensure_future", "isfuture"):
        module = asyncio.tasks if name == "ensure_future" else asyncio.futures
        original = getattr(module, name)

        def stand_in(*arguments: Any, name: str = name, original: Any = original) -> Any:
            trace("called", name)
            return original(*arguments)

        def with_options(*arguments: Any, loop: Any = None, call: Any = stand_in) -> Any:
            return call(*arguments) if loop is None else loop.create_task(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(module, name, with_options)
            loop.run_until_complete(nothing())
        loop.run_until_complete(nothing())
        trace("and no more")


def test_plain_sockets_are_served_natively(new_loop: Any) -> None:
    """The other tests here would pass as well if nothing were native any more."""

    async def main() -> None:
        made = asyncio.get_running_loop().create_future()

        class Made(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                made.set_result(transport)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(Made, LOCALHOST, 0)
        address = server.sockets[0].getsockname()
        client, _ = await loop.create_connection(asyncio.Protocol, *address)
        given, _ = await loop.create_connection(
            asyncio.Protocol, sock=socket.create_connection(address)
        )
        datagrams, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, (LOCALHOST, 0))
        transports: list[Any] = [client, await made, given, datagrams]
        for transport in transports:
            assert not hasattr(transport, "_selector"), transport
            assert type(transport).__module__.partition(".")[0] == "ferrio", transport
            assert "Object" not in type(transport).__name__, transport
            transport.abort()
        server.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
