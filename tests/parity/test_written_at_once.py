"""What `write()` was given is with the kernel when it returns: nothing that follows in the same
callback can tell otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.certificates import Certificates

from .peers import socket_pair
from .trace import Trace
from .twin import twin

# Longer than any machine takes to hand over what was sent.
PATIENCE_SECONDS = 20
# How long nothing has to come for nothing to have been sent.
SILENCE_SECONDS = 0.05

KINDS = ("tcp", "unix", "tls")


class Peer:
    """The other end, read with the loop standing still."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def take(self, count: int) -> bytes:
        """So many bytes, or those that are there if no more come."""
        taken = b""
        while len(taken) < count:
            self.sock.settimeout(PATIENCE_SECONDS)
            piece = self.sock.recv(count - len(taken))
            if not piece:
                break
            taken += piece
        return taken

    def is_silent(self) -> bool:
        return not select.select([self.sock], [], [], SILENCE_SECONDS)[0]

    def take_all(self) -> bytes:
        """Until the end."""
        taken = b""
        self.sock.settimeout(PATIENCE_SECONDS)
        while piece := self.sock.recv(65536):
            taken += piece
        return taken


def pair(kind: str) -> tuple[socket.socket, socket.socket]:
    if kind == "unix":
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        return ours, theirs
    return socket_pair()


@asynccontextmanager
async def opened(
    kind: str,
    certificates: Certificates,
    protocol: Callable[[], asyncio.BaseProtocol] = asyncio.Protocol,
) -> AsyncIterator[tuple[Any, Peer]]:
    """A transport of the loop's, and the other end as a plain socket."""
    loop = asyncio.get_running_loop()
    ours, theirs = pair(kind)
    context = certificates.server() if kind == "tls" else None
    connecting = asyncio.ensure_future(loop.connect_accepted_socket(protocol, ours, ssl=context))
    if kind == "tls":
        theirs.settimeout(PATIENCE_SECONDS)
        trusting = certificates.client()
        theirs = await asyncio.to_thread(
            lambda: trusting.wrap_socket(theirs, server_hostname="localhost")
        )
    transport, _ = await connecting
    with theirs:
        yield transport, Peer(theirs)
        transport.abort()
        # connection_lost comes before the descriptor is gone.
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.mark.parametrize("kind", KINDS)
@twin
async def test_the_peer_reads_while_the_callback_goes_on(
    trace: Trace, kind: str, certificates: Certificates
) -> None:
    async with opened(kind, certificates) as (transport, peer):
        for data in (b"bytes", bytearray(b"bytearray"), memoryview(b"memoryview")):
            transport.write(data)
            trace("wrote", peer.take(len(data)), transport.get_write_buffer_size())
        transport.writelines([b"several ", bytearray(b"lines "), memoryview(b"at once")])
        trace("wrote", peer.take(21), transport.get_write_buffer_size())
        transport.write(b"")
        transport.writelines([])
        transport.writelines([b"", b""])
        trace("nothing", peer.is_silent())


@pytest.mark.parametrize("kind", KINDS)
@twin
async def test_pieces_of_one_answer_arrive_one_by_one(
    trace: Trace, kind: str, certificates: Certificates
) -> None:
    """Whatever a connection has done before, no piece waits for the next one."""
    async with opened(kind, certificates) as (transport, peer):
        for _ in range(30):
            transport.write(b"head")
            transport.write(b"body")
            peer.take(8)
            await asyncio.sleep(0)
        for _ in range(3):
            transport.write(b"head")
            trace("head", peer.take(4))
            transport.write(b"body")
            trace("body", peer.take(4))
            transport.write(b"more")
            transport.write(b"last")
            trace("rest", peer.take(8))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("buffered", [False, True])
@twin
async def test_written_in_a_protocols_callback(
    trace: Trace, kind: str, buffered: bool, certificates: Certificates
) -> None:
    done = asyncio.get_running_loop().create_future()
    peers: list[Peer] = []

    class Answering(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            for _ in range(2):
                self.transport.write(b"answer")
                trace("in the callback", peers[0].take(6))
            done.set_result(None)

    class AnsweringBuffered(asyncio.BufferedProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def get_buffer(self, sizehint: int) -> bytearray:
            return bytearray(100)

        def buffer_updated(self, nbytes: int) -> None:
            Answering.data_received(self, b"")  # type: ignore[arg-type]

    protocol = AnsweringBuffered if buffered else Answering
    async with opened(kind, certificates, protocol) as (_, peer):
        peers.append(peer)
        peer.sock.sendall(b"question")
        await done


@pytest.mark.parametrize("kind", KINDS)
@twin
async def test_an_exception_out_of_a_callback_loses_nothing(
    trace: Trace, kind: str, certificates: Certificates
) -> None:
    asyncio.get_running_loop().set_exception_handler(trace.exception_handler)
    lost = asyncio.get_running_loop().create_future()

    class Failing(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(b"last words")
            raise RuntimeError("in data_received")

        def connection_lost(self, exc: BaseException | None) -> None:
            trace("lost", exc)
            lost.set_result(None)

    async with opened(kind, certificates, Failing) as (_, peer):
        peer.sock.sendall(b"question")
        await lost
        trace("received", peer.take(10))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["abort", "close"])
@twin
async def test_the_end_in_the_same_callback_loses_nothing(
    trace: Trace, kind: str, end: str, certificates: Certificates
) -> None:
    async with opened(kind, certificates) as (transport, peer):
        transport.write(b"last words")
        getattr(transport, end)()
        trace("received", peer.take(10))


@pytest.mark.parametrize("kind", KINDS)
@twin
async def test_a_fork_sends_nothing_twice(
    trace: Trace, kind: str, certificates: Certificates
) -> None:
    async with opened(kind, certificates) as (transport, peer):
        transport.write(b"once;")
        child = forked(lambda: None)
        trace("child", os.waitpid(child, 0)[1])
        await asyncio.sleep(0)
        trace("received", peer.take(5), peer.is_silent())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@twin
async def test_parent_and_child_both_write_on(
    trace: Trace, kind: str, certificates: Certificates
) -> None:
    async with opened(kind, certificates) as (transport, peer):
        transport.write(b"before;")
        child = forked(lambda: transport.write(b"child;"))
        os.waitpid(child, 0)
        transport.write(b"parent;")
        await asyncio.sleep(0)
        trace("received", peer.take(20), peer.is_silent())


def forked(then: Callable[[], None]) -> int:
    """A child that does this and is gone at once, without unwinding anything."""
    with contextlib.suppress(DeprecationWarning):
        child = os.fork()
    if child == 0:
        try:
            then()
        finally:
            os._exit(0)
    return child


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@twin
async def test_what_is_sent_by_hand_comes_after(
    trace: Trace, kind: str, certificates: Certificates
) -> None:
    async with opened(kind, certificates) as (transport, peer):
        sock = transport.get_extra_info("socket")
        with socket.socket(fileno=os.dup(sock.fileno())) as double:
            for number in range(3):
                transport.write(b"transport%d;" % number)
                double.send(b"by hand;")
                os.write(sock.fileno(), b"os.write;")
        trace("received", peer.take(3 * (11 + 8 + 9)))


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@twin
async def test_the_socket_is_shut_after_a_write(
    trace: Trace, kind: str, certificates: Certificates
) -> None:
    async with opened(kind, certificates) as (transport, peer):
        transport.write(b"all of it")
        transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        trace("received", peer.take_all())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@twin
async def test_write_eof_right_after_a_write(
    trace: Trace, kind: str, certificates: Certificates
) -> None:
    async with opened(kind, certificates) as (transport, peer):
        transport.write(b"all of it")
        transport.write_eof()
        trace("received", peer.take_all())


@pytest.mark.parametrize("lines", [False, True])
@twin
async def test_a_reset_is_noticed_by_the_write(
    trace: Trace, lines: bool, certificates: Certificates
) -> None:
    lost = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.Protocol):
        def connection_lost(self, exc: BaseException | None) -> None:
            trace("lost", exc)
            lost.set_result(None)

    async with opened("tcp", certificates, Protocol) as (transport, peer):
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.sock.close()
        trace("before", transport.is_closing())
        write = transport.writelines if lines else transport.write
        write([b"x"] if lines else b"x")
        trace("after", transport.is_closing(), transport.get_write_buffer_size())
        # (What writelines makes of them depends on the micro release.)
        for _ in range(7):
            transport.write(b"x")
        await lost


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@twin
async def test_a_stream_learns_of_a_reset_from_drain(
    trace: Trace, kind: str, certificates: Certificates
) -> None:
    ours, theirs = pair(kind)
    reader, writer = await asyncio.open_connection(sock=ours)
    del reader
    if kind == "tcp":
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    writer.write(b"x")
    trace("closing", writer.is_closing())
    with trace.raises("drain"):
        await writer.drain()
    with trace.raises("drain again"):
        await writer.drain()
    with contextlib.suppress(ConnectionError):
        writer.close()
        await writer.wait_closed()


class Flow(asyncio.Protocol):
    """Notes when it is told to pause and to go on."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def pause_writing(self) -> None:
        self.trace("pause_writing")

    def resume_writing(self) -> None:
        self.trace("resume_writing")


@pytest.mark.parametrize("kind", KINDS)
@twin
async def test_high_water_zero_pauses_nobody_whose_bytes_are_gone(
    trace: Trace, kind: str, certificates: Certificates
) -> None:
    async with opened(kind, certificates, lambda: Flow(trace)) as (transport, peer):
        transport.set_write_buffer_limits(high=0)
        transport.write(b"gone")
        trace("wrote", transport.get_write_buffer_size())
        transport.writelines([b"gone", b"too"])
        trace("wrote", transport.get_write_buffer_size())
        peer.take(11)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@twin
async def test_what_is_queued_is_not_overtaken(
    trace: Trace, kind: str, certificates: Certificates
) -> None:
    async with opened(kind, certificates, lambda: Flow(trace)) as (transport, peer):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        peer.sock.settimeout(PATIENCE_SECONDS)
        block = bytes(1 << 20)
        while not transport.get_write_buffer_size():
            transport.write(block)
        trace("full", 0 < transport.get_write_buffer_size() <= len(block))
        size = transport.get_write_buffer_size()
        transport.write(b"end")
        trace("queued", transport.get_write_buffer_size() - size)
        reading = asyncio.create_task(asyncio.to_thread(last_of, peer))
        while transport.get_write_buffer_size():
            await asyncio.sleep(0.001)
        transport.write_eof()
        trace("last", await reading)


def last_of(peer: Peer) -> bytes:
    return peer.take_all()[-5:]


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@twin
async def test_writelines_tries_again_what_is_queued(
    trace: Trace, kind: str, certificates: Certificates
) -> None:
    """`writelines` asks the kernel whatever is queued; `write` waits for the event."""
    async with opened(kind, certificates, lambda: Flow(trace)) as (transport, peer):
        transport.set_write_buffer_limits(high=1 << 22)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        peer.sock.setblocking(False)
        while not transport.get_write_buffer_size():
            transport.write(bytes(1 << 16))
        emptied = 0
        # In small pieces the kernel on both sides can be slow to pass on what it has.
        while transport.get_write_buffer_size():
            with contextlib.suppress(BlockingIOError):
                while piece := peer.sock.recv(1 << 16):
                    emptied += len(piece)
            if sys.version_info >= (3, 12):
                transport.writelines([b"x"])
            else:
                await asyncio.sleep(0.001)
        trace("nothing left", transport.get_write_buffer_size(), emptied > 0)


@twin
async def test_an_upgrade_to_tls_after_a_write(trace: Trace, certificates: Certificates) -> None:
    """start_tls begins with what was written before it already sent."""
    loop = asyncio.get_running_loop()
    async with opened("tcp", certificates) as (transport, peer):
        transport.write(b"go ahead")
        trace("before", peer.take(8))
        peer.sock.settimeout(PATIENCE_SECONDS)
        upgrading = asyncio.ensure_future(
            loop.start_tls(transport, asyncio.Protocol(), certificates.server(), server_side=True)
        )
        trusting = certificates.client()
        with await asyncio.to_thread(
            lambda: trusting.wrap_socket(peer.sock, server_hostname="localhost")
        ) as secure:
            tls = await upgrading
            assert tls is not None
            tls.write(b"secret")
            trace("after", Peer(secure).take(6))
            tls.abort()
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("size", [1000, 16 * 1024, 64 * 1024, 100_001])
@twin
async def test_large_writes_over_tls_are_sent_at_once(
    trace: Trace, size: int, certificates: Certificates
) -> None:
    async with opened("tls", certificates) as (transport, peer):
        data = bytes(range(256)) * (size // 256 + 1)
        transport.write(data[:size])
        trace("wrote", transport.get_write_buffer_size())
        received = peer.take(size)
        trace("received", received == data[:size])


ENDS_OF_A_PROCESS = {
    "exit": "os._exit(0)",
    "kill": "os.kill(os.getpid(), signal.SIGKILL)",
    "exec": "os.execv('/bin/true', ['true'])",
    "abort": "os.abort()",
}

PROGRAM = """
import asyncio, os, signal, socket, resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
{imports}

async def main():
    _, writer = await asyncio.open_connection(sock=socket.socket(fileno={fileno}))
    writer.write(b"last ")
    writer.writelines([b"wo", b"rds"])
    {end}

{run}
"""


@pytest.mark.parametrize("end", ENDS_OF_A_PROCESS)
def test_a_process_that_ends_there_and_then_has_sent(end: str) -> None:
    runs = {
        "asyncio": ("", "asyncio.run(main())"),
        "ferrio": ("import ferrio", "ferrio.run(main())"),
        "replaced": ("import ferrio; ferrio.install(replace=True)", "asyncio.run(main())"),
    }
    for name, (imports, run) in runs.items():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.set_inheritable(True)
            program = PROGRAM.format(
                imports=imports, run=run, end=ENDS_OF_A_PROCESS[end], fileno=ours.fileno()
            )
            child = os.posix_spawn(
                sys.executable, [sys.executable, "-c", program], dict(os.environ)
            )
            ours.close()
            received = Peer(theirs).take_all()
            os.waitpid(child, 0)
        assert received == b"last words", name
