"""TLS: ``SSLProtocol``, and asyncio's functions with it in the place of their own."""

from __future__ import annotations

import asyncio
import functools
import types
from asyncio import base_events, streams
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ._ferrio import BaseSSLProtocol

__all__ = ["SSLProtocol", "start_tls"]

Function = TypeVar("Function", bound=Callable[..., Any])


class SSLProtocol(BaseSSLProtocol, asyncio.BufferedProtocol):
    """What stands between a transport and a program's protocol on a TLS connection.

    It is made with the arguments of ``asyncio.sslproto.SSLProtocol`` and does what that does, on
    any transport; on one of ferrio's own without running Python code for what is received.
    """

    __slots__ = ()
    __module__ = "ferrio"


def with_what_was_read(
    loop: Any,
    protocol: Any,
    sslcontext: Any,
    waiter: Any,
    server_side: bool = False,
    *args: Any,
    **kwargs: Any,
) -> SSLProtocol:
    """An ``SSLProtocol`` that begins with what a stream reader has of the handshake already.

    asyncio's ``start_tls`` of today gives it that, earlier releases lose it (gh-142352).
    """
    made = SSLProtocol(loop, protocol, sslcontext, waiter, server_side, *args, **kwargs)
    if server_side and isinstance(protocol, streams.StreamReaderProtocol):
        reader = protocol._stream_reader  # type: ignore[attr-defined]
        if reader is not None and reader._buffer:
            made._incoming.write(reader._buffer)  # type: ignore[attr-defined]
            reader._buffer.clear()
    return made


def with_our_protocol(function: Function) -> Function:
    """A function of asyncio's that makes our ``SSLProtocol`` where it makes asyncio's.

    What it does besides differs between patch releases even.
    """
    plain = cast(types.FunctionType, function)
    does_all = "_incoming" in plain.__code__.co_names
    made = SSLProtocol if does_all else with_what_was_read
    names = {**plain.__globals__, "sslproto": types.SimpleNamespace(SSLProtocol=made)}
    ours = types.FunctionType(
        plain.__code__, names, plain.__name__, plain.__defaults__, plain.__closure__
    )
    ours.__kwdefaults__ = plain.__kwdefaults__
    return cast(Function, functools.wraps(plain)(ours))


start_tls = with_our_protocol(base_events.BaseEventLoop.start_tls)
