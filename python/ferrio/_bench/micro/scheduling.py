"""Callbacks and timers."""

from __future__ import annotations

import asyncio
import time

from .operation import Bench, Elapsed, Run, operation


def nothing() -> None:
    pass


@operation("a callback, one of 1,000 queued together", per_run=1000, quick=True)
def call_soon_batch(bench: Bench) -> Run:
    loop = bench.loop

    def run(times: int) -> None:
        left = times

        def turn() -> None:
            nonlocal left
            if left == 0:
                loop.stop()
                return
            left -= 1
            for _ in range(1000):
                loop.call_soon(nothing)
            loop.call_soon(turn)

        loop.call_soon(turn)
        loop.run_forever()

    yield run


@operation("a callback that queues the next: one turn of the loop each", per_run=1000)
def call_soon_chain(bench: Bench) -> Run:
    loop = bench.loop

    def run(times: int) -> None:
        left = times * 1000

        def turn() -> None:
            nonlocal left
            left -= 1
            if left:
                loop.call_soon(turn)
            else:
                loop.stop()

        loop.call_soon(turn)
        loop.run_forever()

    yield run


@operation("call_later and cancel, among 10,000 pending timers", per_run=1000, quick=True)
def call_later_cancel_10k_pending(bench: Bench) -> Run:
    loop = bench.loop
    pending = [loop.call_later(3600 + number, nothing) for number in range(10_000)]

    async def cancel(times: int) -> None:
        for _ in range(times):
            for number in range(1000):
                loop.call_later(3600 + number, nothing).cancel()
            # Some loops throw cancelled timers away in their turn: that is part of the price.
            await asyncio.sleep(0)

    yield lambda times: bench.complete(cancel(times))
    for timer in pending:
        timer.cancel()


@operation("cancel of a timer, among 10,000 pending ones", per_run=1000)
def timer_cancel_10k_pending(bench: Bench) -> Run:
    loop = bench.loop
    pending = [loop.call_later(3600 + number, nothing) for number in range(10_000)]

    async def cancel(times: int) -> Elapsed:
        cpu = wall = 0.0
        for _ in range(times):
            # All over the pending ones, as timeouts of different lengths are.
            delays = (3600.5 + number * 7919 % 10_000 for number in range(1000))
            timers = [loop.call_later(delay, nothing) for delay in delays]
            cpu_before, before = time.process_time(), time.perf_counter()
            for timer in timers:
                timer.cancel()
            cpu += time.process_time() - cpu_before
            wall += time.perf_counter() - before
            await asyncio.sleep(0)
        return Elapsed(cpu, wall)

    yield lambda times: loop.run_until_complete(cancel(times))
    for timer in pending:
        timer.cancel()


@operation("a timer from call_later to its callback, 1,000 due together", per_run=1000)
def call_later_fire(bench: Bench) -> Run:
    yield from fire_together(bench, 0.001)


@operation("the same with a delay of 0, of which some loops make a call_soon", per_run=1000)
def call_later_fire_at_once(bench: Bench) -> Run:
    yield from fire_together(bench, 0)


def fire_together(bench: Bench, delay: float) -> Run:
    loop = bench.loop

    async def fire(times: int) -> None:
        for _ in range(times):
            fired = loop.create_future()
            left = 1000

            def callback(fired: asyncio.Future[None] = fired) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    fired.set_result(None)

            for _ in range(1000):
                loop.call_later(delay, callback)
            await fired

    yield lambda times: bench.complete(fire(times))
