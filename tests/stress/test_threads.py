"""Other threads: none of their calls is lost, and a busy one does not stop the loop."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tests import loops

Loop = asyncio.AbstractEventLoop


def test_every_threadsafe_call_runs_once_and_in_order(loop: Loop) -> None:
    threads, calls = 8, 5000
    seen: dict[int, list[int]] = {number: [] for number in range(threads)}

    def hammer(number: int) -> None:
        for call in range(calls):
            loop.call_soon_threadsafe(seen[number].append, call)

    async def main() -> None:
        workers = [threading.Thread(target=hammer, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        async with asyncio.timeout(60):
            while sum(map(len, seen.values())) < threads * calls:
                await asyncio.sleep(0.001)
        for worker in workers:
            worker.join()

    loop.run_until_complete(main())
    assert all(order == list(range(calls)) for order in seen.values())


def test_no_wake_up_is_lost(loop: Loop) -> None:
    """Each answer is awaited by a sleeping loop: one lost wake-up is a hang."""

    async def main() -> None:
        for number in range(2000):
            future = loop.create_future()
            threading_call.put(future, number)
            assert await asyncio.wait_for(future, 60) == number

    class Caller(threading.Thread):
        def __init__(self) -> None:
            super().__init__(daemon=True)
            import queue

            self._queue: queue.SimpleQueue[tuple[asyncio.Future[int], int] | None] = (
                queue.SimpleQueue()
            )

        def put(self, future: asyncio.Future[int], number: int) -> None:
            self._queue.put((future, number))

        def run(self) -> None:
            while (item := self._queue.get()) is not None:
                loop.call_soon_threadsafe(item[0].set_result, item[1])

        def end(self) -> None:
            self._queue.put(None)
            self.join()

    threading_call = Caller()
    threading_call.start()
    loop.run_until_complete(main())
    threading_call.end()


def test_calls_to_a_closing_loop_are_refused_and_not_lost(new_loop: loops.Factory) -> None:
    for _ in range(50):
        loop = new_loop()
        ran = accepted = 0
        go_on = threading.Event()

        def count() -> None:
            nonlocal ran
            ran += 1

        def hammer() -> None:
            nonlocal accepted
            go_on.wait()  # noqa: B023
            while True:
                try:
                    loop.call_soon_threadsafe(count)  # noqa: B023
                except RuntimeError:
                    return
                accepted += 1

        thread = threading.Thread(target=hammer)
        thread.start()
        go_on.set()
        loop.run_until_complete(asyncio.sleep(0.002))
        loop.close()
        thread.join(10)
        assert not thread.is_alive()
        assert ran <= accepted


def test_loops_in_many_threads(descriptors: None, new_loop: loops.Factory) -> None:
    failures = []

    def run() -> None:
        try:
            loop = new_loop()
            for _ in range(20):
                assert loop.run_until_complete(asyncio.sleep(0.001, "done")) == "done"
            loop.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_loop_beside_a_thread_that_computes(loop: Loop) -> None:
    """Both make progress: the loop's turns are not each delayed by the switch interval."""
    stop = threading.Event()
    counted = 0

    def compute() -> None:
        nonlocal counted
        while not stop.is_set():
            counted += 1

    async def main() -> int:
        turns = 0
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            await asyncio.sleep(0)
            turns += 1
        return turns

    thread = threading.Thread(target=compute)
    thread.start()
    turns = loop.run_until_complete(main())
    stop.set()
    thread.join()
    assert turns > 500
    assert counted > 1000


@pytest.mark.parametrize("operation", ["call_soon", "create_task", "stop"])
def test_the_wrong_thread_never_crashes(loop: Loop, operation: str) -> None:
    """Not allowed, but programs do it: an exception or luck, no undefined behaviour."""

    async def nothing() -> None: ...

    def intrude() -> None:
        for _ in range(200):
            try:
                if operation == "call_soon":
                    loop.call_soon(int)
                elif operation == "create_task":
                    coroutine = nothing()
                    try:
                        loop.create_task(coroutine)
                    except BaseException:
                        coroutine.close()
                        raise
                else:
                    loop.is_running()
            except RuntimeError:
                pass

    async def main() -> None:
        threads = [threading.Thread(target=intrude) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(500):
            await asyncio.sleep(0)
        for thread in threads:
            await asyncio.to_thread(thread.join)

    loop.run_until_complete(main())
    loop.run_until_complete(asyncio.sleep(0.01))
