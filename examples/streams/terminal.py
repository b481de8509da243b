"""A full-screen terminal on the loop: keys come as they are pressed, frames go out as they fit.

The terminal is opened afresh, twice. Putting standard input on the loop makes it non-blocking, and
on a terminal standard output is the same open file: a long `print` would then raise
BlockingIOError, here and in the shell that started us.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
import sys
import termios
import tty
import unicodedata
from collections.abc import AsyncIterator
from typing import Self

ALTERNATE_SCREEN, MAIN_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
REVERSED, PLAIN = "\x1b[7m", "\x1b[0m"


class Terminal:
    """The terminal of this process, for the time of an `async with` block."""

    def __init__(self) -> None:
        #: Set when there is something new to draw, the size of the terminal included.
        self.changed = asyncio.Event()
        self._reader = asyncio.StreamReader()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        name = os.ttyname(sys.stdin.fileno())
        # The transports own and close them.
        keyboard = os.fdopen(os.open(name, os.O_RDONLY | os.O_NOCTTY), "rb", buffering=0)
        display = os.fdopen(os.open(name, os.O_WRONLY | os.O_NOCTTY), "wb", buffering=0)
        self._saved = termios.tcgetattr(keyboard)
        # Keys at once and not echoed; Ctrl-C stays a signal.
        tty.setcbreak(keyboard.fileno())
        self._input, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), keyboard
        )
        self._output, _ = await loop.connect_write_pipe(asyncio.Protocol, display)
        loop.add_signal_handler(signal.SIGWINCH, self.changed.set)
        self._output.write(ALTERNATE_SCREEN.encode())
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGWINCH)
        self._input.close()
        self._output.write(MAIN_SCREEN.encode())
        self._output.close()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)

    async def typed(self) -> AsyncIterator[str]:
        """What was typed since the last time, as soon as there is something."""
        # A character of several bytes may be cut in two.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while data := await self._reader.read(1024):
            if "\x04" in (text := decoder.decode(data)):  # Ctrl-D
                return
            if text:
                yield text

    def draw(self, rows: list[str], status: str, line: str, cursor: int) -> None:
        """Shows the last of `rows` that fit, `status` reversed, `line` with the cursor in it."""
        # A terminal that does not keep up gets fewer frames, not old ones.
        if self._output.get_write_buffer_size() == 0:
            size = os.get_terminal_size(sys.stdin.fileno())
            self._output.write(frame(rows, status, line, cursor, size).encode())

    async def redraws(self, interval: float) -> AsyncIterator[None]:
        """Says when to draw: when something changed, but no sooner than `interval` seconds."""
        while True:
            self.changed.clear()
            yield
            await asyncio.sleep(interval)
            await self.changed.wait()


def frame(rows: list[str], status: str, line: str, cursor: int, size: os.terminal_size) -> str:
    """One screenful, drawn over the last one: clearing the screen first would flicker."""
    shown = rows[-max(size.lines - 2, 0) :] if size.lines > 2 else []
    shown = shown + [""] * (size.lines - 2 - len(shown))
    bar = fit(status, size.columns)
    bar += " " * (size.columns - width(bar))
    body = "".join(f"{fit(row, size.columns)}{CLEAR_LINE}\r\n" for row in shown)
    column = min(width("> " + line[:cursor]), size.columns - 1) + 1
    prompt = fit("> " + line, size.columns - 1)
    return f"{HOME}{body}{REVERSED}{bar}{PLAIN}\r\n{prompt}{CLEAR_BELOW}\x1b[{size.lines};{column}H"


def width(text: str) -> int:
    """Cells of a terminal that `text` takes: accents take none, Chinese and emoji two each."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def fit(text: str, columns: int) -> str:
    """As much of `text` as goes into `columns` cells."""
    # Somebody else's text must not steer this terminal.
    text = "".join(c if c.isprintable() else "?" for c in text)
    while width(text) > columns:
        text = text[: columns if len(text) > columns else -1]
    return text
