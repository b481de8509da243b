"""A chat server by streams: lines of UTF-8, for our clients as for telnet and nc.

The first line is the name; each other line is said to everybody. `/who` lists who is there, `/quit`
leaves. What the server says itself begins with `*`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

#: Bytes of the longest line that is taken from a client.
LONGEST_LINE = 1024
#: Lines that may wait for a client that reads too slowly; then it has to go.
LONGEST_QUEUE = 1000


class Member:
    """One client with a name. Lines for it wait in a queue: nobody waits for its network."""

    def __init__(self, name: str, writer: asyncio.StreamWriter) -> None:
        self.name = name
        self._writer = writer
        self._lines: asyncio.Queue[str | None] = asyncio.Queue(LONGEST_QUEUE)

    def tell(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except asyncio.QueueFull:
            # Its reader sees the end of the connection, and leaves the room.
            self._writer.transport.abort()

    async def send_lines(self) -> None:
        """Sends what the queue brings until it brings None."""
        with contextlib.suppress(ConnectionError):
            while (line := await self._lines.get()) is not None:
                self._writer.write(f"{line}\n".encode())
                await self._writer.drain()

    def finish(self) -> None:
        """Has `send_lines` end after what is in the queue already."""
        with contextlib.suppress(asyncio.QueueFull):
            self._lines.put_nowait(None)


class Room:
    """Everybody who is here."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from beginning to end."""
        try:
            name = (await read_line(reader)) or ""
            if not name.isidentifier() or name in self._members:
                reason = "is taken" if name in self._members else "is not a name"
                writer.write(f"* {name!r} {reason}\n".encode())
                return
            await self._attend(Member(name, writer), reader)
        except ConnectionError:
            pass  # this client only
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _attend(self, member: Member, reader: asyncio.StreamReader) -> None:
        self._members[member.name] = member
        self._tell_all(f"* {member.name} is here ({len(self._members)} now)")
        sending = asyncio.create_task(member.send_lines())
        try:
            while (line := await read_line(reader)) not in (None, "/quit"):
                if line == "/who":
                    member.tell(f"* here: {', '.join(sorted(self._members))}")
                elif line:
                    self._tell_all(f"{member.name}: {line}")
        except ValueError as problem:
            member.tell(f"* {problem}")
        finally:
            del self._members[member.name]
            self._tell_all(f"* {member.name} has left ({len(self._members)} now)")
            member.finish()
            # What it was told last still goes out, if it takes it.
            await asyncio.wait([sending], timeout=2)
            sending.cancel()

    def _tell_all(self, line: str) -> None:
        for member in self._members.values():
            member.tell(line)


async def read_line(reader: asyncio.StreamReader) -> str | None:
    """The next line without its end, or None if there is none.

    Raises ValueError if it is longer than the limit of the reader.
    """
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise ValueError(f"a line may have {LONGEST_LINE} bytes, not more") from None
    return line.decode(errors="replace").strip()


@contextlib.asynccontextmanager
async def chat_server(host: str, port: int) -> AsyncIterator[int]:
    """Serves for the time of the block; yields the port. At the end all are sent home."""
    room = Room()
    attending: set[asyncio.Task[None]] = set()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        attending.add(task)
        try:
            # Cancelled by us below: no news for the loop's log.
            with contextlib.suppress(asyncio.CancelledError):
                await room.serve(reader, writer)
        finally:
            attending.discard(task)

    server = await asyncio.start_server(attend, host, port, limit=LONGEST_LINE)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # wait_closed() waits for connections, from Python 3.12 on; so they go first.
        server.close()
        for task in attending:
            task.cancel()
        if attending:
            await asyncio.wait(attending)
        await server.wait_closed()


async def run(host: str, port: int) -> None:
    """Serves until Ctrl-C or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with chat_server(host, port) as actual:
        print(f"chat on {host}:{actual}, Ctrl-C ends it", flush=True)
        await stop.wait()
    print("closed")
