"""What HTTP clients are answered by: `main([])` serves on asyncio's own loop, whichever loop the
client is measured on, and writes `{"address": ...}`.

It knows only as much of HTTP as it takes to be quicker than any client: where a request ends.
"""

from __future__ import annotations

import asyncio
import json
import threading

from ..web.server import die_with_parent

END = b"\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"


class Server(asyncio.Protocol):
    def __init__(self) -> None:
        self.begun = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self.begun = (self.begun + data).split(END)
        self.transport.write(ANSWER * len(requests))


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"address": f"http://127.0.0.1:{port}/"}), flush=True)
    await server.serve_forever()


def main(argv: list[str]) -> None:
    threading.Thread(target=die_with_parent, daemon=True).start()
    asyncio.run(serve())
