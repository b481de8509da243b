"""transactions: all or nothing, savepoints inside, and the same by hand.

`async with connection.transaction()` commits at its end and rolls back if an exception leaves it;
inside another it is a savepoint. By hand (`start`, `commit`, `rollback`) it can be tried again as a
whole, which is what a serialisable transaction asks of its users. A timeout is an exception like
any other: the transaction it strikes has not happened.
"""

from __future__ import annotations

import asyncio

import asyncpg
import network
import schema

VALUES = (
    "insert into ride (card_id, from_stop, to_stop, boarded_at, fare) values ($1, $2, $3, $4, $5)"
)


async def run(dsn: str, rides: int) -> None:
    async with schema.open_pool(dsn, 4) as pool:
        async with pool.acquire() as connection:
            await schema.create(connection)
            await moving_money(connection)
            await without_savepoints(connection)
            await with_savepoints(connection)
            await struck_by_timeout(connection)
        for isolation in ("repeatable_read", "serializable"):
            await two_withdrawals(pool, isolation)


async def moving_money(connection: asyncpg.Connection) -> None:
    before = await total(connection)
    await transfer(connection, 1, 2, 200)
    try:
        await transfer(connection, 1, 2, 1_000_000)
    except asyncpg.CheckViolationError as error:
        print(f"  a transfer of too much: {type(error).__name__} ({error.constraint_name})")
    print(f"  money in the system unchanged: {await total(connection) == before}")


async def transfer(connection: asyncpg.Connection, giver: int, taker: int, cents: int) -> None:
    """Raises CheckViolationError, and has changed nothing, if the giver has not got as much."""
    async with connection.transaction():
        # The taker first: that this is undone shows that it is a transaction.
        await connection.execute(
            "update card set balance = balance + $2 where id = $1", taker, cents
        )
        await connection.execute(
            "update card set balance = balance - $2 where id = $1", giver, cents
        )


async def total(connection: asyncpg.Connection) -> int:
    cents: int = await connection.fetchval("select sum(balance) from card")
    return cents


def partly_wrong() -> list[network.Ride]:
    """A hundred rides, of which every tenth is by a card that nobody has issued."""
    return [
        (card + (network.CARDS if number % 10 == 9 else 0), start, end, boarded, fare)
        for number, (card, start, end, boarded, fare) in enumerate(network.rides(100))
    ]


async def without_savepoints(connection: asyncpg.Connection) -> None:
    """After the first error all else is refused, and the commit is a rollback."""
    errors: list[str] = []
    try:
        async with connection.transaction():
            for ride in partly_wrong():
                try:
                    await connection.execute(VALUES, *ride)
                except asyncpg.PostgresError as error:
                    errors.append(type(error).__name__)
    except asyncpg.PostgresError as error:
        errors.append(type(error).__name__)
    kept = await connection.fetchval("select count(*) from ride")
    print(f"  100 rides, 10 wrong, errors caught: {kept} kept; {', '.join(dict.fromkeys(errors))}")


async def with_savepoints(connection: asyncpg.Connection) -> None:
    refused = 0
    async with connection.transaction():
        for ride in partly_wrong():
            try:
                async with connection.transaction():
                    await connection.execute(VALUES, *ride)
            except asyncpg.ForeignKeyViolationError:
                refused += 1
    kept = await connection.fetchval("select count(*) from ride")
    print(f"  100 rides, 10 wrong, a savepoint each: {kept} kept, {refused} refused")


async def struck_by_timeout(connection: asyncpg.Connection) -> None:
    before = await total(connection)
    try:
        async with asyncio.timeout(0.2), connection.transaction():
            await connection.execute("update card set balance = 0")
            await connection.execute("select pg_sleep(60)")
    except TimeoutError:
        unchanged = await total(connection) == before
        print(f"  a timeout amid a transaction: TimeoutError, nothing changed: {unchanged}")


async def two_withdrawals(pool: asyncpg.Pool, isolation: str) -> None:
    """A family has two cards, and must keep ten euros on the two together.

    Both withdraw at the same moment. Each transaction sees twenty and takes ten: right by itself,
    wrong together. A serialisable one notices, and whoever lost tries again.
    """
    await pool.execute("update card set balance = 1000 where id in (11, 12)")
    # Brings about what is otherwise rare: both have read before either writes.
    have_read = asyncio.Barrier(2)
    log = await asyncio.gather(
        withdraw(pool, 11, isolation, have_read), withdraw(pool, 12, isolation, have_read)
    )
    left = await pool.fetchval("select sum(balance) from card where id in (11, 12)")
    print(
        f"  two withdrawals, {isolation}: {', '.join(sorted(log))}; "
        f"{left / 100:.2f} left, {'as agreed' if left >= 1000 else 'which breaks the rule'}"
    )


async def withdraw(
    pool: asyncpg.Pool, card: int, isolation: str, have_read: asyncio.Barrier
) -> str:
    attempts = 0
    async with pool.acquire() as connection:
        while True:
            attempts += 1
            transaction = connection.transaction(isolation=isolation)
            await transaction.start()
            try:
                together = await connection.fetchval(
                    "select sum(balance) from card where id in (11, 12)"
                )
                if attempts == 1:
                    await have_read.wait()
                if together - 1000 < 1000:
                    await transaction.rollback()
                    return f"refused at attempt {attempts}"
                await connection.execute(
                    "update card set balance = balance - 1000 where id = $1", card
                )
                await transaction.commit()
                return f"done at attempt {attempts}"
            except asyncpg.SerializationError:
                # A commit that failed has ended the transaction, a query that failed has not.
                if connection.is_in_transaction():
                    await transaction.rollback()
            except BaseException:
                if connection.is_in_transaction():
                    await transaction.rollback()
                raise
