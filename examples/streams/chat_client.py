"""A chat client on the whole screen: lines come in while one is being typed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Self

from editor import Editor
from terminal import Terminal


class Conversation:
    """A connection to the chat server, for the time of an `async with` block."""

    def __init__(self, host: str, port: int, name: str) -> None:
        self._address = host, port
        self._name = name

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        await self.say(self._name)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def say(self, line: str) -> None:
        self._writer.write(f"{line}\n".encode())
        await self._writer.drain()

    async def lines(self) -> AsyncGenerator[str, None]:
        """What the server sends, until it ends the connection."""
        with contextlib.suppress(ConnectionError):
            while line := await self._reader.readline():
                yield line.decode(errors="replace").rstrip("\n")


async def run(host: str, port: int, name: str) -> None:
    """Talks until /quit, Ctrl-D or the end of the connection."""
    async with Conversation(host, port, name) as conversation:
        async with Terminal() as terminal:
            window = Window(terminal, f" {name} at {host}:{port} | /who, /quit, Ctrl-D")
            tasks = [
                asyncio.create_task(window.show(conversation)),
                asyncio.create_task(window.take(conversation)),
                asyncio.create_task(window.draw()),
            ]
            # The first to end, of its own or with an error, ends all.
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.wait(tasks)
        for task in done:
            task.result()
    print(*window.lines[-3:], sep="\n")


class Window:
    """What is on the screen, and the three things that go on at once."""

    def __init__(self, terminal: Terminal, status: str) -> None:
        self.lines: list[str] = []
        self._terminal = terminal
        self._status = status
        self._editor = Editor()

    async def show(self, conversation: Conversation) -> None:
        async for line in conversation.lines():
            self.lines.append(line)
            del self.lines[:-1000]
            self._terminal.changed.set()

    async def take(self, conversation: Conversation) -> None:
        async for typed in self._terminal.typed():
            said = self._editor.feed(typed)
            self._terminal.changed.set()
            for line in said:
                await conversation.say(line)
        await conversation.say("/quit")

    async def draw(self) -> None:
        async for _ in self._terminal.redraws(0.02):
            self._terminal.draw(self.lines, self._status, self._editor.text, self._editor.cursor)
