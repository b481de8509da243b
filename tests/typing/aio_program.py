"""asyncio's names by way of `ferrio.aio`: mypy, run strictly, sees asyncio's types."""

from __future__ import annotations

from typing import assert_type

from ferrio import aio as asyncio
from ferrio.aio import Event, TaskGroup, gather


async def work(number: int) -> str:
    await asyncio.sleep(0)
    return str(number)


async def tasks() -> list[str]:
    async with TaskGroup() as group:
        task = group.create_task(work(1), name="one")
    assert_type(task, asyncio.Task[str])
    assert_type(await asyncio.sleep(0, "slept"), str)
    assert_type(await asyncio.shield(task), str)
    assert_type(await asyncio.wait_for(work(2), timeout=60), str)
    done, pending = await asyncio.wait([task], return_when=asyncio.ALL_COMPLETED)
    assert_type(done, set[asyncio.Task[str]])
    assert not pending
    async with asyncio.timeout(60) as timeout:
        assert_type(timeout.when(), float | None)
    one, number = await gather(work(3), asyncio.sleep(0, 4))
    assert_type(one, str)
    assert_type(number, int)
    return [str(await next_one) for next_one in asyncio.as_completed([work(n) for n in range(3)])]


async def locks() -> int:
    event = Event()
    event.set()
    await event.wait()
    queue: asyncio.Queue[int] = asyncio.Queue()
    async with asyncio.Lock(), asyncio.Semaphore(2):
        await queue.put(1)
    return await queue.get()


async def main() -> None:
    assert sorted(await tasks()) == ["0", "1", "2"]
    assert await locks() == 1
    assert asyncio.tasks.all_tasks() == {asyncio.current_task()}
    assert_type(asyncio.get_running_loop(), asyncio.AbstractEventLoop)
    try:
        await asyncio.wait_for(asyncio.sleep(60), timeout=0)
    except asyncio.TimeoutError:
        print("all as asyncio has it")


if __name__ == "__main__":
    asyncio.run(main())
