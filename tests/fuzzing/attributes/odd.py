"""Arguments that nobody should give, by turns harmless, wrong, huge and malicious."""

from __future__ import annotations

import array
import asyncio
import contextvars
import random
import socket
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

# What a malicious object does in whichever method is called.
DUNDERS = [
    *("__index__", "__int__", "__float__", "__bool__", "__len__", "__iter__", "__next__"),
    *("__hash__", "__eq__", "__lt__", "__call__", "__await__", "__buffer__", "__str__", "__repr__"),
    *("__getitem__", "__contains__", "__enter__", "__exit__", "__add__", "__get__", "fileno"),
    *("__fspath__", "get_loop", "get_name", "cancel", "add_done_callback", "connection_made"),
]


class Odd:
    """Makes arguments; `zoo` is what there is to give, and to disturb."""

    def __init__(self, chance: random.Random, zoo: dict[str, Any]) -> None:
        self.chance = chance
        self.zoo = zoo

    def argument(self, depth: int = 0) -> Any:
        makers: list[tuple[int, Callable[[], Any]]] = [
            (6, lambda: self.chance.choice(PLAIN)),
            (4, lambda: self.chance.choice(list(self.zoo.values()))),
            (2, lambda: self.chance.choice(CALLABLES)),
            (2, self.malicious),
            (1, self.pretender),
            (1, self.made),
            (1, lambda: [self.argument(depth + 1) for _ in range(3)]),
            (1, lambda: tuple(self.argument(depth + 1) for _ in range(3))),
            (1, lambda: {str(n): self.argument(depth + 1) for n in range(2)}),
        ]
        if depth > 2:
            makers = makers[:3]
        weights = [weight for weight, _ in makers]
        (maker,) = self.chance.choices([make for _, make in makers], weights)
        return maker()

    def arguments(self) -> tuple[Any, ...]:
        count = self.chance.choices([0, 1, 2, 3, 4, 7], [4, 8, 5, 3, 1, 1])[0]
        return tuple(self.argument() for _ in range(count))

    def malicious(self) -> Any:
        """An object whose every method raises, gives nonsense or calls back into the zoo."""
        deed = self.chance.choice(["raise", "nonsense", "disturb", "exit", "itself"])
        names = self.chance.sample(DUNDERS, self.chance.randint(1, len(DUNDERS)))
        if self.chance.random() < 0.2:
            names.append("__del__")
        odd = Odd(random.Random(self.chance.random()), self.zoo)

        def method(instance: Any, *arguments: Any, **named: Any) -> Any:
            if deed == "raise":
                raise ValueError("malicious")
            if deed == "exit":
                raise SystemExit("malicious")
            if deed == "itself":
                return instance
            if deed == "disturb":
                odd.disturb()
            return odd.chance.choice(PLAIN)

        bases = self.chance.choice([(), (), (int,), (str,), (tuple,), (list,), (dict,), (float,)])
        try:
            return type("Malicious", bases, dict.fromkeys(names, method))()
        except BaseException:
            return None

    def disturb(self) -> None:
        """Calls something of the zoo's, from wherever this is."""
        thing = self.chance.choice(list(self.zoo.values()))
        for name in self.chance.sample(DISTURBANCES, 4):
            try:
                getattr(thing, name)()
            except BaseException:
                continue

    def pretender(self) -> Any:
        """Says that it is of a native class."""
        kind = self.chance.choice([type(each) for each in self.zoo.values()])
        if self.chance.random() < 0.3:
            return mock.Mock(spec=kind)
        pretended = type("Pretender", (), {"__class__": property(lambda _: kind)})
        return pretended()

    def made(self) -> Any:
        return self.chance.choice(MADE)()


def released() -> memoryview:
    view = memoryview(b"released")
    view.release()
    return view


def closed_socket() -> socket.socket:
    made = socket.socket()
    made.close()
    return made


def nested() -> list[Any]:
    inner: list[Any] = []
    for _ in range(20_000):
        inner = [inner]
    return inner


def itself() -> list[Any]:
    inside: list[Any] = []
    inside.append(inside)
    return inside


async def coroutine() -> None:
    await asyncio.sleep(0)


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Data(bytes):
    pass


PLAIN: list[Any] = [
    *(None, 0, 1, -1, 2, True, False, 255, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, -(2**63)),
    *(10**30, -(10**30), 0.0, -0.0, 0.001, 1e-320, 1e308, float("nan"), float("inf")),
    *(-float("inf"), 1j, "", "x", "\0", "\ud800", "x" * 10_000, "127.0.0.1", "FIRST_COMPLETED"),
    *(b"", b"\n", b"x" * 100, bytearray(b"abc"), memoryview(b"view"), memoryview(b"abcd")[::2]),
    *((), [], {}, set(), frozenset(), (1, 2), [None], ..., NotImplemented, object, int, type),
    *(sys.maxsize, -sys.maxsize - 1, slice(None), range(3), object(), array.array("i", [1])),
    *(Text("text"), Number(7), Data(b"data"), ValueError, ValueError("made"), StopIteration),
    *(StopIteration(1), KeyboardInterrupt, BaseException("b"), asyncio.CancelledError, Exception),
    *(GeneratorExit, ("127.0.0.1", 0), (socket.AF_INET, 1, 6, "", ("127.0.0.1", 1))),
]
CALLABLES: list[Any] = [
    *(
        lambda *a, **k: None,
        lambda *a, **k: a,
        print.__class__,
        len,
        asyncio.sleep,
        asyncio.Protocol,
    ),
    *(asyncio.BufferedProtocol, asyncio.DatagramProtocol, asyncio.Future, coroutine, iter, max),
]
MADE: list[Callable[[], Any]] = [
    *(released, closed_socket, nested, itself, coroutine, mock.MagicMock, contextvars.copy_context),
    *(lambda: socket.socketpair()[0], lambda: iter(()), lambda: (x for x in [1]), socket.socket),
    lambda: bytearray(100_000),
]
DISTURBANCES = [
    *("close", "abort", "cancel", "release", "stop", "clear", "set", "get_nowait", "__init__"),
    *("pause_reading", "resume_reading", "done", "result", "feed_eof", "shutdown", "notify"),
    *("write_eof", "detach", "is_closing", "__repr__", "__sizeof__", "__reduce__", "throw", "send"),
    *("connection_lost", "eof_received", "reset", "task_done", "__next__", "__await__", "uncancel"),
]
