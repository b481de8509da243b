"""asyncio's streams: the native classes, completed to subclasses of asyncio's own.

What runs once for a connection is asyncio's code, on attributes that are native.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import sys
from asyncio import streams
from typing import Any

from .. import _ferrio
from .._borrow import Names, borrow

__all__ = [
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "open_connection",
    "start_server",
]

if sys.platform != "win32":
    __all__ += ["open_unix_connection", "start_unix_server"]


class StreamReader(_ferrio.StreamReader, streams.StreamReader):
    """Bytes that come from a transport. See `asyncio.StreamReader`."""


class StreamWriter(_ferrio.StreamWriter, streams.StreamWriter):
    """Bytes for a transport. See `asyncio.StreamWriter`."""


class _FlowControl(streams.FlowControlMixin):
    """asyncio's, but for the deque of those who wait for `drain`: it is made for the first of them.

    Empty it takes 760 bytes, a sixth of what an idle connection does (bench: memory_streams).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(loop)
        del self._drain_waiters

    @functools.cached_property
    def _drain_waiters(self) -> collections.deque[asyncio.Future[None]]:
        return collections.deque()


class StreamReaderProtocol(
    _ferrio.StreamReaderProtocol, streams.StreamReaderProtocol, _FlowControl
):
    """From a transport to a reader. See `asyncio.StreamReaderProtocol`."""

    # As asyncio's of today, after `start_tls`: in earlier releases the reader goes on pausing the
    # transport that is below TLS by then.
    if hasattr(streams.StreamReaderProtocol, "_replace_transport"):

        def _replace_transport(self, transport: asyncio.Transport) -> None:
            super()._replace_transport(transport)  # type: ignore[misc]
            _read_from(self, transport)

    else:

        def _replace_writer(self, writer: asyncio.StreamWriter) -> None:
            super()._replace_writer(writer)  # type: ignore[misc]
            _read_from(self, writer.transport)


def _read_from(protocol: Any, transport: asyncio.BaseTransport) -> None:
    reader = protocol._stream_reader
    if reader is not None:
        reader._transport = transport


# To asyncio's own functions the classes of `asyncio.streams` are those of this module.
_names = Names(
    streams,
    {
        "StreamReader": StreamReader,
        "StreamWriter": StreamWriter,
        "StreamReaderProtocol": StreamReaderProtocol,
    },
)

StreamReaderProtocol.connection_made = borrow(  # type: ignore[method-assign]
    streams.StreamReaderProtocol.connection_made, _names
)
open_connection = borrow(streams.open_connection, _names)
start_server = borrow(streams.start_server, _names)

if sys.platform != "win32":
    open_unix_connection = borrow(streams.open_unix_connection, _names)
    start_unix_server = borrow(streams.start_unix_server, _names)
