"""TLS for programs: contexts, and a peer that speaks it by hand."""

from __future__ import annotations

import functools
import socket
import ssl
import tempfile
from pathlib import Path
from typing import Any

from tests.certificates import Certificates

# More than the kernel has of a socket at once.
PIECE = 1 << 18


@functools.cache
def _certificates() -> tuple[Certificates, Any]:
    folder = tempfile.TemporaryDirectory()
    return Certificates.make(Path(folder.name)), folder


@functools.cache
def client_context() -> ssl.SSLContext:
    return _certificates()[0].client()


@functools.cache
def _server_context() -> ssl.SSLContext:
    context = _certificates()[0].server()
    # Tickets come when the server likes.
    context.num_tickets = 0
    return context


class Peer:
    """A socket's `send`, `recv`, `shutdown` and `close`, with TLS in between."""

    type = socket.SOCK_STREAM

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _server_context().wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unsent = b""
        self._is_ready = False

    def pump(self) -> None:
        """Takes what has come, and sends what there is room for."""
        try:
            while data := self._socket.recv(PIECE):
                self._incoming.write(data)
            self._incoming.write_eof()
        except BlockingIOError:
            pass
        if not self._is_ready:
            try:
                self._tls.do_handshake()
                self._is_ready = True
            except ssl.SSLWantReadError:
                pass
        self._flush()

    def _flush(self) -> None:
        self._unsent += self._outgoing.read()
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass

    def send(self, data: bytes) -> int:
        self.pump()
        try:
            return self._tls.write(data) if data else 0
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        finally:
            self._flush()

    def recv(self, size: int) -> bytes:
        self.pump()
        try:
            return self._tls.read(size)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def shutdown(self, how: int) -> None:
        """With close_notify, which is all that there is in TLS."""
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        finally:
            self._flush()

    def setsockopt(self, *arguments: Any) -> None:
        self._socket.setsockopt(*arguments)

    def close(self) -> None:
        self._socket.close()
