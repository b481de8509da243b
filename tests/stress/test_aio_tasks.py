"""The functions over tasks, over and over: memory stays flat, whatever they wait for does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest
from ferrio import aio

from .conftest import resident_kib

Loop = asyncio.AbstractEventLoop

ROUNDS = 16
PER_ROUND = 50
# Each of PER_ROUND makes a few dozen tasks and futures: with the long form, millions in all.
SOAK_PER_ROUND = 5000


async def nothing() -> None:
    pass


async def fails() -> None:
    raise ValueError("on purpose")


async def ends(awaitable: Any) -> None:
    """Whatever it ends with."""
    with contextlib.suppress(Exception, asyncio.CancelledError):
        await awaitable


async def groups() -> None:
    async with aio.TaskGroup() as group:
        group.create_task(nothing())
        group.create_task(aio.sleep(0))


async def failing_group() -> None:
    async with aio.TaskGroup() as group:
        group.create_task(fails())
        group.create_task(aio.sleep(3600))


async def times_out() -> None:
    async with aio.timeout(0):
        await aio.sleep(3600)


async def a_bit_of_everything(count: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(count):
        await aio.gather(nothing(), aio.sleep(0, 1), nothing())
        await ends(aio.gather(nothing(), fails(), aio.sleep(0)))
        await ends(aio.shield(fails()))
        await aio.shield(nothing())
        await aio.wait([loop.create_task(nothing()), loop.create_task(nothing())], timeout=3600)
        await aio.wait_for(nothing(), 3600)
        await ends(aio.wait_for(aio.sleep(3600), 0))
        for one in aio.as_completed([nothing(), fails()], timeout=3600):
            await ends(one)
        await groups()
        await ends(failing_group())
        await ends(times_out())
        async with aio.timeout(3600) as timeout:
            timeout.reschedule(loop.time() + 7200)
        for forgotten in (aio.gather(nothing()), aio.shield(loop.create_future())):
            forgotten.cancel()
            await ends(forgotten)
        cancelled = [
            loop.create_task(ends(made))
            for made in (
                aio.sleep(3600),
                aio.wait([loop.create_future()]),
                aio.wait_for(loop.create_future(), 3600),
                aio.gather(loop.create_future()),
            )
        ]
        await aio.sleep(0)
        for task in cancelled:
            task.cancel()
        await aio.gather(*cancelled)


@pytest.fixture
def per_round(request: pytest.FixtureRequest) -> int:
    return SOAK_PER_ROUND if request.config.getoption("--soak") else PER_ROUND


@pytest.mark.parametrize("own", [True, False], ids=["our tasks", "C tasks"])
def test_memory_stays_as_it_is(
    loop: Any, no_gc: None, per_round: int, figures: Callable[[str], None], own: bool
) -> None:
    if hasattr(loop, "_c_tasks"):
        loop._c_tasks = not own
    blocks, memory = [], []
    for _ in range(ROUNDS):
        loop.run_until_complete(a_bit_of_everything(per_round))
        # An exception refers to the frames it passed through, and these to the tasks.
        gc.collect()
        blocks.append(sys.getallocatedblocks())
        memory.append(resident_kib())
    # Free lists fill and dictionaries grow in the first rounds.
    half = ROUNDS // 2
    assert blocks[-1] - blocks[half] < 500, blocks
    assert not asyncio.all_tasks(loop)
    figures(
        f"{ROUNDS * per_round:,} times each function; in the second half "
        f"{blocks[-1] - blocks[half]} blocks, {memory[-1] - memory[half]} KiB more"
    )


def test_many_tasks_at_a_time(loop: Loop, no_gc: None, per_round: int) -> None:
    """In the long form a quarter of a million, made and waited for at once."""

    async def main() -> None:
        count = per_round * 50
        assert len(await aio.gather(*(aio.sleep(0, number) for number in range(count)))) == count
        async with aio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(nothing())
        done, pending = await aio.wait([loop.create_task(nothing()) for _ in range(count)])
        assert (len(done), len(pending)) == (count, 0)

    loop.run_until_complete(main())
    gc.collect()
    before = sys.getallocatedblocks()
    loop.run_until_complete(main())
    gc.collect()
    assert sys.getallocatedblocks() - before < 500
