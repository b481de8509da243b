"""asyncio's own socket transports, on a loop that has no selector."""

from __future__ import annotations

from asyncio.selector_events import (  # type: ignore[attr-defined]
    _SelectorDatagramTransport,
    _SelectorSocketTransport,
)
from typing import Any

__all__ = ["DatagramObjectTransport", "SocketObjectTransport"]


class SocketObjectTransport(_SelectorSocketTransport):  # type: ignore[misc]
    """A transport that calls the methods of its socket object.

    A subclass of ``socket.socket`` may override ``recv`` or ``send``, and a program that passes
    one as ``sock=`` counts on their being called. asyncio's transport does so, and all that it
    needs of a loop is to have a descriptor watched.
    """

    def __repr__(self) -> str:
        return described(self)


class DatagramObjectTransport(_SelectorDatagramTransport):  # type: ignore[misc]
    """The same for datagrams, and for families whose addresses only their object understands."""

    def __repr__(self) -> str:
        return described(self)


def described(transport: Any) -> str:
    """The repr; the inherited one asks the loop's selector what it watches."""
    state = " closed" if transport._sock is None else " closing" if transport._closing else ""
    size = transport.get_write_buffer_size()
    name = type(transport).__name__
    return f"<{name}{state} fd={transport._sock_fd} write=<bufsize={size}>>"
