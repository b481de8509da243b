"""Echo with the loop's `sock_*` methods on sockets of our own."""

from __future__ import annotations

import asyncio
import socket

from .address import Address


async def handle(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    with connection:
        try:
            while data := await loop.sock_recv(connection, 64 * 1024):
                await loop.sock_sendall(connection, data)
        except ConnectionError:
            pass


async def accept(loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
    handlers = set()
    while True:
        connection, _ = await loop.sock_accept(listener)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handler = loop.create_task(handle(loop, connection))
        handlers.add(handler)
        handler.add_done_callback(handlers.discard)


async def serve(address: Address) -> None:
    loop = asyncio.get_running_loop()
    address.keep(loop.create_task(accept(loop, address.listener)))
