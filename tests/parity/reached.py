"""Every name that asyncio's modules reach, replaced by something that says when it is called.

    python -m tests.parity.reached asyncio|ferrio|replaced FOLDER

with test certificates in FOLDER prints, as JSON, which of them are called in which scenario: from
the process's very beginning on ("first"), when all of them are gone again ("gone"), when they are
back ("later"), and those that standard input names for each scenario when nothing else is replaced
("alone").
"""

from __future__ import annotations

import asyncio
import contextlib
import dis
import enum
import json
import signal
import socket
import ssl
import sys
import tempfile
import types
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

from tests import loops
from tests.certificates import Certificates

_getframe = sys._getframe

Name = tuple[str, str]


def names() -> dict[Name, Any]:
    """What functions of asyncio's modules look up when they run: by module and name, the value."""
    found: dict[Name, Any] = {}
    for module in [m for n, m in sorted(sys.modules.items()) if n.startswith("asyncio.")]:
        for function in functions(module):
            for code in codes(function.__code__):
                found |= looked_up(module, code)
    return found


def functions(module: types.ModuleType) -> Iterator[types.FunctionType]:
    for value in list(vars(module).values()):
        members = [value]
        if isinstance(value, type) and value.__module__ == module.__name__:
            members = list(vars(value).values())
        for member in members:
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if isinstance(function, types.FunctionType) and function.__globals__ is vars(module):
                yield function


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def looked_up(module: types.ModuleType, code: types.CodeType) -> dict[Name, Any]:
    found: dict[Name, Any] = {}
    last: Any = None
    for instruction in dis.get_instructions(code):
        operation, name = instruction.opname, instruction.argval
        if operation == "LOAD_GLOBAL":
            last = vars(module).get(name)
            if name in vars(module):
                found[module.__name__, name] = last
        elif operation in ("LOAD_ATTR", "LOAD_METHOD"):
            if isinstance(last, types.ModuleType) and hasattr(last, name):
                found[last.__name__, name] = getattr(last, name)
            last = None
        elif operation not in ("CACHE", "PUSH_NULL", "PRECALL", "NOT_TAKEN"):
            last = None
    return found


# ------------------------------------------------------------------------------- what stands in


class Calls:
    """Which stand-ins were called, since it was last asked."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def note(self, name: Name) -> None:
        # Whatever asyncio calls calls others, which may look the same names up.
        caller = _getframe(2).f_globals.get("__name__", "")
        if caller.partition(".")[0] in ("asyncio", "ferrio", "tests", "__main__", "socket"):
            self._seen.add(".".join(name))

    def take(self) -> list[str]:
        seen, self._seen = self._seen, set()
        return sorted(seen)


def stand_in(name: Name, value: Any, calls: Calls) -> Any:
    """What does the same as `value` and notes that it was called; None if there is nothing."""
    if isinstance(value, type):
        if issubclass(value, (BaseException, enum.Enum)):
            return None
        return class_like(name, value, calls)
    if isinstance(value, types.ModuleType) or not callable(value):
        return None
    if name[0] == "typing":
        # Annotations of inner functions, up to 3.11: they are subscripted, not called.
        return None

    def called(*arguments: Any, **options: Any) -> Any:
        calls.note(name)
        return value(*arguments, **options)

    return called


def class_like(name: Name, value: type, calls: Calls) -> Any:
    class Like(type):
        def __call__(cls, *arguments: Any, **options: Any) -> Any:
            calls.note(name)
            return value(*arguments, **options)

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, value)

        def __subclasscheck__(cls, other: type) -> bool:
            return issubclass(other, value)

        def __getattr__(cls, attribute: str) -> Any:
            return getattr(value, attribute)

    return Like(value.__name__, (), {"__module__": value.__module__})


class Patch:
    """Puts stand-ins for these names there, and takes them away."""

    def __init__(self, names: Iterable[Name], calls: Calls) -> None:
        self._stand_ins = []
        for name in names:
            module = sys.modules[name[0]]
            # As it is by now: ferrio's classes may have taken the place of asyncio's.
            value = getattr(module, name[1])
            instead = stand_in(name, value, calls)
            if instead is not None and name not in LEFT_ALONE:
                self._stand_ins.append((module, name[1], value, instead))

    def __enter__(self) -> None:
        for module, name, _value, instead in self._stand_ins:
            setattr(module, name, instead)

    def __exit__(self, *_error: object) -> None:
        for module, name, value, _instead in self._stand_ins:
            setattr(module, name, value)


#: What a class of Python's stands on, or the machinery here.
LEFT_ALONE = {
    ("asyncio.events", "AbstractEventLoop"),
    ("asyncio.transports", "_FlowControlMixin"),
    ("functools", "partialmethod"),
    ("ssl", "SSLContext"),
    ("weakref", "ref"),
}


# ------------------------------------------------------------------------------------ scenarios

Scenario = Callable[[], Coroutine[Any, Any, object]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    certificates = Certificates(Path(sys.argv[2]))
    return certificates.server(), certificates.client()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    writer.close()


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello\n")
    await writer.drain()
    assert await reader.readline() == b"hello\n"
    writer.get_extra_info("socket")
    writer.close()
    await writer.wait_closed()


@scenario
async def nothing() -> None:
    await asyncio.sleep(0)


@scenario
async def streams() -> None:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        await talk(*await asyncio.open_connection(*server.sockets[0].getsockname()[:2]))


@scenario
async def streams_by_name() -> None:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connecting = asyncio.open_connection(
            "localhost", port, happy_eyeballs_delay=0.5, local_addr=("127.0.0.1", 0)
        )
        await talk(*await connecting)


@scenario
async def unix_streams() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory, "socket"))
        async with await asyncio.start_unix_server(echo, path):
            await talk(*await asyncio.open_unix_connection(path))


@scenario
async def tls() -> None:
    server_context, client_context = contexts()
    async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_context) as server:
        port = server.sockets[0].getsockname()[1]
        connecting = asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context, server_hostname="localhost"
        )
        await talk(*await connecting)


@scenario
async def start_tls() -> None:
    server_context, client_context = contexts()

    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(server_context)
        await echo(reader, writer)

    async with await asyncio.start_server(upgrade, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        await writer.start_tls(client_context, server_hostname="localhost")
        await talk(reader, writer)


@scenario
async def buffered_protocol() -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    class Buffered(asyncio.BufferedProtocol):
        def get_buffer(self, sizehint: int) -> bytearray:
            return bytearray(100)

        def buffer_updated(self, nbytes: int) -> None:
            done.set_result(nbytes)

    one, other = socket.socketpair()
    transport, _ = await loop.create_connection(Buffered, sock=one)
    with other:
        other.send(b"x")
        assert await done == 1
    transport.close()
    await asyncio.sleep(0.01)


@scenario
async def datagrams() -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    class Receiver(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            done.set_result(data)

    server, _ = await loop.create_datagram_endpoint(Receiver, ("127.0.0.1", 0))
    address = server.get_extra_info("sockname")
    client, _ = await loop.create_datagram_endpoint(Receiver, remote_addr=address)
    client.sendto(b"x")
    assert await done == b"x"
    server.close()
    client.close()
    await asyncio.sleep(0.01)


@scenario
async def sock_methods() -> None:
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.socket()
    for sock in (listener, client):
        sock.setblocking(False)
    accepting = asyncio.ensure_future(loop.sock_accept(listener))
    await loop.sock_connect(client, listener.getsockname())
    served, _ = await accepting
    await loop.sock_sendall(client, b"hello")
    assert await loop.sock_recv(served, 2) == b"he"
    assert await loop.sock_recv_into(served, bytearray(10)) == 3
    with tempfile.TemporaryFile() as file:
        file.write(b"file")
        file.flush()
        assert await loop.sock_sendfile(client, file, 0) == 4
    for sock in (listener, client, served):
        sock.close()


@scenario
async def sendfile() -> None:
    loop = asyncio.get_running_loop()
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        with tempfile.TemporaryFile() as file:
            file.write(b"file\n")
            file.seek(0)
            await loop.sendfile(writer.transport, file)
        writer.close()
        await writer.wait_closed()


@scenario
async def names_of_hosts() -> None:
    loop = asyncio.get_running_loop()
    await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)


@scenario
async def executor() -> None:
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, abs, -1) == 1
    assert await loop.run_in_executor(None, abs, -2) == 2
    assert await asyncio.to_thread(abs, -3) == 3
    with contextlib.suppress(TypeError):
        await loop.run_in_executor(None, abs, "of no number")  # type: ignore[arg-type]


@scenario
async def tasks() -> None:
    async def work() -> int:
        await asyncio.sleep(0.001)
        return 1

    assert list(await asyncio.gather(work(), work())) == [1, 1]
    assert await asyncio.wait_for(work(), 10) == 1
    assert await asyncio.shield(work()) == 1
    await asyncio.wait([asyncio.create_task(work())], timeout=10)
    for next_one in asyncio.as_completed([work(), work()], timeout=10):
        assert await next_one == 1
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(work())
    late = asyncio.create_task(asyncio.sleep(10, "late"))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(late, 0.001)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.sleep(10)
    asyncio.all_tasks()
    asyncio.current_task()
    assert await asyncio.ensure_future(work()) == 1
    await asyncio.gather()


@scenario
async def locks() -> None:
    async def hold(lock: Any) -> None:
        async with lock:
            await asyncio.sleep(0)

    for lock in (asyncio.Lock(), asyncio.Semaphore(), asyncio.BoundedSemaphore()):
        await asyncio.gather(hold(lock), hold(lock))
    condition = asyncio.Condition()
    barrier = asyncio.Barrier(2)
    event = asyncio.Event()

    async def wait() -> None:
        async with condition:
            await condition.wait()
        await event.wait()
        await barrier.wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    async with condition:
        condition.notify()
    await asyncio.sleep(0)
    event.set()
    await barrier.wait()
    await waiting


@scenario
async def queues() -> None:
    for kind in (asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue):
        queue: asyncio.Queue[int] = kind(1)
        with contextlib.suppress(asyncio.QueueEmpty):
            queue.get_nowait()
        getting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        await queue.put(1)
        assert await getting == 1
        await queue.put(2)
        putting = asyncio.create_task(queue.put(3))
        await asyncio.sleep(0)
        assert await queue.get() == 2
        await putting
        for _ in range(3):
            queue.task_done()
        await queue.join()


@scenario
async def subprocess() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", "print(1)", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output == b"1\n"


@scenario
async def signals() -> None:
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, arrived.set)
    signal.raise_signal(signal.SIGUSR1)
    await arrived.wait()
    loop.remove_signal_handler(signal.SIGUSR1)


@scenario
async def debug_mode() -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.call_soon(int)
    loop.call_later(0, int)
    await asyncio.sleep(0.001)


# --------------------------------------------------------------------------------------- main


def run(name: str, factory: Any, calls: Calls) -> list[str]:
    runner = asyncio.Runner(loop_factory=factory)
    calls.take()
    runner.run(SCENARIOS[name]())
    seen = calls.take()
    runner.close()
    return seen


def main() -> None:
    # asyncio's answers, if there are any.
    known: dict[str, list[str]] = json.loads(sys.stdin.read() or "{}")
    if loops.is_portable():
        loops.give_up_pidfds()
    calls = Calls()
    found = names()
    which = sys.argv[1]
    if which == "asyncio":
        factory: Any = asyncio.SelectorEventLoop
    else:
        import ferrio

        factory = ferrio.new_event_loop
        if which == "replaced":
            ferrio.install(replace=True)
    seen: dict[str, dict[str, list[str]]] = {}
    for phase, reached in (("first", found), ("gone", []), ("later", found)):
        with Patch(reached, calls):
            seen[phase] = {name: run(name, factory, calls) for name in SCENARIOS}
    seen["alone"] = {name: [] for name in known}
    for name, wanted in known.items():
        for path in wanted:
            module, _, attribute = path.rpartition(".")
            with Patch([(module, attribute)], calls):
                seen["alone"][name] += run(name, factory, calls)
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
