"""TLS: ``SSLProtocol``, and asyncio's functions with it in the place of their own."""

from __future__ import annotations

import asyncio
from asyncio import base_events, sslproto, streams
from typing import Any

from ._borrow import Names, borrow
from ._ferrio import BaseSSLProtocol

__all__ = ["SSLProtocol", "start_tls"]

# Whatever stands in its place later.
_StreamReaderProtocol = streams.StreamReaderProtocol


class SSLProtocol(BaseSSLProtocol, asyncio.BufferedProtocol):
    """What stands between a transport and a program's protocol on a TLS connection.

    It is made with the arguments of ``asyncio.sslproto.SSLProtocol`` and does what that does, on
    any transport; on one of ferrio's own without running Python code for what is received.
    """

    __slots__ = ()
    __module__ = "ferrio"


def with_what_was_read(
    loop: Any,
    protocol: Any,
    sslcontext: Any,
    waiter: Any,
    server_side: bool = False,
    *args: Any,
    **kwargs: Any,
) -> SSLProtocol:
    """An ``SSLProtocol`` that begins with what a stream reader has of the handshake already.

    asyncio's ``start_tls`` of today gives it that, earlier releases lose it (gh-142352).
    """
    made = SSLProtocol(loop, protocol, sslcontext, waiter, server_side, *args, **kwargs)
    if server_side and isinstance(protocol, _StreamReaderProtocol):
        reader = protocol._stream_reader  # type: ignore[attr-defined]
        if reader is not None and reader._buffer:
            made._incoming.write(reader._buffer)  # type: ignore[attr-defined]
            reader._buffer.clear()
    return made


class _Sslproto:
    """`asyncio.sslproto`, to a function that makes our ``SSLProtocol`` where it makes asyncio's."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(sslproto, name)
        if found is not _theirs:
            return found
        return SSLProtocol if _does_all else with_what_was_read


_theirs = sslproto.SSLProtocol
# What the function does besides differs between patch releases even.
_does_all = "_incoming" in base_events.BaseEventLoop.start_tls.__code__.co_names
start_tls = borrow(
    base_events.BaseEventLoop.start_tls,
    Names(base_events, {"sslproto": _Sslproto()}),
)
