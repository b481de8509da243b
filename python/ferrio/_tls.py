"""TLS: ``SSLProtocol``, and asyncio's functions with it in the place of their own."""

from __future__ import annotations

import asyncio
import functools
import types
from asyncio import base_events
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


def with_our_protocol(function: Function) -> Function:
    """A function of asyncio's that makes our ``SSLProtocol`` where it makes asyncio's.

    What it does besides differs between patch releases even.
    """
    plain = cast(types.FunctionType, function)
    names = {**plain.__globals__, "sslproto": types.SimpleNamespace(SSLProtocol=SSLProtocol)}
    ours = types.FunctionType(
        plain.__code__, names, plain.__name__, plain.__defaults__, plain.__closure__
    )
    ours.__kwdefaults__ = plain.__kwdefaults__
    return cast(Function, functools.wraps(plain)(ours))


start_tls = with_our_protocol(base_events.BaseEventLoop.start_tls)
