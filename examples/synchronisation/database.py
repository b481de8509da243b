"""A database of sorts: a TCP server that answers a line with a line, slowly, and counts."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

#: What makes it drop the connection, as servers do for reasons of their own.
FATAL = "restart"


class Database:
    """`async with Database() as database`: runs for the time of the block."""

    def __init__(self) -> None:
        #: Connections at this time, at most at any time, and in all.
        self.now = self.most = self.total = 0
        self._visits: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address: tuple[str, int] = self._server.sockets[0].getsockname()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        # `wait_closed` does that by itself, but since 3.12 only.
        if self._visits:
            await asyncio.wait(self._visits)
        await self._server.wait_closed()

    async def connect(self) -> Connection:
        return Connection(*await asyncio.open_connection(*self.address))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.current_task()
        assert visit is not None
        self._visits.add(visit)
        self.now += 1
        self.total += 1
        self.most = max(self.most, self.now)
        try:
            while (line := (await reader.readline()).decode().strip()) and line != FATAL:
                await asyncio.sleep(0.003)
                writer.write(f"{line.upper()}\n".encode())
        except ConnectionError:
            pass  # The client left in the middle of something.
        finally:
            self.now -= 1
            self._visits.discard(visit)
            writer.close()


class Connection:
    """One question at a time: a second one before the answer would get the answer to the first."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, question: str) -> str:
        """Raises ConnectionError if the database has gone."""
        self._writer.write(f"{question}\n".encode())
        await self._writer.drain()
        answer = await self._reader.readline()
        if not answer:
            raise ConnectionResetError("the database closed the connection")
        return answer.decode().strip()

    def close(self) -> None:
        self._writer.close()
