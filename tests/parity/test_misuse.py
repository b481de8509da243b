"""What nobody should do: transports of a closed loop, loops closed or run from their own callbacks,
calls from threads that are not the loop's."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests import loops
from tests.certificates import Certificates

from .peers import datagram_pair
from .trace import Trace
from .twin import Loop, twin


class Quiet(asyncio.Protocol):
    """Keeps what it is given."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: BaseException | None) -> None:
        self.trace.on("protocol", "connection_lost", exc)


class QuietDatagrams(Quiet, asyncio.DatagramProtocol):
    pass


KINDS = ["stream", "listening stream", "datagram", "read pipe", "write pipe", "tls"]

# In an order in which the early ones leave something to do for the later ones.
METHODS: dict[str, tuple[Any, ...]] = {
    "is_reading": (),
    "pause_reading": (),
    "resume_reading": (),
    "set_write_buffer_limits": (10,),
    "get_write_buffer_limits": (),
    "get_protocol": (),
    "write": (b"data",),
    "writelines": ([b"more", b"data"],),
    "sendto": (b"data",),
    "get_write_buffer_size": (),
    "write_eof": (),
    "can_write_eof": (),
    "is_closing": (),
    "close": (),
    "abort": (),
}


async def open_one(
    trace: Trace, kind: str, certificates: Certificates, kept: list[Any]
) -> list[Any]:
    """Transports of one kind. `kept` gets what has to live as long as they do."""
    loop = asyncio.get_running_loop()

    def quiet() -> Quiet:
        return Quiet(trace)

    if kind == "listening stream":
        accepted: list[Quiet] = []

        def accept() -> Quiet:
            accepted.append(quiet())
            return accepted[-1]

        server = await loop.create_server(accept, "127.0.0.1", 0)
        transport, _ = await loop.create_connection(quiet, *server.sockets[0].getsockname())
        while not accepted or accepted[0].transport is None:
            await asyncio.sleep(0.001)
        kept.append(server)
        return [transport, accepted[0].transport]
    if kind.endswith("pipe"):
        reading, writing = os.pipe()
        ours, theirs, mode = (
            (reading, writing, "rb") if kind == "read pipe" else (writing, reading, "wb")
        )
        kept.append(os.fdopen(theirs, "wb" if mode == "rb" else "rb", 0))
        connect = loop.connect_read_pipe if kind == "read pipe" else loop.connect_write_pipe
        pipe, _ = await connect(quiet, os.fdopen(ours, mode, 0))
        return [pipe]
    is_datagram = kind == "datagram"
    one, other = datagram_pair() if is_datagram else socket.socketpair()
    one.setblocking(False)
    if is_datagram:
        kept.append(other)
        endpoint, _ = await loop.create_datagram_endpoint(lambda: QuietDatagrams(trace), sock=one)
        return [endpoint]
    if kind == "stream":
        kept.append(other)
        transport, _ = await loop.create_unix_connection(quiet, sock=one)
        return [transport]
    other.setblocking(False)
    pair = await asyncio.gather(
        loop.create_unix_connection(
            quiet, sock=one, ssl=certificates.client(), server_hostname="localhost"
        ),
        loop.connect_accepted_socket(quiet, other, ssl=certificates.server()),
    )
    return [transport for transport, _ in pair]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
@twin
def test_a_transport_of_a_closed_loop(
    trace: Trace, factory: loops.Factory, kind: str, method: str, certificates: Certificates
) -> None:
    kept: list[Any] = []
    loop = factory()
    transports = loop.run_until_complete(open_one(trace, kind, certificates, kept))
    loop.close()
    for transport in transports:
        if not hasattr(transport, method):
            trace("has no", method)
            continue
        for _ in range(2):
            result: Any
            try:
                result = getattr(transport, method)(*METHODS[method])
            except BaseException as error:
                result = error
            trace(method, type(result) if isinstance(result, Quiet) else result)
            trace("is_closing", transport.is_closing())
    # Nothing is left to run that could close them.
    for transport in transports:
        # A pipe's file is warned of by its number.
        if (
            pipe := transport.get_extra_info("pipe") if kind.endswith("pipe") else None
        ) is not None:
            trace.hide(pipe.fileno(), "FD")
            del pipe
    del transports, transport
    for thing in kept:
        if not isinstance(thing, asyncio.Server):
            thing.close()
    trace("done")


INSIDE: dict[str, Callable[[Loop, loops.Factory], Any]] = {
    "close": lambda loop, factory: loop.close(),
    "run_forever": lambda loop, factory: loop.run_forever(),
    "run_until_complete": lambda loop, factory: loop.run_until_complete(loop.create_future()),
    "another loop": lambda loop, factory: run_another(factory),
    "asyncio.run": lambda loop, factory: asyncio.run(asyncio.sleep(0)),
}


def run_another(factory: loops.Factory) -> None:
    other = factory()
    try:
        other.run_until_complete(asyncio.sleep(0))
    finally:
        other.close()


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("where", ["call_soon", "call_later", "reader", "task", "handler"])
@pytest.mark.parametrize("what", INSIDE)
@twin
def test_inside_of_a_callback(trace: Trace, factory: loops.Factory, where: str, what: str) -> None:
    loop = factory()
    one, other = socket.socketpair()

    def act(*args: object) -> None:
        with trace.raises(what):
            INSIDE[what](loop, factory)
        loop.remove_reader(one)
        loop.call_soon(loop.stop)

    async def task() -> None:
        act()

    with one, other:
        match where:
            case "call_soon":
                loop.call_soon(act)
            case "call_later":
                loop.call_later(0.001, act)
            case "reader":
                loop.add_reader(one, act)
                other.send(b"x")
            case "task":
                running = loop.create_task(task())
            case _:
                loop.set_exception_handler(act)
                loop.call_soon(lambda: 1 / 0)
        loop.run_forever()
        trace("goes on", loop.is_running(), loop.is_closed())
        if where == "task":
            trace("task", running.done())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


FOREIGN: dict[str, Callable[[Loop, socket.socket], Any]] = {
    "call_soon": lambda loop, sock: loop.call_soon(lambda: None),
    "call_later": lambda loop, sock: loop.call_later(1000, lambda: None).cancel(),
    "call_at": lambda loop, sock: loop.call_at(loop.time() + 1000, lambda: None).cancel(),
    "call_soon_threadsafe": lambda loop, sock: loop.call_soon_threadsafe(lambda: None),
    "create_future": lambda loop, sock: loop.create_future().done(),
    "add_reader": lambda loop, sock: (loop.add_reader(sock, print), loop.remove_reader(sock)),
    "add_writer": lambda loop, sock: (loop.add_writer(sock, print), loop.remove_writer(sock)),
    "add_signal_handler": lambda loop, sock: loop.add_signal_handler(12, print),
    "remove_signal_handler": lambda loop, sock: loop.remove_signal_handler(12),
    "set_debug": lambda loop, sock: loop.set_debug(loop.get_debug()),
    "time": lambda loop, sock: loop.time() > 0,
    "is_running": lambda loop, sock: (loop.is_running(), loop.is_closed()),
    "close": lambda loop, sock: loop.close(),
    "run_forever": lambda loop, sock: loop.run_forever(),
    "run_until_complete": lambda loop, sock: loop.run_until_complete(asyncio.Future(loop=loop)),
    "run_in_executor": lambda loop, sock: loop.run_in_executor(None, int).cancelled(),
    "default_exception_handler": lambda loop, sock: loop.default_exception_handler({}),
}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("what", FOREIGN)
@twin
def test_from_a_foreign_thread(
    trace: Trace, factory: loops.Factory, what: str, debug: bool
) -> None:
    loop = factory()
    loop.set_debug(debug)
    one, other = socket.socketpair()
    one.setblocking(False)

    def act() -> None:
        try:
            result = FOREIGN[what](loop, one)
        except BaseException as error:
            result = error
        # Each loop has handles of its own.
        is_handle = isinstance(result, asyncio.Handle)
        trace.on("thread", what, "a handle" if is_handle else result)
        loop.call_soon_threadsafe(loop.stop)

    with one, other:
        thread = threading.Thread(target=act)
        loop.call_soon(thread.start)
        loop.run_forever()
        thread.join()
        trace("state", loop.is_running(), loop.is_closed())
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@twin
def test_what_a_foreign_thread_writes_arrives(trace: Trace, factory: loops.Factory) -> None:
    """Not allowed, and yet done; asyncio sends at once."""
    loop = factory()
    one, other = socket.socketpair()
    one.setblocking(False)
    with other:
        transport, _ = loop.run_until_complete(
            loop.create_unix_connection(asyncio.Protocol, sock=one)
        )

        def act() -> None:
            transport.write(b"from afar")
            loop.call_soon_threadsafe(loop.stop)

        thread = threading.Thread(target=act)
        loop.call_soon(thread.start)
        loop.run_forever()
        thread.join()
        trace("received", other.recv(100))
        transport.abort()
        loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@twin
def test_a_loop_closed_between_two_runs(trace: Trace, factory: loops.Factory) -> None:
    """With everything still open and under way."""
    loop = factory()
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)

    async def main() -> list[Any]:
        waiting = [
            loop.create_task(loop.sock_recv(other, 10)),
            loop.create_task(asyncio.sleep(1000)),
            loop.create_task(loop.getaddrinfo("localhost", 80)),
        ]
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        await asyncio.sleep(0)
        return [server, *waiting]

    with one, other:
        server, *waiting = loop.run_until_complete(main())
        loop.close()
        loop.close()
        for task in waiting[:2]:
            trace("done", task.done())
            with trace.raises("cancel"):
                task.cancel()
        with trace.raises("server.close"):
            server.close()
        for task in waiting:
            task._log_destroy_pending = False
        del server, waiting, task
