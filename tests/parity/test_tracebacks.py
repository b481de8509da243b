"""What a traceback shows of common failures: nothing of ferrio."""

from __future__ import annotations

import asyncio
import socket
import ssl
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import ferrio
import pytest

from tests.certificates import Certificates

from .trace import Trace
from .twin import Loop, twin

HERE = "127.0.0.1"
OURS = Path(ferrio.__file__).parent


def frames_of_ferrio(error: BaseException) -> Iterator[str]:
    for part in (error, error.__cause__, error.__context__):
        if part is not None:
            for frame in traceback.extract_tb(part.__traceback__):
                if OURS in Path(frame.filename).parents:
                    yield frame.name


class Surroundings:
    """What is in the way."""

    def __init__(self, aio: Any, loop: Loop, certificates: Certificates, folder: Path) -> None:
        self.aio = aio
        self.loop = loop
        self.certificates = certificates
        self.folder = folder
        self.listening = socket.create_server((HERE, 0))
        self.datagrams = socket.socket(type=socket.SOCK_DGRAM)
        self.datagrams.bind((HERE, 0))
        self.bound = socket.socket()
        self.bound.bind((HERE, 0))

    def close(self) -> None:
        for one in (self.listening, self.datagrams, self.bound):
            one.close()

    @property
    def taken(self) -> Any:
        return self.listening.getsockname()

    @property
    def silent(self) -> Any:
        return self.bound.getsockname()


async def untrusted(now: Surroundings) -> None:
    server = await now.loop.create_server(asyncio.Protocol, HERE, 0, ssl=now.certificates.server())
    try:
        await now.aio.open_connection(
            *server.sockets[0].getsockname(),
            ssl=ssl.create_default_context(),
            server_hostname="localhost",
        )
    finally:
        server.close()


async def cancelled(now: Surroundings) -> None:
    task = now.loop.create_task(now.aio.Event().wait())
    await asyncio.sleep(0)
    task.cancel()
    await task


FAILURES: dict[str, Callable[[Surroundings], Awaitable[Any]]] = {
    "create_server": lambda now: now.loop.create_server(asyncio.Protocol, *now.taken),
    "start_server": lambda now: now.aio.start_server(print, *now.taken),
    "create_datagram_endpoint": lambda now: now.loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=now.datagrams.getsockname()
    ),
    "create_unix_server": lambda now: now.loop.create_unix_server(
        asyncio.Protocol, now.folder / "none" / "socket"
    ),
    "start_unix_server": lambda now: now.aio.start_unix_server(
        print, now.folder / "none" / "socket"
    ),
    "create_connection": lambda now: now.loop.create_connection(asyncio.Protocol, *now.silent),
    "open_connection": lambda now: now.aio.open_connection(*now.silent),
    "open_unix_connection": lambda now: now.aio.open_unix_connection(now.folder / "none"),
    "getaddrinfo": lambda now: now.loop.getaddrinfo("none.invalid", 80),
    "wait_for": lambda now: now.aio.wait_for(now.aio.sleep(3600), 0.001),
    "to_thread": lambda now: asyncio.to_thread(open, now.folder / "none"),
    "untrusted": untrusted,
    "cancelled": cancelled,
}


@pytest.mark.parametrize("failure", FAILURES)
@twin
async def test_nothing_of_ferrio_is_shown(
    trace: Trace, aio: Any, certificates: Certificates, tmp_path: Path, failure: str
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: None)
    with closing(Surroundings(aio, loop, certificates, tmp_path)) as now:
        try:
            await FAILURES[failure](now)
        except BaseException as error:
            trace(type(error), list(frames_of_ferrio(error)))
