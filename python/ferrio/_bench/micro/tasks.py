"""Tasks, futures and what is built of them."""

from __future__ import annotations

import asyncio

from .operation import Bench, Run, operation


async def nothing() -> None:
    pass


@operation("await sleep(0) in the only task", per_run=1000)
def sleep0_one_task(bench: Bench) -> Run:
    async def sleep(times: int) -> None:
        for _ in range(times * 1000):
            await asyncio.sleep(0)

    yield lambda times: bench.complete(sleep(times))


@operation("await sleep(0), by 100 tasks in turn", per_run=1000, quick=True)
def sleep0_100_tasks(bench: Bench) -> Run:
    async def sleep(times: int) -> None:
        for _ in range(times * 10):
            await asyncio.sleep(0)

    async def main(times: int) -> None:
        tasks = [asyncio.create_task(sleep(times)) for _ in range(100)]
        for task in tasks:
            await task

    yield lambda times: bench.complete(main(times))


@operation("await sleep(0.001), by 1,000 tasks together", per_run=1000)
def sleep_1000_together(bench: Bench) -> Run:
    async def main(times: int) -> None:
        for _ in range(times):
            tasks = [asyncio.create_task(asyncio.sleep(0.001)) for _ in range(1000)]
            for task in tasks:
                await task

    yield lambda times: bench.complete(main(times))


@operation("create a task and await it", per_run=100, quick=True)
def create_task_await(bench: Bench) -> Run:
    async def main(times: int) -> None:
        for _ in range(times * 100):
            await asyncio.create_task(nothing())

    yield lambda times: bench.complete(main(times))


@operation("one of 1,000 coroutines in a gather", per_run=1000)
def gather_1000(bench: Bench) -> Run:
    async def main(times: int) -> None:
        for _ in range(times):
            await asyncio.gather(*(nothing() for _ in range(1000)))

    yield lambda times: bench.complete(main(times))


@operation("a gather of two coroutines", per_run=100)
def gather_2(bench: Bench) -> Run:
    async def main(times: int) -> None:
        for _ in range(times * 100):
            await asyncio.gather(nothing(), nothing())

    yield lambda times: bench.complete(main(times))


@operation("a TaskGroup of two tasks", per_run=100)
def task_group_2(bench: Bench) -> Run:
    async def main(times: int) -> None:
        for _ in range(times * 100):
            async with asyncio.TaskGroup() as group:
                group.create_task(nothing())
                group.create_task(nothing())

    yield lambda times: bench.complete(main(times))


@operation("one of 100 tasks in a TaskGroup", per_run=100)
def task_group_100(bench: Bench) -> Run:
    async def main(times: int) -> None:
        for _ in range(times):
            async with asyncio.TaskGroup() as group:
                for _ in range(100):
                    group.create_task(nothing())

    yield lambda times: bench.complete(main(times))


@operation("two tasks wake each other through futures, there and back", per_run=100)
def future_ping_pong(bench: Bench) -> Run:
    loop = bench.loop

    async def main(times: int) -> None:
        ping, pong = loop.create_future(), loop.create_future()

        async def answer() -> None:
            nonlocal ping
            for _ in range(times * 100):
                await ping
                ping = loop.create_future()
                pong.set_result(None)

        task = asyncio.create_task(answer())
        for _ in range(times * 100):
            ping.set_result(None)
            await pong
            pong = loop.create_future()
        await task

    yield lambda times: bench.complete(main(times))


@operation("the same through futures that the program makes: asyncio.Future()", per_run=100)
def c_future_ping_pong(bench: Bench) -> Run:
    async def main(times: int) -> None:
        ping: asyncio.Future[None] = asyncio.Future()
        pong: asyncio.Future[None] = asyncio.Future()

        async def answer() -> None:
            nonlocal ping
            for _ in range(times * 100):
                await ping
                ping = asyncio.Future()
                pong.set_result(None)

        task = asyncio.create_task(answer())
        for _ in range(times * 100):
            ping.set_result(None)
            await pong
            pong = asyncio.Future()
        await task

    yield lambda times: bench.complete(main(times))


@operation("the same by tasks that the program makes: asyncio.Task(...)", per_run=100)
def c_task_ping_pong(bench: Bench) -> Run:
    loop = bench.loop

    async def main(times: int) -> None:
        ping, pong = loop.create_future(), loop.create_future()

        async def answer() -> None:
            nonlocal ping
            for _ in range(times * 100):
                await ping
                ping = loop.create_future()
                pong.set_result(None)

        async def ask() -> None:
            nonlocal pong
            for _ in range(times * 100):
                ping.set_result(None)
                await pong
                pong = loop.create_future()

        answering = asyncio.Task(answer(), loop=loop)
        await asyncio.Task(ask(), loop=loop)
        await answering

    yield lambda times: bench.complete(main(times))


@operation("set a future's result and run its callback, 100 together", per_run=100)
def future_done_callback(bench: Bench) -> Run:
    loop = bench.loop

    def callback(future: asyncio.Future[None]) -> None:
        pass

    async def main(times: int) -> None:
        for _ in range(times):
            for _ in range(100):
                future = loop.create_future()
                future.add_done_callback(callback)
                future.set_result(None)
            await asyncio.sleep(0)

    yield lambda times: bench.complete(main(times))


@operation("two tasks and two queues, there and back", per_run=100)
def queue_ping_pong(bench: Bench) -> Run:
    async def main(times: int) -> None:
        there: asyncio.Queue[None] = asyncio.Queue()
        back: asyncio.Queue[None] = asyncio.Queue()

        async def answer() -> None:
            for _ in range(times * 100):
                await there.get()
                back.put_nowait(None)

        task = asyncio.create_task(answer())
        for _ in range(times * 100):
            there.put_nowait(None)
            await back.get()
        await task

    yield lambda times: bench.complete(main(times))


@operation("one of 10 tasks acquires and releases a lock", per_run=100)
def lock_contended_10(bench: Bench) -> Run:
    async def main(times: int) -> None:
        lock = asyncio.Lock()

        async def contend() -> None:
            for _ in range(times * 10):
                async with lock:
                    await asyncio.sleep(0)

        await asyncio.gather(*(contend() for _ in range(10)))

    yield lambda times: bench.complete(main(times))


@operation("a task waits for an event that another sets", per_run=100)
def event_set_wait(bench: Bench) -> Run:
    async def main(times: int) -> None:
        event = asyncio.Event()

        async def set_event() -> None:
            for _ in range(times * 100):
                event.set()
                await asyncio.sleep(0)

        task = asyncio.create_task(set_event())
        for _ in range(times * 100):
            await event.wait()
            event.clear()
        event.set()
        await task

    yield lambda times: bench.complete(main(times))


@operation("async with timeout(60) around nothing", per_run=100)
def timeout_enter_exit(bench: Bench) -> Run:
    async def main(times: int) -> None:
        for _ in range(times * 100):
            async with asyncio.timeout(60):
                pass

    yield lambda times: bench.complete(main(times))


@operation("wait_for around one sleep(0)", per_run=100)
def wait_for_one_tick(bench: Bench) -> Run:
    async def main(times: int) -> None:
        for _ in range(times * 100):
            await asyncio.wait_for(asyncio.sleep(0), 60)

    yield lambda times: bench.complete(main(times))


@operation("async with timeout_at(), and one reschedule()", per_run=100)
def timeout_at_reschedule(bench: Bench) -> Run:
    loop = bench.loop

    async def main(times: int) -> None:
        for _ in range(times * 100):
            async with asyncio.timeout_at(loop.time() + 60) as timeout:
                timeout.reschedule(loop.time() + 120)

    yield lambda times: bench.complete(main(times))


@operation("shield around a future that is done in the next turn", per_run=100)
def shield_one_tick(bench: Bench) -> Run:
    loop = bench.loop

    async def main(times: int) -> None:
        for _ in range(times * 100):
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            await asyncio.shield(future)

    yield lambda times: bench.complete(main(times))


@operation("one of 10 tasks in a wait for all of them", per_run=100)
def wait_10(bench: Bench) -> Run:
    async def main(times: int) -> None:
        for _ in range(times * 10):
            await asyncio.wait([asyncio.create_task(nothing()) for _ in range(10)], timeout=60)

    yield lambda times: bench.complete(main(times))


@operation("one of 10 coroutines in as_completed", per_run=100)
def as_completed_10(bench: Bench) -> Run:
    async def main(times: int) -> None:
        for _ in range(times * 10):
            for completed in asyncio.as_completed([nothing() for _ in range(10)]):
                await completed

    yield lambda times: bench.complete(main(times))
