"""A context variable for each request: who is asking, known everywhere and passed nowhere.

A task gets a copy of the context that it was created in. So what a request sets is seen by all that
it calls and starts, and by no other request. On one thread a global variable would be wrong at the
first `await`, and a thread-local one as well.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import defaultdict

REQUESTS = 20

visitor: contextvars.ContextVar[str] = contextvars.ContextVar("visitor", default="nobody")
logger = logging.getLogger("library")


class Ledger(logging.Handler):
    """A log that knows for whom something was done, although nobody says so."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: defaultdict[str, list[str]] = defaultdict(list)

    def emit(self, record: logging.LogRecord) -> None:
        self.pages[visitor.get()].append(record.getMessage())


def main() -> None:
    ledger = Ledger()
    logger.addHandler(ledger)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        asyncio.run(serve(ledger))
    finally:
        logger.removeHandler(ledger)


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request. The streams made a task for it, so the variable is ours."""
    visitor.set((await reader.readline()).decode().strip())
    logger.info("came in")
    async with asyncio.TaskGroup() as group:
        group.create_task(search("shelf"))
        group.create_task(search("cellar"))
    await asyncio.to_thread(read_catalogue)
    writer.write(f"{visitor.get()}, here you are\n".encode())
    writer.close()
    await writer.wait_closed()


async def search(place: str) -> None:
    """Started by a request, in a task of its own: a copy of the request's context."""
    await asyncio.sleep(0.001)
    logger.info("searched the %s", place)
    # In the copy: the request does not see it.
    visitor.set("somebody else")


def read_catalogue() -> None:
    """In a thread: `to_thread` takes the context along, `run_in_executor` does not."""
    logger.info("read the catalogue")


async def serve(ledger: Ledger) -> None:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()

    async def request(name: str) -> bool:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(f"{name}\n".encode())
        answer = await reader.readline()
        writer.close()
        return answer.decode() == f"{name}, here you are\n"

    async with server:
        names = [f"visitor {number}" for number in range(REQUESTS)]
        answers = await asyncio.gather(*(request(name) for name in names))
    print(f"{sum(answers)} of {REQUESTS} visitors were answered by their name")
    steps = ["came in", "read the catalogue", "searched the cellar", "searched the shelf"]
    right = sum(sorted(ledger.pages[name]) == steps for name in names)
    print(f"{right} of {REQUESTS} pages of the ledger have the four steps of one visitor")
    print(f"outside of any request: {visitor.get()}")
    await around()


async def around() -> None:
    """The same without a task: for callbacks, and for what is run in a context on purpose."""
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    context.run(visitor.set, "Ada")
    seen: list[str] = []
    loop.call_soon(lambda: seen.append(visitor.get()), context=context)
    loop.call_soon(lambda: seen.append(visitor.get()))
    await asyncio.sleep(0)
    seen.append(await loop.run_in_executor(None, visitor.get))
    seen.append(await loop.run_in_executor(None, context.run, visitor.get))
    print(f"call_soon with context, without; run_in_executor, with context.run: {seen}")
