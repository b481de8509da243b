"""Programs on a terminal: a pseudo-terminal to run them in, and an emulator to read the screen."""

from __future__ import annotations

import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from typing import Self

import pyte

ROOT = Path(__file__).resolve().parents[2]
#: Seconds to wait for anything; only what hangs takes so long.
PATIENCE = 30


class TerminalProgram:
    """An example in a terminal of `columns` by `lines`, for the time of a `with` block."""

    def __init__(self, loop: str, *words: str, columns: int = 80, lines: int = 24) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._keyboard, terminal = pty.openpty()
        set_size(self._keyboard, columns, lines)
        # setsid makes it the terminal of a session of its own: Ctrl-C and SIGWINCH come from there.
        command = ["setsid", "--ctty", sys.executable, "-m", "ferrio", "run", "--loop", loop]
        self._process = subprocess.Popen(
            [*command, *words], cwd=ROOT, stdin=terminal, stdout=terminal, stderr=terminal
        )
        os.close(terminal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._keyboard)

    @property
    def rows(self) -> list[str]:
        """The screen as it is now, without trailing spaces."""
        return [row.rstrip() for row in self._screen.display]

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row, from 0."""
        return self._screen.cursor.x, self._screen.cursor.y

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed by itself, as before the program."""
        return bool(termios.tcgetattr(self._keyboard)[3] & termios.ECHO)

    def type(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)
        set_size(self._keyboard, columns, lines)

    def wait_until(self, holds: Callable[[list[str]], bool]) -> list[str]:
        """Follows the screen until `holds` is true of its rows; returns them."""
        deadline = time.monotonic() + PATIENCE
        while not holds(self.rows):
            if time.monotonic() > deadline:
                raise AssertionError("not seen in time; the screen:\n" + "\n".join(self.rows))
            if not self._follow() and not holds(self.rows):
                raise AssertionError("the program ended; the screen:\n" + "\n".join(self.rows))
        return self.rows

    def wait_for(self, text: str) -> list[str]:
        """Follows the screen until one of its rows contains `text`."""
        return self.wait_until(lambda rows: any(text in row for row in rows))

    def wait_for_end(self) -> int:
        """Follows the screen until the program ends; its exit status."""
        deadline = time.monotonic() + PATIENCE
        while self._follow():
            if time.monotonic() > deadline:
                raise AssertionError("did not end; the screen:\n" + "\n".join(self.rows))
        return self._process.wait(PATIENCE)

    def _follow(self) -> bool:
        """Takes what the program wrote, if there is something soon; False after its end."""
        if select.select([self._keyboard], [], [], 0.1)[0]:
            try:
                self._stream.feed(os.read(self._keyboard, 65536))
            except OSError:  # EIO: nobody has the terminal open any more
                return False
        return True


def set_size(terminal: int, columns: int, lines: int) -> None:
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
