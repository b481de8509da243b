"""Connections of a program: one end is on the loop, the other a socket that the program works by
hand, so that what happens when is up to the program alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import Any

from . import tls
from .props import Props
from .stage import Awaitable, ProgramError

# Turns after which whatever a socket's event causes has happened.
SETTLED = 6
# The same for a handshake.
HANDSHAKE = 40


class Network(Props):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.peers: list[Any] = []
        self.transports: list[Any] = []
        self.streams: list[tuple[Any, Any]] = []
        self.servers: list[Any] = []
        self.protocols: list[Any] = []
        self.upgraded: list[Any] = []
        self._sockets: list[socket.socket] = []

    def pair(self, kind: str) -> tuple[socket.socket, socket.socket]:
        if kind == "tcp":
            with socket.create_server(("127.0.0.1", 0)) as listener:
                ours = socket.create_connection(listener.getsockname())
                peer, _ = listener.accept()
        elif kind == "udp":
            ours = socket.socket(type=socket.SOCK_DGRAM)
            peer = socket.socket(type=socket.SOCK_DGRAM)
            for each in (ours, peer):
                each.bind(("127.0.0.1", 0))
            ours.connect(peer.getsockname())
            peer.connect(ours.getsockname())
        else:
            ours, peer = socket.socketpair()
        for each in (ours, peer):
            each.setblocking(False)
        self._sockets += [ours, peer]
        return ours, peer

    async def connect(self, kind: str, protocol: Any, **options: Any) -> None:
        """A connection with a protocol of the program's."""
        ours, peer = self.pair(kind)
        self.peers.append(peer)
        make: Any = self.loop.create_connection
        if kind == "udp":
            make = self.loop.create_datagram_endpoint
        transport, _ = await make(lambda: protocol(self.named("conn")), sock=ours, **options)
        self.transports.append(transport)

    async def connect_tls(self, kind: str, protocol: Any) -> None:
        ours, plain = self.pair(kind)
        peer = tls.Peer(plain)
        self.peers.append(peer)
        connecting = self.loop.create_connection(
            lambda: protocol(self.named("conn")),
            sock=ours,
            ssl=tls.client_context(),
            server_hostname="localhost",
        )
        transport, _ = await self.shaken(peer, connecting)
        self.transports.append(transport)

    async def open_tls_streams(self, kind: str, limit: int) -> None:
        ours, plain = self.pair(kind)
        peer = tls.Peer(plain)
        self.peers.append(peer)
        opening = self.aio.open_connection(
            sock=ours, limit=limit, ssl=tls.client_context(), server_hostname="localhost"
        )
        reader, writer = await self.shaken(peer, opening)
        self.streams.append((reader, writer))
        self.transports.append(writer.transport)

    async def start_tls(self, number: int) -> None:
        """Over a connection that there is. If it begins twice over one, asyncio's first protocol
        never hears of its end, and warns of a transport that ferrio has not made then."""
        old = self.transport(number)
        if old in self.upgraded:
            raise ProgramError("TLS has begun")
        self.upgraded.append(old)
        index = number % len(self.peers)
        peer = self.peers[index] = tls.Peer(self.peers[index])
        starting = self.loop.start_tls(
            old, old.get_protocol(), tls.client_context(), server_hostname="localhost"
        )
        self.transports.append(await self.shaken(peer, starting))

    async def shaken(self, peer: tls.Peer, coroutine: Any) -> Any:
        """The coroutine's result, after a handshake with the peer."""
        task = asyncio.Task(coroutine, loop=self.loop, name="handshake")
        try:
            for _ in range(HANDSHAKE):
                if task.done():
                    break
                with contextlib.suppress(OSError):
                    peer.pump()
                await Awaitable(lambda: iter([None]))
        except BaseException:
            if not task.cancel() and not task.cancelled() and task.exception() is None:
                self.transports.append(task.result())
            raise
        if not task.done():
            task.cancel()
        return await task

    async def accept(self, kind: str, protocol: Any) -> None:
        ours, peer = self.pair(kind)
        self.peers.append(peer)
        transport, _ = await self.loop.connect_accepted_socket(
            lambda: protocol(self.named("conn")), ours
        )
        self.transports.append(transport)

    async def open_streams(self, kind: str, limit: int) -> None:
        ours, peer = self.pair(kind)
        self.peers.append(peer)
        reader, writer = await self.aio.open_connection(sock=ours, limit=limit)
        self.streams.append((reader, writer))
        self.transports.append(writer.transport)

    async def serve(self, kind: str, function: Any) -> None:
        """A server of streams, and a client that is a socket."""

        async def client(reader: Any, writer: Any) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.set_name(self.name("client"))
            self.streams.append((reader, writer))
            self.transports.append(writer.transport)
            await function()

        if kind == "unix":
            server = await self.aio.start_unix_server(client, "\0" + self.path())
        else:
            server = await self.aio.start_server(client, "127.0.0.1", 0)
        await self.visit(server)

    async def listen(self, kind: str, protocol: Any) -> None:
        """A server of protocols, and a client that is a socket."""

        def make() -> Any:
            made = protocol(self.named("conn"))
            self.protocols.append(made)
            return made

        if kind == "unix":
            server = await self.loop.create_unix_server(make, "\0" + self.path())
        else:
            server = await self.loop.create_server(make, "127.0.0.1", 0)
        await self.visit(server)
        transports = [made.transport for made in self.protocols if made.transport is not None]
        self.transports += [each for each in transports if each not in self.transports]

    def path(self) -> str:
        """An abstract address."""
        return f"ferrio-{os.getpid()}-{self.name('path')}"

    async def visit(self, server: Any) -> None:
        self.servers.append(server)
        listener = server.sockets[0]
        peer = socket.socket(listener.family)
        peer.connect(listener.getsockname())
        peer.setblocking(False)
        self._sockets.append(peer)
        self.peers.append(peer)
        await self.turns(SETTLED)

    async def pipe(self, protocol: Any, kind: str) -> None:
        ours, peer = self.pair("unix")
        self.peers.append(peer)
        make: Any = self.loop.connect_read_pipe if kind == "read" else self.loop.connect_write_pipe
        transport, _ = await make(
            lambda: protocol(self.named("conn")), ours.makefile("rb" if kind == "read" else "wb", 0)
        )
        ours.close()
        self.transports.append(transport)

    def named(self, of: str) -> str:
        return self.name(of)

    def transport(self, number: int) -> Any:
        return self.transports[number % len(self.transports)]

    def stream_reader(self, number: int) -> Any:
        return self.streams[number % len(self.streams)][0] if self.streams else self.reader

    def writer(self, number: int) -> Any:
        return self.streams[number % len(self.streams)][1]

    def peer(self, number: int) -> Any:
        return self.peers[number % len(self.peers)]

    def server(self, number: int) -> Any:
        return self.servers[number % len(self.servers)]

    def write_lines(self, target: Any, lines: list[Any]) -> Any:
        """Up to 3.13.5 those of a lost connection raise a TypeError out of asyncio's own code."""
        if target.is_closing():
            return [target.write(line) for line in lines]
        return target.writelines(lines)

    async def send(self, number: int, data: bytes) -> int:
        try:
            sent: int = self.peer(number).send(data)
            return sent
        finally:
            await self.turns(SETTLED)

    def receive(self, number: int, size: int = 1 << 20) -> bytes:
        """What has arrived at the peer so far."""
        parts = []
        peer = self.peer(number)
        while size > 0:
            try:
                part = peer.recv(size)
            except BlockingIOError:
                break
            if not part:
                parts.append(b"<end>")
                break
            size -= len(part)
            parts.append(part)
            if peer.type & socket.SOCK_DGRAM == socket.SOCK_DGRAM:
                parts.append(b"|")
        return b"".join(parts)

    async def drain(self, number: int) -> int:
        """Reads at the peer until nothing more comes."""
        size = 0
        idle = 0
        while idle < SETTLED:
            part = self.receive(number)
            idle = 0 if part and part != b"<end>" else idle + 1
            size += len(part)
            await asyncio.sleep(0)
        return size

    async def hang_up(self, number: int, how: str) -> None:
        peer = self.peer(number)
        with contextlib.suppress(OSError):
            if how == "half":
                peer.shutdown(socket.SHUT_WR)
            elif how == "deaf":
                peer.shutdown(socket.SHUT_RD)
            else:
                if how == "reset":
                    linger = struct.pack("ii", 1, 0)
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                peer.close()
        await self.turns(SETTLED)

    async def finish(self) -> None:
        for transport in self.transports:
            self.note("left", transport.is_closing())
        for server in self.servers:
            server.close()
        await self.turns(SETTLED)
        await super().finish()
        for transport in self.transports:
            with self.step("left"):
                abort = transport.abort if hasattr(transport, "abort") else transport.close
                self.note("left", abort())
        await self.turns(SETTLED)
        for number in range(len(self.peers)):
            with self.step("left"):
                self.note("left", len(self.receive(number)))

    def close(self) -> None:
        super().close()
        for each in self._sockets:
            each.close()
        self.transports.clear()
        self.upgraded.clear()
        self.streams.clear()
