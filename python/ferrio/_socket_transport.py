"""asyncio's own stream transport, on a loop that has no selector."""

from __future__ import annotations

from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]

__all__ = ["SocketObjectTransport"]


class SocketObjectTransport(_SelectorSocketTransport):  # type: ignore[misc]
    """A transport that calls the methods of its socket object.

    A subclass of ``socket.socket`` may override ``recv`` or ``send``, and a program that passes
    one as ``sock=`` counts on their being called. asyncio's transport does so, and all that it
    needs of a loop is to have a descriptor watched.
    """

    def __repr__(self) -> str:
        # The inherited one asks the loop's selector what it watches.
        state = " closed" if self._sock is None else " closing" if self._closing else ""
        size = self.get_write_buffer_size()
        return f"<{type(self).__name__}{state} fd={self._sock_fd} write=<bufsize={size}>>"
