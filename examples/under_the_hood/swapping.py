"""The same program on one loop after the other: a loop is an argument.

`asyncio.Runner(loop_factory=...)`, and from 3.12 on `asyncio.run(..., loop_factory=...)`, take what
makes a loop. A program that never names a loop runs on all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib
import selectors
import time
from collections.abc import Callable
from typing import TypeVarTuple

CLIENTS = 50
MESSAGES = 20

Ts = TypeVarTuple("Ts")
Factory = Callable[[], asyncio.AbstractEventLoop]


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
    writer.close()


async def conversations() -> int:
    """A server, and clients that talk to it all at once; how many answers were right."""
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()

    async def client(number: int) -> int:
        reader, writer = await asyncio.open_connection(*address)
        right = 0
        for message in range(MESSAGES):
            writer.write(b"client %d, message %d\n" % (number, message))
            answer = await reader.readline()
            right += answer == b"CLIENT %d, MESSAGE %d\n" % (number, message)
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        return right

    async with server:
        return sum(await asyncio.gather(*(client(number) for number in range(CLIENTS))))


class CountingLoop(asyncio.SelectorEventLoop):
    """A loop is a class like any other: this one counts what it is asked to call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        self.calls += 1
        return super().call_soon(callback, *args, context=context)


def factories() -> dict[str, Factory]:
    """All loops there are here, by what to call them."""
    found: dict[str, Factory] = {"what this program was started on": asyncio.new_event_loop}
    for name in ("EpollSelector", "KqueueSelector", "PollSelector", "SelectSelector"):
        if kind := getattr(selectors, name, None):
            found[f"asyncio with {name}"] = on_selector(kind)
    found["a subclass that counts calls"] = CountingLoop
    # Nothing depends on it.
    with contextlib.suppress(ImportError):
        found["uvloop"] = importlib.import_module("uvloop").new_event_loop
    return found


def on_selector(kind: Callable[[], selectors.BaseSelector]) -> Factory:
    return lambda: asyncio.SelectorEventLoop(kind())


def main() -> None:
    print(f"{CLIENTS} clients with {MESSAGES} messages each")
    for title, factory in factories().items():
        start = time.perf_counter()
        with asyncio.Runner(loop_factory=factory) as runner:
            answers = runner.run(conversations())
            loop = runner.get_loop()
        milliseconds = (time.perf_counter() - start) * 1000
        calls = f", {loop.calls} calls" if isinstance(loop, CountingLoop) else ""
        print(f"{title:<34} {answers} right answers, {milliseconds:4.0f} ms{calls}")
