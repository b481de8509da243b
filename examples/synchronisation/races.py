"""A theatre that sells more seats than it has, and other things that go wrong around an `await`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

SEATS = 10
BUYERS = 25


class Refused(Exception):
    """A card was not accepted."""


async def payment(buyer: int) -> None:
    """Talk to a bank; every fifth card is refused."""
    await asyncio.sleep(0.001 * (buyer % 7))
    if buyer % 5 == 4:
        raise Refused


class Theatre:
    def __init__(self) -> None:
        self.sold = 0
        self._office = asyncio.Lock()

    async def look_then_sell(self, buyer: int) -> None:
        """The race: between the look and the sale, others look."""
        if self.sold < SEATS:
            await payment(buyer)
            self.sold += 1

    async def sell_under_lock(self, buyer: int) -> None:
        """Right, but one after the other: all buyers wait for each bank."""
        async with self._office:
            if self.sold < SEATS:
                await payment(buyer)
                self.sold += 1

    async def reserve_then_pay(self, buyer: int) -> None:
        """Right, and all at once: look and act without an `await` in between; undo if it fails.

        It may sell too few: who came while all seats were reserved has been turned away, although
        some reservations came to nothing. That is for the theatre to decide, not for luck.
        """
        if self.sold < SEATS:
            self.sold += 1
            try:
                await payment(buyer)
            except BaseException:  # Cancelled buyers do not keep their seats, either.
                self.sold -= 1
                raise


async def main() -> None:
    for way in ("look_then_sell", "sell_under_lock", "reserve_then_pay"):
        theatre = Theatre()
        sell: Callable[[int], Awaitable[None]] = getattr(theatre, way)
        sales = (sell(buyer) for buyer in range(BUYERS))
        await asyncio.gather(*sales, return_exceptions=True)
        print(f"{way:<18} {theatre.sold} of {SEATS} seats sold")
    print()
    await lost_updates()
    await half_done()
    await changed_while_walking()


async def lost_updates() -> None:
    """Read, wait, write: what others wrote in between is overwritten."""
    count = 0

    async def read_wait_write() -> None:
        nonlocal count
        seen = count
        await asyncio.sleep(0)
        count = seen + 1

    async def in_one_go() -> None:
        nonlocal count
        await asyncio.sleep(0)
        # No `await` within the statement, so nobody comes between: no lock is needed. With threads
        # it would be.
        count += 1

    for visit in (read_wait_write, in_one_go):
        count = 0
        await asyncio.gather(*(visit() for _ in range(100)))
        print(f"100 visitors, {visit.__name__}: counted {count}")


async def half_done() -> None:
    """Who looks on while something is half done sees what should never be seen."""
    purse, till = 100, 0
    counter = asyncio.Lock()

    async def pay(amount: int) -> None:
        nonlocal purse, till
        async with counter:
            purse -= amount
            await asyncio.sleep(0)
            till += amount

    async def look() -> int:
        return purse + till

    async def look_under_lock() -> int:
        async with counter:
            return purse + till

    for observe in (look, look_under_lock):
        _, seen = await asyncio.gather(pay(30), observe())
        print(f"purse and till together, {observe.__name__}: {seen}")


async def changed_while_walking() -> None:
    """A set that tasks add to must not be walked through with an `await` inside."""
    listeners = {"ann", "bob"}

    async def join() -> None:
        listeners.add("eve")

    async def tell(audience: set[str]) -> str:
        told = 0
        try:
            for _ in audience:
                await asyncio.sleep(0)
                told += 1
        except RuntimeError as error:
            return f"{type(error).__name__}: {error}"
        return f"told {told}"

    answer, _ = await asyncio.gather(tell(listeners), join())
    print(f"walking through the set: {answer}")
    listeners.discard("eve")
    answer, _ = await asyncio.gather(tell(set(listeners)), join())
    print(f"walking through a copy:  {answer}")
