"""Exceptions out of every method of a protocol, over every kind of transport: who hears of them,
and what becomes of the connection and of the run."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests import loops
from tests.certificates import Certificates

from .peers import datagram_pair
from .trace import Trace
from .twin import Loop, twin


class Abrupt(BaseException):
    """Neither an Exception nor what ends a program."""


ERRORS: list[type[BaseException]] = [
    ValueError,
    OSError,
    asyncio.CancelledError,
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
    Abrupt,
]

# By kind of transport: what a peer and a program can make happen.
METHODS = {
    "stream": [
        "connection_made",
        "data_received",
        "eof_received",
        "pause_writing",
        "resume_writing",
        "connection_lost",
    ],
    "buffered": ["get_buffer", "buffer_updated", "eof_received", "connection_lost"],
    "tls": [
        "connection_made",
        "data_received",
        "eof_received",
        "pause_writing",
        "resume_writing",
        "connection_lost",
    ],
    "datagram": [
        "connection_made",
        "datagram_received",
        "error_received",
        "pause_writing",
        "resume_writing",
        "connection_lost",
    ],
    "read pipe": ["connection_made", "data_received", "eof_received", "connection_lost"],
    "write pipe": ["connection_made", "pause_writing", "resume_writing", "connection_lost"],
}

CASES = [(kind, method) for kind, methods in METHODS.items() for method in methods]

# More than any buffer of the kernel's takes.
MUCH = bytes(4 << 20)


class Failing:
    """Notes what is called, and raises in one of the methods."""

    def __init__(self, trace: Trace, method: str, error: BaseException) -> None:
        self.trace = trace
        self.method = method
        self.error = error
        self.transport: Any = None
        self.buffer = bytearray(100)

    def note(self, method: str, *event: object) -> None:
        self.trace.on("protocol", method, *event)
        if method == self.method:
            raise self.error

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.note("connection_made")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.note("connection_lost", type(exc))

    def pause_writing(self) -> None:
        self.note("pause_writing")

    def resume_writing(self) -> None:
        self.note("resume_writing")

    def eof_received(self) -> None:
        self.note("eof_received")


class FailingProtocol(Failing, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        self.note("data_received", data)


class FailingBuffered(Failing, asyncio.BufferedProtocol):
    def get_buffer(self, sizehint: int) -> bytearray:
        self.note("get_buffer")
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.note("buffer_updated", nbytes)


class FailingDatagrams(Failing, asyncio.DatagramProtocol):
    def datagram_received(self, data: bytes, addr: object) -> None:
        self.note("datagram_received", data)

    def error_received(self, exc: Exception) -> None:
        self.note("error_received", type(exc))


class Stage:
    """A loop that is run turn by turn, whatever leaves it."""

    def __init__(self, trace: Trace, loop: Loop) -> None:
        self.trace = trace
        self.loop = loop
        loop.set_exception_handler(self.report)

    def report(self, loop: Loop, context: dict[str, Any]) -> None:
        # The texts name each loop's own callbacks where it is a callback that has failed.
        message = context["message"]
        if message.startswith("Exception in callback"):
            message = "Exception in callback"
        keys = sorted(set(context) - {"handle", "source_traceback"})
        self.trace.on("exception handler", message, context.get("exception"), keys)

    def turns(self, count: int = 8) -> None:
        for _ in range(count):
            self.loop.call_soon(self.loop.stop)
            try:
                self.loop.run_forever()
            except BaseException as error:
                self.trace.on("run", error)

    def until(self, is_done: Callable[[], bool], limit: int = 20_000) -> None:
        """Turns until something has happened, or for a while."""
        for _ in range(limit):
            if is_done():
                return
            self.turns(1)
            # Another process of the machine may be in the way of the kernel's.
            os.sched_yield()

    def start(self, coroutine: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = self.loop.create_task(coroutine)
        self.until(task.done, 2000)
        if not task.done():
            self.trace("still waits")
            task.cancel()
            self.turns()
        elif task.cancelled():
            self.trace("cancelled")
        else:
            self.trace("outcome", type(task.exception()))
        return task


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(("kind", "method"), CASES)
@twin
def test_an_exception_out_of(
    trace: Trace,
    loop: Loop,
    kind: str,
    method: str,
    error: type[BaseException],
    certificates: Certificates,
) -> None:
    stage = Stage(trace, loop)
    make = {"buffered": FailingBuffered, "datagram": FailingDatagrams}.get(kind, FailingProtocol)
    protocol = make(trace, method, error("mine"))
    if kind == "tls":
        with_tls(stage, protocol, certificates)
    elif kind.endswith("pipe"):
        over_a_pipe(stage, protocol, kind)
    else:
        over_a_socket(stage, protocol, kind)


def small_buffers(*socks: socket.socket) -> None:
    for sock in socks:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


def over_a_socket(stage: Stage, protocol: Any, kind: str) -> None:
    loop = stage.loop
    is_datagram = kind == "datagram"
    one, other = datagram_pair() if is_datagram else socket.socketpair()
    small_buffers(one, other)
    with other:
        if is_datagram:
            stage.start(loop.create_datagram_endpoint(lambda: protocol, sock=one))
        else:
            stage.start(loop.create_unix_connection(lambda: protocol, sock=one))
        other.send(b"hello")
        stage.turns()
        transport = protocol.transport
        stage.trace("is_closing", transport.is_closing())
        if protocol.method == "error_received":
            # Nobody will take it.
            other.close()
            with stage.trace.raises("sendto"):
                transport.sendto(b"to nobody")
            stage.turns()
        elif protocol.method.endswith("writing"):
            fill(stage, transport, is_datagram)
            drain(stage, other, transport)
        elif protocol.method == "eof_received":
            other.shutdown(socket.SHUT_WR)
            stage.turns()
        stage.trace("is_closing", transport.is_closing())
        transport.abort()
        stage.turns()


def fill(stage: Stage, transport: Any, is_datagram: bool) -> None:
    """Writes more than fits."""
    try:
        if is_datagram:
            for _ in range(100):
                transport.sendto(bytes(1000))
                if transport.get_write_buffer_size() > 70_000:
                    break
            for _ in range(100):
                transport.sendto(bytes(1000))
        else:
            transport.write(MUCH)
    except BaseException as error:
        stage.trace("write", error)
    stage.turns()


def drain(stage: Stage, sock: socket.socket, transport: Any) -> None:
    """Takes all that was written."""
    got = 0

    def is_done() -> bool:
        nonlocal got
        try:
            received = len(sock.recv(1 << 20))
        except BlockingIOError:
            return bool(transport.get_write_buffer_size() == 0)
        except ConnectionError:
            return True
        got += received
        return received == 0

    stage.until(is_done)
    stage.turns()
    stage.trace("received anything", got > 0)


def over_a_pipe(stage: Stage, protocol: Any, kind: str) -> None:
    loop = stage.loop
    reading, writing = os.pipe()
    ours, theirs = (reading, writing) if kind == "read pipe" else (writing, reading)
    os.set_blocking(theirs, False)
    file = os.fdopen(ours, "rb" if kind == "read pipe" else "wb", 0)
    try:
        if kind == "read pipe":
            stage.start(loop.connect_read_pipe(lambda: protocol, file))
            os.write(theirs, b"hello")
            stage.turns()
        else:
            stage.start(loop.connect_write_pipe(lambda: protocol, file))
        transport = protocol.transport
        stage.trace("is_closing", transport.is_closing())
        if protocol.method.endswith("writing"):
            try:
                transport.write(MUCH)
            except BaseException as error:
                stage.trace("write", error)
            stage.turns()
            got = 0

            def is_done() -> bool:
                nonlocal got
                try:
                    received = len(os.read(theirs, 1 << 20))
                except BlockingIOError:
                    return bool(transport.get_write_buffer_size() == 0)
                got += received
                return received == 0

            stage.until(is_done)
            stage.trace("received anything", got > 0)
    finally:
        os.close(theirs)
    stage.turns()
    stage.trace("is_closing", transport.is_closing())
    transport.close()
    stage.turns()


def with_tls(stage: Stage, protocol: Any, certificates: Certificates) -> None:
    loop = stage.loop
    one, other = socket.socketpair()
    small_buffers(one, other)
    peer = Peer(stage.trace)
    serving = loop.create_task(
        loop.connect_accepted_socket(lambda: peer, other, ssl=certificates.server())
    )
    stage.start(
        loop.create_unix_connection(
            lambda: protocol, sock=one, ssl=certificates.client(), server_hostname="localhost"
        )
    )
    stage.until(lambda: peer.transport is not None or serving.done(), 2000)
    if not serving.done():
        serving.cancel()
    stage.turns()
    if peer.transport is None or protocol.transport is None:
        return
    transport = protocol.transport
    if protocol.method == "data_received":
        peer.transport.write(b"hello")
    elif protocol.method == "eof_received":
        peer.transport.close()
    elif protocol.method.endswith("writing"):
        peer.transport.pause_reading()
        try:
            transport.write(MUCH)
        except BaseException as error:
            stage.trace("write", error)
        stage.turns()
        peer.transport.resume_reading()
        stage.until(lambda: peer.is_lost or transport.get_write_buffer_size() == 0)
    stage.turns(40)
    stage.trace("is_closing", transport.is_closing())
    transport.abort()
    stage.turns(40)
    peer.transport.abort()
    stage.turns(40)


class Peer(asyncio.Protocol):
    """The other end of TLS."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.transport: Any = None
        self.is_lost = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: BaseException | None) -> None:
        self.is_lost = True


@pytest.mark.parametrize("error", ERRORS)
@twin
def test_an_exception_out_of_a_factory(
    trace: Trace, factory: loops.Factory, error: type[BaseException]
) -> None:
    loop = factory()
    stage = Stage(trace, loop)

    def fail() -> Any:
        raise error("mine")

    try:
        one, other = socket.socketpair()
        with other:
            one.setblocking(False)
            stage.start(loop.create_unix_connection(fail, sock=one))
            one.close()
        stage.start(loop.create_datagram_endpoint(fail, ("127.0.0.1", 0)))
        reading, writing = os.pipe()
        with open(reading, "rb", 0) as reader, open(writing, "wb", 0) as writer:
            stage.start(loop.connect_read_pipe(fail, reader))
            stage.start(loop.connect_write_pipe(fail, writer))
        stage.start(loop.subprocess_exec(fail, "true"))
    finally:
        loop.close()
