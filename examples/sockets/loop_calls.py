"""The same sockets, with the loop for a selector: code reads like the blocking server's again.

`sock_accept`, `sock_recv` and `sock_sendall` try first, and let others run if they would have to
wait. Each visitor has a task; where a task waits is where its visitor is.
"""

from __future__ import annotations

import asyncio
import socket

from visitors import Crowd, Report, listen, visit


async def serve(listener: socket.socket) -> None:
    """Serve whoever comes, until cancelled."""
    loop = asyncio.get_running_loop()
    # If one visitor's task fails, which it should not, the server ends with all the others.
    async with asyncio.TaskGroup() as visits:
        while True:
            connection, _ = await loop.sock_accept(listener)
            visits.create_task(echo(connection))


async def echo(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with connection:
        try:
            # Accepted sockets are non-blocking already; any other one has to be made so.
            while data := await loop.sock_recv(connection, 65536):
                await loop.sock_sendall(connection, data)
        except ConnectionError as error:
            print(f"  a visitor was cut off: {error}")


async def main(crowd: Crowd) -> Report:
    with listen() as listener:
        # A blocking socket would stop the loop at the first call that has to wait.
        listener.setblocking(False)
        server = asyncio.create_task(serve(listener))
        report = await visit(listener.getsockname(), crowd)
        server.cancel()
        await asyncio.wait([server])
    return report
