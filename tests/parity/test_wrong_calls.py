"""Calls that no signature allows: every public function, constructor and method refuses them, with
the exception that asyncio has, in its words."""

from __future__ import annotations

import asyncio
import gc
import inspect
import re
import socket
import sys
from asyncio import base_events, selector_events, sslproto, unix_events
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import ferrio
import pytest
from ferrio import _ferrio

from tests.certificates import Certificates

from .trace import Trace
from .twin import twin

Call = tuple[str, tuple[Any, ...], dict[str, Any]]

P = inspect.Parameter


def wrong_calls(signature: inspect.Signature) -> Iterator[Call]:
    """Of a callable with this signature, without its `self`."""
    parameters = list(signature.parameters.values())
    by_place = [p for p in parameters if p.kind in (P.POSITIONAL_ONLY, P.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in by_place if p.default is P.empty]
    options = [p for p in parameters if p.kind is P.KEYWORD_ONLY]
    required = {p.name: None for p in options if p.default is P.empty}
    kinds = {p.kind for p in parameters}
    full = (None,) * len(by_place)
    enough = (None,) * len(needed)

    if P.VAR_POSITIONAL not in kinds:
        yield "one too many", (*full, None), required
        yield "two too many", (*full, None, None), required
        if options:
            yield "option by place", (*full, None), {}
            yield "too many and an option", (*full, None), {options[0].name: None}
    if P.VAR_KEYWORD not in kinds:
        yield "unknown", enough, {"unknown": None, **required}
        yield "unknown beside too few", (), {"unknown": None}
        for parameter in (*by_place, *options):
            if parameter.kind is not P.POSITIONAL_ONLY:
                near = parameter.name[:-1] + "_"
                yield f"{near} for {parameter.name}", enough, {near: None, **required}
    for count in range(len(needed)):
        yield f"{count} of {len(needed)}", (None,) * count, required
    for name in required:
        yield f"without {name}", enough, {k: None for k in required if k != name}
    for index, parameter in enumerate(by_place):
        if parameter.kind is P.POSITIONAL_ONLY:
            if P.VAR_KEYWORD not in kinds:
                yield "by name", (), {parameter.name: None}
        else:
            yield f"{parameter.name} twice", (*full[: index + 1],), {parameter.name: None}
            if index:
                names = {p.name: None for p in by_place[1:]}
                yield f"all but the first, {parameter.name}", (), names


def refuses(
    trace: Trace,
    name: str,
    function: Callable[..., Any],
    like: Any,
    *,
    bound: bool,
    named: bool = True,
) -> None:
    """`function` is called as `like` must not be called.

    It is `bound` if its `self` is, and not `named` if the name of its class is each loop's own.
    """
    try:
        signature = inspect.signature(like)
    except ValueError:
        # A C function that says nothing.
        return
    if bound:
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    for label, args, kwargs in wrong_calls(signature):
        try:
            signature.bind(*args, **kwargs)
        except TypeError:
            pass
        else:
            continue
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            text = str(error) if named else re.sub(r"^\w+\.(?=\w+\(\))", "", str(error))
            trace.on(name, label, type(error), text)
        else:
            trace.on(name, label, "accepted")
            if inspect.iscoroutine(result):
                result.close()


# Called with arguments, though they have underscores.
PROTOCOL = ("__aenter__", "__aexit__", "__enter__", "__exit__", "__await__")


def methods_refuse(trace: Trace, name: str, value: Any, like: type, *, named: bool = True) -> None:
    """Every method of `value` refuses what that of the class `like` does."""
    for attribute in dir(like):
        # Classes that are each loop's own are not made by programs.
        is_made = attribute == "__init__" and named
        if attribute.startswith("_") and attribute not in PROTOCOL and not is_made:
            continue
        reference = inspect.getattr_static(like, attribute)
        if isinstance(reference, (property, classmethod, staticmethod)):
            continue
        if callable(reference) and not isinstance(reference, type):
            method = getattr(value, attribute)
            refuses(trace, f"{name}.{attribute}", method, reference, bound=True, named=named)


FUNCTIONS = [
    name
    for name in sorted(asyncio.__all__)
    if inspect.isroutine(getattr(asyncio, name)) and name not in ("run",)
]


@pytest.mark.parametrize("name", FUNCTIONS)
@twin
async def test_functions(trace: Trace, aio: Any, name: str) -> None:
    refuses(trace, name, getattr(aio, name), getattr(asyncio, name), bound=False)
    trace("asked")


CLASSES = [
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "Future",
    "Handle",
    "LifoQueue",
    "Lock",
    "PriorityQueue",
    "Queue",
    "Runner",
    "Semaphore",
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "Task",
    "TaskGroup",
    "Timeout",
    "TimerHandle",
]


@pytest.mark.parametrize("name", CLASSES)
@twin
async def test_constructors(trace: Trace, aio: Any, name: str) -> None:
    refuses(trace, name, getattr(aio, name), getattr(asyncio, name), bound=False)


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in ("Runner",)])
@twin
async def test_methods(trace: Trace, aio: Any, name: str) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        if name == "Barrier":
            value = aio.Barrier(2)
        elif name == "Future":
            value = loop.create_future()
        elif name == "Handle":
            value = loop.call_soon(int)
        elif name == "TimerHandle":
            value = loop.call_later(3600, int)
        elif name == "Task":
            value = loop.create_task(forever())
        elif name == "StreamReaderProtocol":
            value = aio.StreamReaderProtocol(aio.StreamReader())
        elif name == "StreamWriter":
            _, value = await aio.open_connection(sock=ours)
        elif name == "Timeout":
            value = aio.timeout(None)
        else:
            value = getattr(aio, name)()
        methods_refuse(trace, name, value, getattr(asyncio, name))
        if name in ("TimerHandle", "Task"):
            value.cancel()
        elif name == "StreamWriter":
            value.close()
            await value.wait_closed()


@twin
async def test_what_the_functions_return(trace: Trace, aio: Any) -> None:
    waiting = asyncio.get_running_loop().create_future()
    for name in ("gather", "shield"):
        value, like = (getattr(module, name)(waiting) for module in (aio, asyncio))
        methods_refuse(trace, name, value, type(like), named=False)
    waiting.set_result(None)


@twin
def test_loops(trace: Trace, loop: asyncio.AbstractEventLoop) -> None:
    methods_refuse(trace, "Loop", loop, asyncio.SelectorEventLoop, named=False)


@twin
async def test_servers(trace: Trace) -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    methods_refuse(trace, "Server", server, base_events.Server, named=False)
    server.close()


@pytest.mark.parametrize("kind", ["stream", "tls", "datagram", "read pipe", "write pipe", "child"])
@twin
async def test_transports(trace: Trace, certificates: Certificates, kind: str) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    transport: Any
    like: type
    if kind == "stream":
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        like = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    elif kind == "tls":
        server = await loop.create_server(
            asyncio.Protocol, "127.0.0.1", 0, ssl=certificates.server()
        )
        transport, _ = await loop.create_connection(
            asyncio.Protocol,
            *server.sockets[0].getsockname(),
            ssl=certificates.client(),
            server_hostname="localhost",
        )
        server.close()
        like = sslproto._SSLProtocolTransport
    elif kind == "datagram":
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        like = selector_events._SelectorDatagramTransport  # type: ignore[attr-defined]
    elif kind == "read pipe":
        transport, _ = await loop.connect_read_pipe(asyncio.Protocol, ours)
        like = unix_events._UnixReadPipeTransport  # type: ignore[attr-defined]
    elif kind == "write pipe":
        transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, ours)
        like = unix_events._UnixWritePipeTransport  # type: ignore[attr-defined]
    else:
        transport, _ = await loop.subprocess_exec(
            asyncio.SubprocessProtocol, sys.executable, "-c", ""
        )
        like = unix_events._UnixSubprocessTransport  # type: ignore[attr-defined]
    methods_refuse(trace, kind, transport, like, named=False)
    if kind == "child":
        await transport._wait()
    transport.close()
    await asyncio.sleep(0.01)
    ours.close()
    theirs.close()


CLASSES_OF_OURS = {
    value
    for module in (ferrio, _ferrio)
    for value in vars(module).values()
    if isinstance(value, type) and value.__module__.partition(".")[0] == "ferrio"
}


@pytest.mark.parametrize("cls", sorted(CLASSES_OF_OURS, key=repr), ids=lambda cls: cls.__name__)
def test_what_was_refused_dies_in_silence(cls: type, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    made: list[Any] = []
    for args, kwargs in (((), {"unknown": 1}), ((None,) * 20, {}), ((), {})):
        with suppress(TypeError, RuntimeError):
            made.append(cls(*args, **kwargs))
    for loop in made:
        if isinstance(loop, asyncio.AbstractEventLoop):
            loop.close()
    del made
    gc.collect()
    assert not said
