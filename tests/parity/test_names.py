"""`getaddrinfo` and `getnameinfo`: the same answers as `socket`'s, errors and texts included."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Any

import pytest

from .trace import Trace
from .twin import twin

HOSTS: list[Any] = [
    "127.0.0.1",
    b"127.0.0.1",
    "127.1",
    "0x7f.1",
    "2130706433",
    "0",
    "::1",
    "::ffff:1.2.3.4",
    "fe80::1%lo",
    "fe80::1%1",
    "fe80::1%nosuch",
    "localhost",
    "",
    None,
    "256.1.1.1",
    "1.2.3.4.5",
    "nobody.invalid",
    "white space",
    "[::1]",
    "::1%",
    "exämple.invalid",
    "x" * 300,
    "a\0b",
    5,
    1.5,
]
PORTS: list[Any] = [80, 0, 65535, "80", b"80", "http", None, "", "no-such-service", -1, 65536, 1.5]
HINTS: list[dict[str, int]] = [
    {},
    {"family": socket.AF_INET},
    {"family": socket.AF_INET6},
    {"type": socket.SOCK_STREAM},
    {"type": socket.SOCK_DGRAM},
    {"type": socket.SOCK_RAW},
    {"proto": socket.IPPROTO_TCP},
    {"proto": socket.IPPROTO_UDP},
    {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_UDP},
    {"type": socket.SOCK_STREAM, "flags": socket.AI_PASSIVE},
    {"type": socket.SOCK_STREAM, "flags": socket.AI_NUMERICHOST},
    {"type": socket.SOCK_STREAM, "flags": socket.AI_NUMERICSERV},
    {"type": socket.SOCK_STREAM, "flags": socket.AI_CANONNAME},
    {"type": socket.SOCK_STREAM, "flags": socket.AI_ADDRCONFIG},
    {"type": socket.SOCK_STREAM, "flags": socket.AI_V4MAPPED, "family": socket.AF_INET6},
    {"type": socket.SOCK_STREAM, "flags": socket.AI_V4MAPPED | socket.AI_ALL, "family": 10},
    {"family": 12345},
    {"type": 12345},
    {"flags": 1 << 20},
]


async def compare(trace: Trace, host: Any, port: Any, hints: dict[str, Any]) -> None:
    try:
        answer = await asyncio.get_running_loop().getaddrinfo(host, port, **hints)
        trace(repr((host, port, hints)), answer)
    except Exception as error:
        trace(repr((host, port, hints)), error, getattr(error, "errno", None))


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: repr(host)[:20])
@twin
async def test_hosts_with_every_hint(trace: Trace, host: Any) -> None:
    for hints in HINTS:
        await compare(trace, host, 80, hints)


@pytest.mark.parametrize("port", PORTS, ids=repr)
@twin
async def test_ports(trace: Trace, port: Any) -> None:
    for host in ("127.0.0.1", "::1", "localhost", None):
        for hints in ({}, {"type": socket.SOCK_STREAM}, {"type": socket.SOCK_DGRAM}):
            await compare(trace, host, port, hints)


@twin
async def test_the_same_as_sockets_getaddrinfo(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    for host in ("127.0.0.1", "::1", "localhost"):
        for hints in ({}, *HINTS[3:5]):
            expected = socket.getaddrinfo(host, 80, **hints)
            trace("same", await loop.getaddrinfo(host, 80, **hints) == expected)


@twin
async def test_types_of_the_answer(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    for host in ("127.0.0.1", "localhost", "::1"):
        answer = await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
        trace("types", type(answer), type(answer[0]), [type(item) for item in answer[0]])
        trace("address", [type(item) for item in answer[0][4]])


@twin
async def test_getaddrinfo_is_a_coroutine(trace: Trace) -> None:
    coroutine = asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
    trace("coroutine", asyncio.iscoroutine(coroutine))
    coroutine.close()


@twin
async def test_hints_are_keywords(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    for args, kwargs in (
        (("127.0.0.1", 80, 0), {}),
        (("127.0.0.1",), {}),
        ((), {}),
        (("127.0.0.1", 80), {"unknown": 1}),
    ):
        try:
            await loop.getaddrinfo(*args, **kwargs)  # type: ignore[arg-type]
        except TypeError:
            trace("TypeError", len(args), sorted(kwargs))


NAME_QUESTIONS: list[tuple[Any, int]] = [
    (("127.0.0.1", 80), 0),
    (("127.0.0.1", 80), socket.NI_NUMERICHOST),
    (("127.0.0.1", 80), socket.NI_NUMERICSERV),
    (("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV),
    (("127.0.0.1", 53), socket.NI_DGRAM),
    (("::1", 80), socket.NI_NUMERICHOST),
    (("::1", 80, 0, 0), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV),
    (("192.0.2.1", 80), socket.NI_NAMEREQD),
    (("localhost", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV),
    (("nobody.invalid", 80), 0),
    (("127.0.0.1", "80"), 0),
    (("127.0.0.1",), 0),
    ((), 0),
    (None, 0),
    ("127.0.0.1", 0),
    (("127.0.0.1", 70000), 0),
    (("127.0.0.1", -1), 0),
    ((5, 80), 0),
    (("::1", 80, 1 << 21, 0), 0),
]


@pytest.mark.parametrize("question", NAME_QUESTIONS, ids=repr)
@twin
async def test_getnameinfo(trace: Trace, question: tuple[Any, int]) -> None:
    address, flags = question
    with trace.raises():
        trace("answer", await asyncio.get_running_loop().getnameinfo(address, flags))


@twin
async def test_getnameinfo_without_flags(trace: Trace) -> None:
    trace("answer", await asyncio.get_running_loop().getnameinfo(("127.0.0.1", 80)))


@twin
async def test_many_lookups_at_once(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    answers = await asyncio.gather(*(loop.getaddrinfo("localhost", port) for port in range(1, 100)))
    trace("answers", len(answers), all(answers))


@twin
async def test_a_cancelled_lookup_ends_at_once(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(loop.getaddrinfo("localhost", 80))
    await asyncio.sleep(0)
    task.cancel()
    # The answer may have been quicker.
    with contextlib.suppress(asyncio.CancelledError):
        await task
    trace("next", await loop.getaddrinfo("localhost", 80) != [])


@twin
async def test_lookups_while_the_loop_runs_other_things(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    start = time.monotonic()
    results = await asyncio.gather(loop.getaddrinfo("localhost", 80), asyncio.sleep(0.02, "slept"))
    trace("slept", results[1], time.monotonic() - start < 5)


@pytest.mark.parametrize("module", ["socket", "_socket"])
@twin
async def test_a_function_put_in_the_place_of_a_modules_is_called(
    trace: Trace, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    loop = asyncio.get_running_loop()

    def look_up(host: object, port: object, *args: object, **options: object) -> list[object]:
        trace("asked for", host, port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.25", 80))]

    def name(address: object, flags: object) -> tuple[str, str]:
        trace("asked for", address, flags)
        return "name", "service"

    trace("before", await loop.getaddrinfo("127.0.0.1", 80))
    monkeypatch.setattr(f"{module}.getaddrinfo", look_up)
    monkeypatch.setattr(f"{module}.getnameinfo", name)
    for host in ("localhost", "127.0.0.1"):
        trace(host, await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM))
    trace("name", await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST))
    monkeypatch.undo()
    trace("after", await loop.getaddrinfo("127.0.0.1", 80))
