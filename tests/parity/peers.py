"""The two ends of a connection, each recording on a channel of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from .trace import Trace

LOCALHOST = "127.0.0.1"


class Ears:
    """What every recording protocol does: notes each call, and lets a test wait for it."""

    def __init__(self, trace: Trace, name: str) -> None:
        self.trace = trace
        self.name = name
        self.transport: Any = None
        self.received = bytearray()
        loop = asyncio.get_running_loop()
        self.made: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[BaseException | None] = loop.create_future()
        self.eof: asyncio.Future[None] = loop.create_future()
        self.paused: asyncio.Future[None] = loop.create_future()
        self.resumed: asyncio.Future[None] = loop.create_future()
        self._arrival = asyncio.Event()
        # What eof_received answers.
        self.keep_open = False

    def note(self, *event: object) -> None:
        self.trace.on(self.name, *event)

    def flow(self, event: str) -> None:
        # Beside what is received in the meantime, at the peer's pace.
        self.trace.on(f"{self.name} flow", event, "lost" if self.lost.done() else "")

    def connection_made(self, transport: Any) -> None:
        self.note("connection_made")
        self.transport = transport
        self.made.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.note("connection_lost", exc)
        self.lost.set_result(exc)

    def eof_received(self) -> bool:
        self.note("eof_received")
        self.eof.set_result(None)
        return self.keep_open

    def pause_writing(self) -> None:
        self.flow("pause_writing")
        if not self.paused.done():
            self.paused.set_result(None)

    def resume_writing(self) -> None:
        self.flow("resume_writing")
        if not self.resumed.done():
            self.resumed.set_result(None)

    def arrived(self, data: bytes) -> None:
        # How a stream is cut into pieces is the kernel's affair.
        self.received += data
        self.trace.merge(self.name, "data", len(data))
        self._arrival.set()

    async def wait_for(self, count: int) -> bytes:
        while len(self.received) < count:
            self._arrival.clear()
            await self._arrival.wait()
        return bytes(self.received)


class Recorder(Ears, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        self.arrived(data)


class BufferedRecorder(Ears, asyncio.BufferedProtocol):
    def __init__(self, trace: Trace, name: str, size: int = 1024) -> None:
        super().__init__(trace, name)
        self.buffer = bytearray(size)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.arrived(bytes(self.buffer[:nbytes]))


@asynccontextmanager
async def connected(
    trace: Trace,
    client: Callable[[Trace, str], Any] = Recorder,
    server: Callable[[Trace, str], Any] = Recorder,
    **connect: Any,
) -> AsyncIterator[tuple[Any, Any]]:
    """The client's and the server's protocol of one connection; closed down at the end."""
    loop = asyncio.get_running_loop()
    accepted: list[Any] = []

    def accept() -> Any:
        accepted.append(server(trace, "server"))
        return accepted[0]

    listener = await loop.create_server(accept, LOCALHOST, 0)
    host, port = listener.sockets[0].getsockname()
    trace.hide(port, "SERVER-PORT")
    _, protocol = await loop.create_connection(
        lambda: client(trace, "client"), host, port, **connect
    )
    trace.hide(protocol.transport.get_extra_info("sockname")[1], "CLIENT-PORT")
    while not accepted:
        await asyncio.sleep(0.001)
    await accepted[0].made
    try:
        yield protocol, accepted[0]
    finally:
        for end in (protocol, accepted[0]):
            if not end.lost.done():
                end.transport.abort()
                await end.lost
        listener.close()
        await listener.wait_closed()


@contextmanager
def verbose() -> Iterator[None]:
    """asyncio's log, down to its last word."""
    logger = logging.getLogger("asyncio")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)


def reset(transport: Any) -> None:
    """Ends the connection with RST instead of FIN."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def listening_socket(backlog: int = 16) -> socket.socket:
    sock = socket.socket()
    sock.bind((LOCALHOST, 0))
    sock.listen(backlog)
    return sock


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected non-blocking TCP sockets."""
    with listening_socket() as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


def datagram_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected Unix sockets that have names, unlike those of `socketpair`: to a peer without
    one asyncio's transports cannot send.
    """
    one, other = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    # Linux chooses an abstract name: unix(7), "Autobind feature".
    one.bind("")
    other.bind("")
    one.connect(other.getsockname())
    other.connect(one.getsockname())
    return one, other


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind((LOCALHOST, 0))
        port: int = sock.getsockname()[1]
        return port
