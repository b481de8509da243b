"""The textbook server: each call waits until it has something to return.

While it waits for one visitor's next question, it does not look at the others, who stand in the
listener's queue. A thread for each visitor would help, at the price of a thread for each visitor.
"""

from __future__ import annotations

import asyncio
import socket

from visitors import Crowd, Report, listen, visit


def serve(listener: socket.socket, visitors: int) -> None:
    """Serve so many visitors, to the end of each."""
    for _ in range(visitors):
        connection, _ = listener.accept()
        with connection:
            # TCP carries bytes, not messages: what is received need not be what was sent at once.
            # An empty `bytes` is the end.
            while data := connection.recv(65536):
                connection.sendall(data)


async def main(crowd: Crowd) -> Report:
    with listen() as listener:
        # Blocking, it would hold up the visitors, who are on the loop: so it gets a thread.
        server = asyncio.create_task(asyncio.to_thread(serve, listener, crowd.visitors))
        report = await visit(listener.getsockname(), crowd)
        await server
    return report
