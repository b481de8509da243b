"""asyncio's streams: the native classes, completed to subclasses of asyncio's own.

What runs once for a connection is asyncio's code, on attributes that are native.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import sys
from asyncio import streams
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

from .. import _ferrio

__all__ = [
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "open_connection",
    "start_server",
]

if sys.platform != "win32":
    __all__ += ["open_unix_connection", "start_unix_server"]

_F = TypeVar("_F", bound=Callable[..., Any])

# The names that asyncio's own functions know, some of which mean ours.
_namespace = dict(vars(streams))


def _with_ours(function: _F) -> _F:
    """The same function, for which the classes of `asyncio.streams` are those of this module."""
    assert isinstance(function, FunctionType)
    copy = FunctionType(
        function.__code__,
        _namespace,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__ = function.__doc__
    copy.__module__ = function.__module__
    copy.__qualname__ = function.__qualname__
    copy.__annotations__ = function.__annotations__
    return copy  # type: ignore[return-value]


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

    connection_made = _with_ours(streams.StreamReaderProtocol.connection_made)

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


_namespace.update(
    StreamReader=StreamReader,
    StreamWriter=StreamWriter,
    StreamReaderProtocol=StreamReaderProtocol,
)

open_connection = _with_ours(streams.open_connection)
start_server = _with_ours(streams.start_server)

if sys.platform != "win32":
    open_unix_connection = _with_ours(streams.open_unix_connection)
    start_unix_server = _with_ours(streams.start_unix_server)
