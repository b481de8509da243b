"""A mail server, aiosmtpd, and clients, aiosmtplib, that send it letters of 4 KiB over TCP.

Server and clients are in this process.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiosmtplib
from aiosmtpd.smtp import SMTP

CLIENTS, LETTERS = 20, 40
HEAD = b"Subject: parts\r\nFrom: a@example.com\r\nTo: b@example.com\r\n\r\n"
LETTER = HEAD + (b"iron and " * 8 + b"\r\n") * 55


class Letters:
    """Counts what arrives."""

    def __init__(self) -> None:
        self.count = 0

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        self.count += envelope.content.count(b"Subject: parts")
        return "250 OK"


async def send(port: int) -> None:
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
        for _ in range(LETTERS):
            await client.sendmail("a@example.com", ["b@example.com"], LETTER)


async def main() -> None:
    letters = Letters()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(letters, hostname="localhost"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(send(port))
    print(letters.count, "letters received")


asyncio.run(main())
