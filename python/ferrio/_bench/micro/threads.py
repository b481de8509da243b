"""Between the loop and other threads."""

from __future__ import annotations

import asyncio
import socket
import threading
from queue import SimpleQueue

from .operation import Bench, Clock, Run, operation


def nothing() -> None:
    pass


@operation("call_soon_threadsafe from another thread, callback included", per_run=1000)
def call_soon_threadsafe_from_thread(bench: Bench) -> Run:
    loop = bench.loop

    def run(times: int) -> None:
        def call() -> None:
            for _ in range(times * 1000):
                loop.call_soon_threadsafe(nothing)
            loop.call_soon_threadsafe(loop.stop)

        thread = threading.Thread(target=call)
        # Started by the loop, so that the loop runs before the first call.
        loop.call_soon(thread.start)
        loop.run_forever()
        thread.join()

    yield run


@operation("from the loop to a waiting thread and back", per_run=100, clock=Clock.WALL)
def threadsafe_round_trip(bench: Bench) -> Run:
    loop = bench.loop
    requests: SimpleQueue[asyncio.Future[None] | None] = SimpleQueue()

    def answer() -> None:
        while (future := requests.get()) is not None:
            loop.call_soon_threadsafe(future.set_result, None)

    async def ask(times: int) -> None:
        for _ in range(times * 100):
            future = loop.create_future()
            requests.put(future)
            await future

    thread = threading.Thread(target=answer)
    thread.start()
    yield lambda times: bench.complete(ask(times))
    requests.put(None)
    thread.join()


@operation("run_in_executor of a function that does nothing", per_run=100, clock=Clock.WALL)
def run_in_executor(bench: Bench) -> Run:
    loop = bench.loop

    async def main(times: int) -> None:
        for _ in range(times * 100):
            await loop.run_in_executor(None, nothing)

    yield lambda times: bench.complete(main(times))
    loop.run_until_complete(loop.shutdown_default_executor())


@operation("getaddrinfo of an address literal", per_run=10, quick=True)
def getaddrinfo_numeric(bench: Bench) -> Run:
    loop = bench.loop

    async def main(times: int) -> None:
        for _ in range(times * 10):
            await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    yield lambda times: bench.complete(main(times))
    loop.run_until_complete(loop.shutdown_default_executor())
