"""Sendfile over transports: who has the descriptor meanwhile, and what asyncio's function sees."""

from __future__ import annotations

import os
import sys
from asyncio.base_events import BaseEventLoop
from asyncio.transports import _FlowControlMixin
from typing import IO, Any

__all__ = ["send_part", "sendfile_fallback", "sendfile_native"]


async def sendfile_native(
    loop: Any, transport: Any, file: IO[bytes], offset: int, count: int | None
) -> int:
    """Sends a file by sendfile(2), when all that was written before is sent.

    The loop's transports are registered for as long as they live, so this one lends its descriptor
    for the time being: `sock_sendfile` waits on it as on any other socket.
    """
    is_native = hasattr(transport, "_lend")
    resume_reading = transport.is_reading()
    transport.pause_reading()
    await transport._make_empty_waiter()
    if is_native:
        transport._lend()
    try:
        sent: int = await loop.sock_sendfile(transport._sock, file, offset, count, fallback=False)
        return sent
    finally:
        if is_native:
            transport._take_back()
        transport._reset_empty_waiter()
        if resume_reading:
            transport.resume_reading()


async def sendfile_fallback(
    loop: Any, transport: Any, file: IO[bytes], offset: int, count: int | None
) -> int:
    """Reads a file and writes it to a transport of any kind, in this version's own way."""
    fallback: Any = BaseEventLoop._sendfile_fallback  # type: ignore[attr-defined]
    sent: int = await fallback(loop, Flowing(transport), file, offset, count)
    return sent


if sys.platform != "win32":
    from asyncio.unix_events import _UnixSelectorEventLoop

    def send_part(loop: Any, future: Any, *arguments: Any) -> None:
        """Sends one part of a file, in this version's own way, and waits for room for the next.

        Called by the loop, for a socket that cannot be watched any more, asyncio's function tells
        nobody, and whoever waits for the file waits for ever.
        """
        part: Any = _UnixSelectorEventLoop._sock_sendfile_native_impl  # type: ignore[attr-defined]
        part(Watching(loop), future, *arguments)

    class Watching:
        """A loop whose watching fails by way of the future that waits for it."""

        def __init__(self, loop: Any) -> None:
            self._loop = loop

        def __getattr__(self, name: str) -> Any:
            return getattr(self._loop, name)

        def add_writer(self, fd: Any, callback: Any, future: Any, *arguments: Any) -> None:
            try:
                self._loop.add_writer(fd, callback, future, *arguments)
            except OSError as error:
                _, _, fileno, offset, _, _, sent = arguments
                # What asyncio's helper does, whose arguments differ between versions.
                if sent > 0 or sys.version_info >= (3, 15):
                    os.lseek(fileno, offset, os.SEEK_SET)
                if not future.done():
                    future.set_exception(error)


class Flowing(_FlowControlMixin):
    """A transport as asyncio's fallback wants it: an instance of its own mixin."""

    # The mixin has it as a slot, which asyncio's constructors fill.
    _protocol_paused = property(lambda self: self._transport._protocol_paused)

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._loop = transport._loop
        self.write = transport.write  # type: ignore[method-assign]
        self.is_closing = transport.is_closing  # type: ignore[method-assign]
        self.is_reading = transport.is_reading  # type: ignore[method-assign]
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign]
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign]
        self.get_protocol = transport.get_protocol  # type: ignore[method-assign]
        self.set_protocol = transport.set_protocol  # type: ignore[method-assign]
