"""Connections of a program: one end is on the loop, the other a socket that the program works by
hand, so that what happens when is up to the program alone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any

from .stage import Stage

# Turns after which whatever a socket's event causes has happened.
SETTLED = 6


class Network(Stage):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.peers: list[socket.socket] = []
        self.transports: list[Any] = []
        self.streams: list[tuple[Any, Any]] = []
        self.servers: list[Any] = []
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

    async def accept(self, protocol: Any) -> None:
        ours, peer = self.pair("tcp")
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

    async def serve(self, function: Any) -> None:
        """A server of streams, and a client that is a socket."""

        async def client(reader: Any, writer: Any) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.set_name(self.name("client"))
            self.streams.append((reader, writer))
            self.transports.append(writer.transport)
            await function()

        server = await self.aio.start_server(client, "127.0.0.1", 0)
        self.servers.append(server)
        peer = socket.create_connection(server.sockets[0].getsockname())
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

    def peer(self, number: int) -> socket.socket:
        return self.peers[number % len(self.peers)]

    def write_lines(self, target: Any, lines: list[Any]) -> Any:
        """Up to 3.13.5 those of a lost connection raise a TypeError out of asyncio's own code."""
        if target.is_closing():
            return [target.write(line) for line in lines]
        return target.writelines(lines)

    async def send(self, number: int, data: bytes) -> int:
        try:
            return self.peer(number).send(data)
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
                transport.abort() if hasattr(transport, "abort") else transport.close()
        await self.turns(SETTLED)
        for number in range(len(self.peers)):
            with self.step("left"):
                self.note("left", len(self.receive(number)))

    def close(self) -> None:
        for each in self._sockets:
            each.close()
        self.transports.clear()
        self.streams.clear()


class Talk:
    """What protocols of programs have in common: they are traced by their connection."""

    def __init__(self, stage: Network, name: str) -> None:
        self.stage = stage
        self.name = name
        self.transport: Any = None
