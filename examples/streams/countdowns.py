"""Countdowns that are started by typing while others run: input that never stops the loop.

On a terminal the screen lives: bars above, the line being typed below. From a pipe or a file, the
same commands are read line by line, and what happens is printed.

    NAME SECONDS    start a countdown (again, if the name is in use)
    stop NAME       stop it
    quit            stop all and leave; so do Ctrl-D and Ctrl-C
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import stat
import sys
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import TextIO

from editor import Editor
from terminal import Terminal


@dataclass
class Countdown:
    name: str
    seconds: float
    started: float
    task: asyncio.Task[None] | None = None
    state: str = "running"

    def row(self, now: float) -> str:
        share = min((now - self.started) / self.seconds, 1.0) if self.state == "running" else 1.0
        bar = "#" * int(20 * share)
        return f"{self.name:12.12} [{bar:<20}] {self.seconds:6.1f} s  {self.state}"


class Board:
    """All countdowns; calls `tell` with a line about each that ends."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._countdowns: dict[str, Countdown] = {}

    def obey(self, command: str) -> bool:
        """Carries out one line; says if there is to be another one."""
        match command.split():
            case []:
                pass
            case ["quit"]:
                return False
            case ["stop", name]:
                self._stop(name)
            case [name, number] if is_seconds(number):
                self._start(name, float(number))
            case _:
                self._tell(f"not understood: {command.strip()!r} (try: tea 3 / stop tea / quit)")
        return True

    async def finish(self, *, stop: bool) -> None:
        """Waits until all have ended; stops them first if so told."""
        for countdown in self._countdowns.values():
            if stop:
                self._stop(countdown.name)
        tasks = [c.task for c in self._countdowns.values() if c.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    def rows(self) -> list[str]:
        now = time.monotonic()
        return [countdown.row(now) for countdown in self._countdowns.values()]

    def count_running(self) -> int:
        return sum(c.state == "running" for c in self._countdowns.values())

    def _start(self, name: str, seconds: float) -> None:
        if name in self._countdowns:
            self._stop(name)
        countdown = Countdown(name, seconds, time.monotonic())
        # The board keeps the task: the loop alone would let it be collected while it sleeps.
        countdown.task = asyncio.create_task(self._run(countdown), name=name)
        self._countdowns[name] = countdown

    def _stop(self, name: str) -> None:
        countdown = self._countdowns.get(name)
        if countdown is None or countdown.task is None:
            self._tell(f"no countdown {name!r}")
        else:
            countdown.task.cancel()

    async def _run(self, countdown: Countdown) -> None:
        try:
            await asyncio.sleep(countdown.seconds)
        except asyncio.CancelledError:
            countdown.state = "stopped"
            self._tell(f"{countdown.name}: stopped")
            raise
        countdown.state = "done"
        self._tell(f"{countdown.name}: done after {countdown.seconds:g} s")


def is_seconds(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and float(text) > 0
    except ValueError:
        return False


async def lines_of(file: TextIO) -> AsyncGenerator[str, None]:
    """The lines of `file` as they come, whatever it is."""
    mode = os.fstat(file.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        # A regular file never makes anyone wait, and epoll refuses it (EPERM): so too /dev/null.
        for text in file:
            yield text
        return
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), file
    )
    try:
        while line := await reader.readline():
            yield line.decode(errors="replace")
    finally:
        transport.close()


async def run(file: TextIO | None = None) -> None:
    """Reads commands from `file`, standard input if not given."""
    file = file or sys.stdin
    if file.isatty():
        await run_on_screen()
    else:
        await run_on_lines(file)


async def run_on_lines(file: TextIO) -> None:
    board = Board(print)
    stop = False
    # Leaving the loop early leaves the generator in the middle; aclosing() ends it there and then.
    async with contextlib.aclosing(lines_of(file)) as lines:
        async for line in lines:
            if not board.obey(line):
                stop = True
                break
            # Each command has begun before the next one is read, however fast they come.
            await asyncio.sleep(0)
    await board.finish(stop=stop)


async def run_on_screen() -> None:
    messages: list[str] = []
    editor = Editor()
    async with Terminal() as terminal:

        def tell(message: str) -> None:
            messages.append(message)
            terminal.changed.set()

        board = Board(tell)

        async def draw() -> None:
            async for _ in terminal.redraws(0.05):
                status = f" {board.count_running()} running | NAME SECONDS, stop NAME, quit"
                terminal.draw(
                    [*messages[-8:], "", *board.rows()], status, editor.text, editor.cursor
                )
                if board.count_running():  # the bars move by themselves
                    terminal.changed.set()

        async with asyncio.TaskGroup() as group:
            drawing = group.create_task(draw())
            async for typed in terminal.typed():
                commands = editor.feed(typed)
                terminal.changed.set()
                if not all(board.obey(command) for command in commands):
                    break
            await board.finish(stop=True)
            drawing.cancel()
    print(*messages, sep="\n")
