"""Locks between threads: a lost update, a lock entered twice, a deadlock, and how there is none."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

#: Seconds after which a lock is taken to be never had again.
PATIENCE = 0.3


class Account:
    def __init__(self, name: str, balance: int) -> None:
        self.name = name
        self.balance = balance
        self.lock = threading.Lock()

    def deposit(self, amount: int) -> None:
        balance = self.balance
        # A thread may be stopped between any two steps; here it is for sure.
        time.sleep(0)
        self.balance = balance + amount


async def deposit_from_all_sides(threads: int, times: int, *, locked: bool) -> None:
    account = Account("savings", 0)
    guard = account.lock if locked else nullcontext()

    def deposit_often() -> None:
        for _ in range(times):
            with guard:
                account.deposit(1)

    await asyncio.gather(*(asyncio.to_thread(deposit_often) for _ in range(threads)))
    how = "with a lock" if locked else "without a lock"
    lost = threads * times - account.balance
    print(f"locks: {how}: {threads * times} deposits, {lost} lost")


@dataclass
class Folder:
    """A tree whose methods lock it, and call each other."""

    size: int
    lock: Any
    folders: list[Folder] = field(default_factory=list)

    def total(self) -> int:
        if not self.lock.acquire(timeout=PATIENCE):
            raise TimeoutError("waits for a lock that its own thread holds")
        try:
            return self.size + sum(folder.total() for folder in self.folders)
        finally:
            self.lock.release()


async def enter_twice(new_lock: Callable[[], Any], name: str) -> None:
    lock = new_lock()
    tree = Folder(1, lock, [Folder(2, lock, [Folder(3, lock)]), Folder(4, lock)])
    try:
        print(f"locks: {name}: total {await asyncio.to_thread(tree.total)}")
    except TimeoutError as problem:
        print(f"locks: {name}: {problem}")


def transfer(
    source: Account, target: Account, amount: int, order: list[Account], met: Callable[[], object]
) -> bool:
    """Moves money with both locks, taken in `order`; False if the second is not to be had."""
    first, second = order
    with first.lock:
        met()
        if not second.lock.acquire(timeout=PATIENCE):
            return False
        try:
            source.balance -= amount
            target.balance += amount
            return True
        finally:
            second.lock.release()


async def cross(*, ordered: bool) -> None:
    """Two transfers between the same accounts, in opposite directions, at the same time."""
    ada, bob = Account("ada", 100), Account("bob", 100)
    both_hold_one = threading.Barrier(2)

    async def move(source: Account, target: Account, amount: int) -> bool:
        if ordered:
            # Whoever needs several locks takes them in the same order: here, that of the names.
            order = sorted([source, target], key=lambda account: account.name)
            return await asyncio.to_thread(transfer, source, target, amount, order, lambda: None)
        order = [source, target]
        return await asyncio.to_thread(transfer, source, target, amount, order, both_hold_one.wait)

    done = await asyncio.gather(move(ada, bob, 10), move(bob, ada, 30))
    how = "in one order" if ordered else "each its own first"
    # The first to lose patience lets its lock go, and with luck the other gets it.
    outcome = "both done" if all(done) else "deadlock, until one loses patience"
    print(f"locks: {how}: {outcome}; {ada.balance + bob.balance} in both accounts")


async def run(threads: int, times: int) -> None:
    await deposit_from_all_sides(threads, times, locked=False)
    await deposit_from_all_sides(threads, times, locked=True)
    await enter_twice(threading.Lock, "Lock entered twice")
    await enter_twice(threading.RLock, "RLock entered twice")
    await cross(ordered=False)
    await cross(ordered=True)
