"""One of each native object, in its various states."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import ferrio
from ferrio import _ferrio, aio


class Talker(asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        pass


class Buffered(asyncio.BufferedProtocol):
    def get_buffer(self, hint: int) -> bytearray:
        return bytearray(10)

    def buffer_updated(self, size: int) -> None:
        pass


async def waits(loop: Any) -> None:
    await loop.create_future()


async def returns(value: Any) -> Any:
    return value


def zoo() -> dict[str, Any]:
    """Everything by name; the names are the same each time."""
    loop = ferrio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    things: dict[str, Any] = {"loop": loop}
    closed = ferrio.new_event_loop()
    closed.close()
    things["closed loop"] = closed
    things["asyncio's loop"] = asyncio.SelectorEventLoop()
    with ready(loop):
        things |= scheduled(loop)
        things |= tasks(loop)
        things |= primitives()
    things |= loop.run_until_complete(connections(loop))
    with ready(loop):
        things |= coroutines(loop, things)
    things |= found(things)
    for name, kind in vars(_ferrio).items():
        if isinstance(kind, type):
            things[f"class {name}"] = kind
    return things


@contextlib.contextmanager
def ready(loop: Any) -> Iterator[None]:
    """As if the loop ran: for what asks for the running one as it is made."""
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)


def scheduled(loop: Any) -> dict[str, Any]:
    things = {
        "handle": loop.call_soon(lambda: None),
        "timer": loop.call_later(1000, print),
        "cancelled": loop.call_later(1000, print),
        "threadsafe": loop.call_soon_threadsafe(lambda: None),
        "reader handle": loop.add_reader(socket.socketpair()[0].detach(), print),
    }
    things["cancelled"].cancel()
    return things


def tasks(loop: Any) -> dict[str, Any]:
    things = {
        "future": loop.create_future(),
        "done future": loop.create_future(),
        "failed future": loop.create_future(),
        "cancelled future": loop.create_future(),
        "asyncio's future": asyncio.Future(loop=loop),
        "task": loop.create_task(waits(loop)),
        "fresh task": loop.create_task(returns(3)),
        "gathering": aio.gather(loop.create_future(), loop.create_future()),
        "shielding": aio.shield(loop.create_future()),
        "completions": aio.as_completed([loop.create_future()]),
    }
    things["done future"].set_result(1)
    things["failed future"].set_exception(ValueError("failed"))
    things["failed future"].exception()
    things["cancelled future"].cancel()
    things["iterator"] = iter(things["future"])
    return things


def primitives() -> dict[str, Any]:
    kinds: tuple[str, ...] = (
        "Lock",
        "Event",
        "Condition",
        "Semaphore",
        "BoundedSemaphore",
        "Queue",
    )
    kinds += ("PriorityQueue", "LifoQueue", "TaskGroup", "StreamReader")
    things = {name: getattr(aio, name)() for name in kinds}
    things["Barrier"] = aio.Barrier(2)
    things["Timeout"] = aio.timeout(1000)
    things["StreamReaderProtocol"] = aio.StreamReaderProtocol(aio.StreamReader())
    return things


async def connections(loop: Any) -> dict[str, Any]:
    things: dict[str, Any] = {}
    for name, protocol in (("stream", Talker), ("buffered", Buffered)):
        things[f"{name} transport"], things[f"{name} protocol"] = await loop.create_connection(
            protocol, sock=socket.socketpair()[0]
        )
    ours, peer = socket.socketpair()
    things["peer"] = peer
    things["reader"], things["writer"] = await aio.open_connection(sock=ours)
    things["writer transport"] = things["writer"].transport
    things["server"] = await loop.create_server(Talker, "127.0.0.1", 0)
    things["datagram"], _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    reading, writing = os.pipe()
    things["read pipe"], _ = await loop.connect_read_pipe(Talker, os.fdopen(reading, "rb", 0))
    things["write pipe"], _ = await loop.connect_write_pipe(Talker, os.fdopen(writing, "wb", 0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours, peer = socket.socketpair()
    things["TLS peer"] = peer
    things["handshake"] = loop.create_task(
        loop.create_connection(Talker, sock=ours, ssl=context, server_hostname="host")
    )
    for _ in range(3):
        await asyncio.sleep(0)
    return things


def coroutines(loop: Any, things: dict[str, Any]) -> dict[str, Any]:
    made = {
        "acquire": things["Lock"].acquire(),
        "get": things["Queue"].get(),
        "join": things["Queue"].join(),
        "event wait": things["Event"].wait(),
        "condition wait": things["Condition"].wait(),
        "barrier wait": things["Barrier"].wait(),
        "read": things["StreamReader"].read(3),
        "readline": things["StreamReader"].readline(),
        "readuntil": things["StreamReader"].readuntil(),
        "readexactly": things["StreamReader"].readexactly(3),
        "drain": things["writer"].drain(),
        "wait_closed": things["writer"].wait_closed(),
        "sleep": aio.sleep(1000),
        "sleep 0": aio.sleep(0),
        "wait_for": aio.wait_for(loop.create_future(), 1000),
        "wait": aio.wait([loop.create_future()]),
        "sock_recv": loop.sock_recv(things["peer"], 10),
        "sock_sendall": loop.sock_sendall(things["peer"], b"x"),
        "getaddrinfo": loop.getaddrinfo("127.0.0.1", 80),
        "aenter": things["Lock"].__aenter__(),
        "group aexit": things["TaskGroup"].__aexit__(None, None, None),
        "timeout aenter": things["Timeout"].__aenter__(),
    }
    made["begun"] = begun = aio.sleep(1000)
    begun.send(None)
    made["await"] = made["acquire"].__await__()
    return made


def found(things: dict[str, Any]) -> dict[str, Any]:
    """Native objects that no name leads to, such as what futures call."""
    known = {id(thing) for thing in things.values()}
    seen: dict[str, Any] = {}
    counts: dict[str, int] = {}
    pending = list(things.values())
    while pending and len(known) < 3000:
        for inner in gc.get_referents(pending.pop(0)):
            if id(inner) in known or isinstance(inner, type):
                continue
            if not gc.is_tracked(inner):
                continue
            known.add(id(inner))
            if type(inner).__module__.split(".")[0] in ("ferrio", "_asyncio"):
                name = type(inner).__name__
                counts[name] = counts.get(name, 0) + 1
                seen[f"inner {name} {counts[name]}"] = inner
                pending.append(inner)
            elif type(inner) in (list, tuple, dict):
                pending.append(inner)
    return seen
