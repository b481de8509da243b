"""A `StreamWriter` whose loop is closed: what each method raises, and in which context."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.certificates import Certificates

from .trace import Trace
from .twin import Loop, twin

# Before, `writelines` does not look whether the connection is lost.
LINES_LOOK = sys.version_info >= (3, 14)

METHODS: dict[str, Callable[[Any], Any]] = {
    "write": lambda writer: writer.write(b"data"),
    "write nothing": lambda writer: writer.write(b""),
    "writelines": lambda writer: writer.writelines([b"more", b"data"]) if LINES_LOOK else None,
    "drain": lambda writer: writer.drain(),
    "write_eof": lambda writer: writer.write_eof(),
    "can_write_eof": lambda writer: writer.can_write_eof(),
    "is_closing": lambda writer: writer.is_closing(),
    "close": lambda writer: writer.close(),
    "abort": lambda writer: writer.transport.abort(),
    "wait_closed": lambda writer: writer.wait_closed(),
}

MORE: dict[str, Callable[[Any], Any]] = {
    "write much": lambda writer: writer.write(b"x" * 4_000_000),
    "many lines": lambda writer: writer.writelines([b"x" * 4_000_000] if LINES_LOOK else []),
}

# In which order it is tried: what one method leaves is what the next ones meet.
ORDERS = {
    "write first": list(METHODS),
    "close first": ["close", *METHODS],
    "abort first": ["abort", *METHODS],
    # What is kept of these is each transport's own business.
    "much": ["write much", "is_closing"],
    "many lines": ["many lines", "is_closing"],
}


def stepped(result: Any) -> Any:
    """What a coroutine does until it waits for something."""
    if not asyncio.iscoroutine(result):
        return result
    try:
        result.send(None)
    except StopIteration as stop:
        return stop.value
    result.close()
    return "waits"


def called(trace: Trace, name: str, writer: Any) -> None:
    """In an `except` of the program's: is that the context?"""
    try:
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            result = stepped((METHODS | MORE)[name](writer))
    except BaseException as error:
        trace(name, error, error.__context__, error.__cause__, error.__suppress_context__)
    else:
        trace(name, result)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("kind", "state"),
    [
        *[("socket", state) for state in ("idle", "full", "peer gone", "closing")],
        *[("tls", state) for state in ("idle", "peer gone", "closing")],
    ],
)
@twin
def test_a_writer_of_a_closed_loop(
    trace: Trace,
    loop: Loop,
    aio: Any,
    certificates: Certificates,
    kind: str,
    state: str,
    order: str,
) -> None:
    if kind == "tls" and ORDERS[order][0] in MORE:
        pytest.skip("what TLS cannot send fails as in asyncio, but with another __context__")
    ours, theirs = socket.socketpair()

    async def connected() -> tuple[Any, Any]:
        if kind == "socket":
            return await aio.open_connection(sock=ours), None
        ours.setblocking(False)
        theirs.setblocking(False)
        client = aio.open_connection(
            sock=ours, ssl=certificates.client(), server_hostname="localhost"
        )
        protocol = asyncio.Protocol()
        server = loop.connect_accepted_socket(lambda: protocol, theirs, ssl=certificates.server())
        streams, (transport, _) = await asyncio.gather(client, server)
        return streams, transport

    async def prepared() -> Any:
        (reader, writer), other = await connected()
        if state == "full":
            if other is not None:
                other.pause_reading()
            writer.write(b"x" * 4_000_000)
        elif state == "peer gone":
            if other is None:
                theirs.close()
            else:
                other.abort()
            await reader.read()
        elif state == "closing":
            writer.close()
        return writer, other

    writer, other = loop.run_until_complete(prepared())
    loop.close()
    for name in ORDERS[order]:
        # Closed twice, asyncio's transport knows nothing of its connection any more.
        if kind == "tls" and name == "close" and writer.is_closing():
            continue
        called(trace, name, writer)
    del writer, other
    ours.close()
    theirs.close()
