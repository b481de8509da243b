"""Many tasks and futures: memory stays flat, cycles are collected, nothing stays registered."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Load, resident_kib

Loop = asyncio.AbstractEventLoop

ROUNDS = 40
PER_ROUND = 1000


async def waiting(future: Any) -> Any:
    return await future


async def a_bit_of_everything(count: int) -> None:
    loop = asyncio.get_running_loop()
    for number in range(0, count, 4):
        future = loop.create_future()
        task = loop.create_task(waiting(future))
        second = loop.create_task(waiting(task))
        cancelled = loop.create_task(waiting(loop.create_future()))
        await asyncio.sleep(0)
        future.add_done_callback(id)
        if number % 3:
            future.set_result(number)
        else:
            future.set_exception(ValueError(number))
        cancelled.cancel()
        await asyncio.gather(task, second, cancelled, return_exceptions=True)


@pytest.mark.parametrize("is_debug", [False, True])
def test_memory_stays_as_it_is(
    loop: Loop, no_gc: None, load: Load, figures: Callable[[str], None], is_debug: bool
) -> None:
    """In the long form a million tasks, and as many futures."""
    loop.set_debug(is_debug)
    rounds, per_round = (ROUNDS, PER_ROUND * load(1, 40)) if not is_debug else (8, 200)
    blocks, memory = [], []
    for _ in range(rounds):
        loop.run_until_complete(a_bit_of_everything(per_round))
        # An exception refers to the frames it passed through, and these to the tasks.
        gc.collect()
        blocks.append(sys.getallocatedblocks())
        memory.append(resident_kib())
    half = rounds // 2
    # Free lists fill and dictionaries grow in the first rounds.
    assert blocks[-1] - blocks[half] < 500, blocks
    assert not asyncio.all_tasks(loop)
    made = rounds * per_round // 4
    figures(
        f"{3 * made:,} tasks, {2 * made:,} futures; in the second half "
        f"{blocks[-1] - blocks[half]} blocks, {memory[-1] - memory[half]} KiB more"
    )


def test_finished_tasks_are_freed_by_their_reference_count(loop: Loop, no_gc: None) -> None:
    future = loop.create_future()
    tasks = [loop.create_task(waiting(future)) for _ in range(100)]
    tasks += [loop.create_task(waiting(tasks[0])) for _ in range(100)]
    watched = [weakref.ref(task) for task in (*tasks, future)]
    loop.call_soon(future.set_result, None)
    loop.run_until_complete(asyncio.wait(tasks))
    del tasks, future
    loop.run_until_complete(asyncio.sleep(0))
    assert not [reference for reference in watched if reference() is not None]


def test_tasks_that_wait_for_each_other_are_collected(
    loop: Loop, reported: list[dict[str, Any]]
) -> None:
    def leave_some() -> list[weakref.ref[Any]]:
        lonely = loop.create_task(waiting(loop.create_future()))
        future = loop.create_future()
        knows_itself: Any = loop.create_task(waiting(future))
        future.waiter = knows_itself  # type: ignore[attr-defined]
        chain = loop.create_task(waiting(lonely))
        callback: Any = loop.create_future()
        callback.add_done_callback(lambda done, itself=callback: None)
        made = [lonely, future, knows_itself, chain, callback]
        loop.run_until_complete(asyncio.sleep(0))
        return [weakref.ref(each) for each in made]

    watched = leave_some()
    gc.collect()
    assert len(reported) == 3
    # The reports hold the tasks.
    reported.clear()
    gc.collect()
    assert not [reference for reference in watched if reference() is not None]
    assert not asyncio.all_tasks(loop)


def test_collecting_at_any_moment(loop: Loop) -> None:
    """Every allocation may collect."""
    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        loop.run_until_complete(a_bit_of_everything(200))
    finally:
        gc.set_threshold(*threshold)


@pytest.mark.parametrize("seed", range(4))
def test_anything_in_any_order(loop: Loop, seed: int) -> None:
    """Whatever is done to tasks and futures: each ends, and the loop goes on."""
    chance = random.Random(seed)
    futures: list[Any] = []
    tasks: list[Any] = []

    def errors(function: Any, *args: Any) -> None:
        with contextlib.suppress(asyncio.InvalidStateError, ValueError):
            function(*args)

    async def body(depth: int) -> Any:
        for _ in range(chance.randrange(4)):
            what = chance.randrange(6)
            try:
                if what == 0:
                    await asyncio.sleep(0)
                elif what == 1 and futures:
                    await chance.choice(futures)
                elif what == 2 and tasks:
                    await asyncio.shield(chance.choice(tasks))
                elif what == 3 and depth < 3:
                    tasks.append(asyncio.create_task(body(depth + 1)))
                elif what == 4:
                    raise ValueError
                else:
                    act()
            except (asyncio.CancelledError, RuntimeError):
                if chance.random() < 0.5:
                    raise
        return depth

    def act() -> None:
        future = chance.choice(futures) if futures else None
        task = chance.choice(tasks) if tasks else None
        match chance.randrange(9):
            case 0:
                futures.append(loop.create_future())
            case 1 if future:
                errors(future.set_result, chance.choice([None, 1, "x"]))
            case 2 if future:
                errors(future.set_exception, ValueError())
            case 3 if future:
                future.cancel()
            case 4 if task:
                task.cancel("message")
            case 5 if task:
                task.uncancel()
            case 6 if future:
                future.add_done_callback(lambda done: act())
            case 7 if future:
                repr(future), future._callbacks, future.remove_done_callback(act)
            case 8 if task:
                repr(task), task.get_stack(), asyncio.all_tasks(), asyncio.current_task()

    async def main() -> None:
        for _ in range(400):
            tasks.append(asyncio.create_task(body(0)))
            act()
            await asyncio.sleep(0)
            if chance.random() < 0.02:
                gc.collect()
        # Who survives a cancellation may go on and wait for something new.
        while not all(task.done() for task in tasks):
            for each in (*futures, *tasks):
                each.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)

    loop.set_exception_handler(lambda loop, context: None)
    loop.run_until_complete(main())
    assert all(task.done() for task in tasks)
