"""A pool of connections: many who ask, few connections, and a condition for those who have to wait.

A condition is a lock with a waiting room. `wait_for` gives up the lock, waits to be notified, takes
the lock back and looks whether what it waits for is true *now*; if not, it waits on. To be notified
is only a hint: somebody else may have been quicker.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from database import FATAL, Connection, Database

LIMIT = 3
CLERKS = 12
QUESTIONS = 4
#: After so many turns of the loop, at most, clerks are cancelled.
TURNS = 60


class Pool:
    """At most `limit` connections, opened when first needed. Nobody gets one that failed."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], limit: int) -> None:
        self._connect = connect
        self._limit = limit
        self._idle: list[Connection] = []
        #: Idle, lent or being opened.
        self._open = 0
        #: Notified when there is a connection, or room for one.
        self._available = asyncio.Condition()

    @property
    def idle(self) -> int:
        return len(self._idle)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lends a connection for the time of the block."""
        connection = await self._take()
        try:
            yield connection
        except BaseException:
            # Failed or cancelled halfway: an answer may still be on its way, and the next one to
            # ask would take it for his.
            connection.close()
            self._open -= 1
            await self._announce()
            raise
        self._idle.append(connection)
        await self._announce()

    async def _take(self) -> Connection:
        async with self._available:
            try:
                await self._available.wait_for(lambda: self._idle or self._open < self._limit)
            except asyncio.CancelledError:
                # It may be that we were notified in the same moment (and up to 3.12, asyncio does
                # not pass that on): then it is somebody else's turn.
                self._available.notify()
                raise
            if self._idle:
                return self._idle.pop()
            # Counted before it is there, or others would open one, too, while we wait.
            self._open += 1
        try:
            return await self._connect()
        except BaseException:
            self._open -= 1
            await self._announce()
            raise

    async def _announce(self) -> None:
        """Only the holder of the lock may notify.

        Nobody keeps the lock over an `await`, but for the one in `wait_for`, which gives it up. So
        this never has to wait for it, and cannot be cancelled halfway.
        """
        async with self._available:
            self._available.notify()

    async def close(self) -> None:
        """Closes what is idle; everything must have been given back."""
        while self._idle:
            self._idle.pop().close()
            self._open -= 1


async def main() -> None:
    async with Database() as database:
        pool = Pool(database.connect, LIMIT)
        try:
            await many_clerks(pool, database)
            await a_failure(pool, database)
            await no_patience(pool)
            await cancelled_anywhere(pool)
            await cancelled_when_called(database)
        finally:
            await pool.close()


async def many_clerks(pool: Pool, database: Database) -> None:
    async def clerk(name: str) -> int:
        right = 0
        for number in range(QUESTIONS):
            async with pool.connection() as connection:
                answer = await connection.ask(f"{name} {number}")
            right += answer == f"{name} {number}".upper()
        return right

    answers = await asyncio.gather(*(clerk(f"clerk {number}") for number in range(CLERKS)))
    print(f"{CLERKS} clerks, {sum(answers)} right answers to {CLERKS * QUESTIONS} questions")
    print(f"connections: at most {database.most} at once, {database.total} in all")


async def a_failure(pool: Pool, database: Database) -> None:
    """A connection that failed is replaced; the clerk who met it may try again."""
    for question in (FATAL, "still there?"):
        try:
            async with pool.connection() as connection:
                print(f"answer: {await connection.ask(question)}")
        except ConnectionError as error:
            print(f"{type(error).__name__}: {error}; {pool.idle} idle in the pool")


async def no_patience(pool: Pool) -> None:
    """Who gives up waiting leaves no trace."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(LIMIT):
            await stack.enter_async_context(pool.connection())
        try:
            async with asyncio.timeout(0.05), pool.connection():
                print("there should have been none")
        except TimeoutError:
            print(f"all {LIMIT} are lent: gave up after 0.05 s")
    async with asyncio.timeout(5), pool.connection() as connection:
        print(f"given back: {await connection.ask('and now?')}; idle meanwhile: {pool.idle}")


async def cancelled_anywhere(pool: Pool) -> None:
    """Cancels every second clerk, after more and more turns: waiting, using, giving back.

    If a connection or a notification got lost on the way, somebody would wait for ever.
    """

    async def clerk() -> None:
        async with pool.connection():
            await asyncio.sleep(0)

    async with asyncio.timeout(30):
        for turns in range(TURNS):
            clerks = [asyncio.create_task(clerk()) for _ in range(CLERKS)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for unlucky in clerks[::2]:
                unlucky.cancel()
            await asyncio.wait(clerks)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(LIMIT):
                await stack.enter_async_context(pool.connection())
            print(f"{TURNS} times half of the clerks cancelled: all {LIMIT} can still be lent")


async def cancelled_when_called(database: Database) -> None:
    """The connection is free, the first in the queue is told so, and has just been cancelled."""
    pool = Pool(database.connect, 1)

    async def clerk() -> str:
        async with pool.connection() as connection:
            return await connection.ask("my turn?")

    async with pool.connection():
        first, second = (asyncio.create_task(clerk()) for _ in range(2))
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first, second], timeout=5)
    print(f"called and cancelled: {first.cancelled()}; then the next was called: {second.done()}")
    await pool.close()
