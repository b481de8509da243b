"""Where an echo server listens."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

BACKLOG = 1024


class Address:
    """A listening socket of the kind asked for, and what must stay alive while it is served."""

    def __init__(
        self, unix_path: str | None, certificate: str | None = None, udp: bool = False
    ) -> None:
        """`certificate` is a file with a certificate and its key, for TLS."""
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        if udp:
            self.listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.listener.bind(("127.0.0.1", 0))
        elif unix_path is None:
            self.listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        else:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(unix_path)
            self.listener.listen(BACKLOG)
        self.listener.setblocking(False)
        self._unix = unix_path is not None
        self._kept: list[object] = []
        # Asked now: some loops take the socket away from its Python object.
        name = self.listener.getsockname()
        if self._unix:
            self.target = ["--unix", name]
        else:
            self.target = ["--udp" if udp else "--tcp", f"{name[0]}:{name[1]}"]
        """The load generator's arguments that lead here."""
        if self._tls is not None:
            self.target.append("--tls")

    def keep(self, served: object) -> None:
        self._kept.append(served)

    async def create_server(self, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        loop = asyncio.get_running_loop()
        if self._unix:
            create = loop.create_unix_server(protocol, sock=self.listener, backlog=BACKLOG)
        else:
            create = loop.create_server(
                protocol, sock=self.listener, backlog=BACKLOG, ssl=self._tls
            )
        self.keep(await create)

    async def create_datagram_endpoint(
        self, protocol: Callable[[], asyncio.DatagramProtocol]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.keep(await loop.create_datagram_endpoint(protocol, sock=self.listener))

    async def start_server(self, handler: Handler) -> None:
        if self._unix:
            start = asyncio.start_unix_server(handler, sock=self.listener, backlog=BACKLOG)
        else:
            start = asyncio.start_server(
                handler, sock=self.listener, backlog=BACKLOG, ssl=self._tls
            )
        self.keep(await start)
