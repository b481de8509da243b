"""A shop's checkout: customers wait in a line that has an end, cashiers take the next one.

What a queue of limited length is for: if customers come faster than they are served, either those
who bring them wait (`await put`), or somebody is turned away (`put_nowait`); the line itself never
grows beyond what was planned.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from dataclasses import dataclass, field


@dataclass
class Customer:
    number: int
    #: Prices of what is in the basket, in cents.
    basket: list[int]
    came: float = field(default_factory=time.perf_counter)


@dataclass
class Cashier:
    name: str
    served: int = 0
    cents: int = 0

    async def work(self, line: asyncio.Queue[Customer], waits: list[float], pace: float) -> None:
        while True:
            customer = await line.get()
            waits.append(time.perf_counter() - customer.came)
            try:
                for price in customer.basket:
                    await asyncio.sleep(pace)
                    self.cents += price
                self.served += 1
            finally:
                # Also if something was wrong with this one: join() would wait for ever.
                line.task_done()


async def open_shop(
    customers: int, cashiers: int, length: int, pace: float, *, patient: bool
) -> None:
    """One day: `pace` seconds for each item, `length` places in the line."""
    dice = random.Random(customers)
    line: asyncio.Queue[Customer] = asyncio.Queue(length)
    waits: list[float] = []
    staff = [Cashier(f"till {n + 1}") for n in range(cashiers)]
    turned_away = longest = expected = 0
    async with asyncio.TaskGroup() as group:
        working = [group.create_task(cashier.work(line, waits, pace)) for cashier in staff]
        for number in range(customers):
            customer = Customer(
                number, [dice.randrange(50, 3000) for _ in range(dice.randint(1, 6))]
            )
            if patient:
                await line.put(customer)
            else:
                try:
                    line.put_nowait(customer)
                except asyncio.QueueFull:
                    turned_away += 1
                    customer.basket.clear()
            expected += sum(customer.basket)
            longest = max(longest, line.qsize())
            await asyncio.sleep(pace)
        # All that is in the line is served, then the cashiers go home.
        await line.join()
        for task in working:
            task.cancel()
    served, cents = sum(c.served for c in staff), sum(c.cents for c in staff)
    if (served, cents) != (customers - turned_away, expected):
        raise AssertionError(f"{served} served for {cents}, expected {expected}")
    print(
        f"checkout: {cashiers} till{'s' * (cashiers > 1)}, {'patient' if patient else 'hurried'}"
        f" customers: {served} served, {turned_away} turned away, {cents / 100:.2f} taken,"
        f" line up to {longest} long, wait {1e3 * statistics.median(waits):.1f} ms (median)"
    )


async def run(customers: int, length: int, pace: float) -> None:
    await open_shop(customers, 1, length, pace, patient=False)
    await open_shop(customers, 1, length, pace, patient=True)
    await open_shop(customers, 4, length, pace, patient=False)
