"""One thread, many visitors: ask the kernel which sockets have something, and never wait for one.

This is what is inside of every event loop. A non-blocking socket raises BlockingIOError instead of
waiting; the selector says when to try again. What a socket does not take must be kept until it can
be written to: a server that keeps everything for a visitor who never reads runs out of memory, so
this one stops reading from a visitor while there is something left to write.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket

from visitors import Crowd, Report, listen, visit


class Server:
    def __init__(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._unsent: dict[socket.socket, bytes] = {}

    def serve(self, visitors: int) -> None:
        """Serve so many visitors, in any order."""
        gone = 0
        with self._selector:
            while gone < visitors:
                # The only call that waits: for all of them at once.
                for key, events in self._selector.select():
                    if key.fileobj is self._listener:
                        self._accept()
                    else:
                        assert isinstance(key.fileobj, socket.socket)
                        gone += self._attend(key.fileobj, events)

    def _accept(self) -> None:
        # "Readable" was true when the kernel said so: the visitor may have left since.
        with contextlib.suppress(BlockingIOError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            self._unsent[connection] = b""
            self._selector.register(connection, selectors.EVENT_READ)

    def _attend(self, connection: socket.socket, events: int) -> bool:
        """Do what can be done without waiting; whether the visitor has left."""
        try:
            if events & selectors.EVENT_READ:
                data = connection.recv(65536)
                if not data:
                    self._forget(connection)
                    return True
                self._unsent[connection] = data
            sent = connection.send(self._unsent[connection])
            self._unsent[connection] = self._unsent[connection][sent:]
        except BlockingIOError:
            pass
        except ConnectionError:
            self._forget(connection)
            return True
        is_stuck = bool(self._unsent[connection])
        wanted = selectors.EVENT_WRITE if is_stuck else selectors.EVENT_READ
        self._selector.modify(connection, wanted)
        return False

    def _forget(self, connection: socket.socket) -> None:
        # Before it is closed: afterwards its number may already be somebody else's.
        self._selector.unregister(connection)
        del self._unsent[connection]
        connection.close()


async def main(crowd: Crowd) -> Report:
    with listen() as listener:
        server = asyncio.create_task(asyncio.to_thread(Server(listener).serve, crowd.visitors))
        report = await visit(listener.getsockname(), crowd)
        await server
    return report
