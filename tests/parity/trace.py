"""`Trace`: what a test body observed, in a form that two runs can be compared by."""

from __future__ import annotations

import asyncio
import enum
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# What differs from run to run, or names a class that is each loop's own business.
_SCRUBBED = [
    (re.compile(r"0x[0-9a-fA-F]+"), "0x"),
    (re.compile(r"\bTask-\d+"), "Task-N"),
    (re.compile(r"\bfd=\d+"), "fd=N"),
    (re.compile(r"\bwhen=\d+(\.\d+)?"), "when=N"),
    (re.compile(r"<[\w.]*Loop [^>]*>"), "<LOOP>"),
    (re.compile(r"<[\w.]*Transport[^>]*>"), "<TRANSPORT>"),
    # Cut short by reprlib.
    (re.compile(r"<_?(?:Selec|Stre|Datag|Unix|ReadP|WriteP)\w*\.\.\.[^>]*>"), "<TRANSPORT>"),
    (re.compile(r"<[\w.]*Server [^>]*>"), "<SERVER>"),
    # 3.14's class, whose rule for cancel() ferrio follows on every version.
    (re.compile(r"\b_ThreadSafeHandle\b"), "Handle"),
    # A task's step, where nothing but the callable itself can be shown.
    (re.compile(r"<(?:_asyncio|ferrio)\.(TaskStepMethWrapper) object"), r"<\1 object"),
    # How 3.11's wait_for shows what it is woken by, a function of ours there.
    (re.compile(r"_release_waiter\(<Future .*?>\)\(\) at /\S+:\d+"), "_release_waiter()"),
    # How a TypeError names a class depends on whether it is written in C.
    (re.compile(r"'(?:ferrio|asyncio)\.(?:\w+\.)*(\w+)'"), r"'\1'"),
    (re.compile(r"\b_?\w+Transport(?= has|' object has|\._call)"), "TRANSPORT"),
    (re.compile(r"\b(Base(Event|Selector)?|_UnixSelector)(Event)?Loop\."), "Loop."),
    # Where a coroutine or handle comes from: the loop's own files are not observable behaviour.
    (re.compile(r"(created|defined|running|done,? at|at) /\S+:\d+"), r"\1 FILE"),
    (re.compile(r"\b\d+\.\d+ seconds"), "N seconds"),
]


class Trace:
    """Events, in order, on named channels.

    Within a channel the order counts, between channels it does not: two ends of a connection may be
    served in either order, and each is a channel of its own.
    """

    def __init__(self) -> None:
        self.channels: dict[str, list[str]] = {}
        # What debug mode calls slow depends on how busy the machine is: only who asks is told.
        self.shows_slow_callbacks = False
        self._hidden: list[tuple[str, str]] = []

    def __call__(self, *event: object) -> None:
        self.on("main", *event)

    def on(self, channel: str, *event: object) -> None:
        text = " ".join(self.describe(part, is_word=index == 0) for index, part in enumerate(event))
        self.channels.setdefault(channel, []).append(text)

    def merge(self, channel: str, word: str, count: int) -> None:
        """Records `word` with a number; if it was the last event already, the numbers add up."""
        events = self.channels.setdefault(channel, [])
        if events and events[-1].startswith(f"{word} "):
            count += int(events.pop().split()[1])
        events.append(f"{word} {count}")

    def hide(self, value: object, name: str) -> None:
        """From now on `value`, a port say, is written as `name`."""
        self._hidden.insert(0, (str(value), name))

    def describe(self, value: object, *, is_word: bool = False) -> str:
        match value:
            case str():
                return self._scrub(value if is_word else repr(value))
            case enum.Enum() | None | bool():
                return repr(value)
            case int() | float() | bytearray() | memoryview():
                return self._scrub(repr(value))
            case bytes():
                return repr(value) if len(value) <= 40 else f"<{len(value)} bytes>"
            case BaseExceptionGroup():
                parts = ", ".join(self.describe(part) for part in value.exceptions)
                return f"{type(value).__name__}({value.message!r}: {parts})"
            case BaseException():
                return f"{type(value).__name__}({self._scrub(str(value))!r})"
            case type():
                return value.__name__
            case list():
                return "[" + ", ".join(self.describe(part) for part in value) + "]"
            case tuple():
                return "(" + ", ".join(self.describe(part) for part in value) + ")"
            case set() | frozenset():
                return "{" + ", ".join(sorted(self.describe(part) for part in value)) + "}"
            case dict():
                pairs = (f"{self.describe(k)}: {self.describe(v)}" for k, v in value.items())
                return "{" + ", ".join(pairs) + "}"
            case _:
                return self._scrub(repr(value))

    def _scrub(self, text: str) -> str:
        for value, name in self._hidden:
            text = re.sub(rf"(?<![\w.]){re.escape(value)}(?!\w)", name, text)
        for pattern, name in _SCRUBBED:
            text = pattern.sub(name, text)
        return text

    @contextmanager
    def raises(self, label: str = "raised") -> Iterator[None]:
        """Records the exception that the block ends with, or that it ends without one."""
        try:
            yield
        except BaseException as error:
            self(label, error)
        else:
            self(label, None)

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls, and records the result or the exception."""
        name = getattr(function, "__name__", "call")
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            self(f"{name}:", error)
            return None
        self(f"{name}:", result)
        return result

    def exception_handler(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """To be set on the loop: records what it is called with."""
        self.on(
            "exception handler",
            context["message"],
            context.get("exception"),
            sorted(context),
        )
