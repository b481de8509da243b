"""Asynchronous generators: hooks, finalisation, shutdown."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncGenerator

from .trace import Trace
from .twin import Loop, twin


async def numbers(trace: Trace, name: str = "numbers") -> AsyncGenerator[int]:
    try:
        for number in range(100):
            yield number
            await asyncio.sleep(0)
    finally:
        trace.on(name, "finally")
        await asyncio.sleep(0)
        trace.on(name, "finalised")


@twin
def test_hooks_are_set_while_running_only(trace: Trace, loop: Loop) -> None:
    async def main() -> None:
        hooks = sys.get_asyncgen_hooks()
        trace("inside", hooks.firstiter is not None, hooks.finalizer is not None)

    before = sys.get_asyncgen_hooks()
    loop.run_until_complete(main())
    trace("as before", sys.get_asyncgen_hooks() == before)


@twin
def test_hooks_of_others_come_back(trace: Trace, loop: Loop) -> None:
    def firstiter(generator: object) -> None: ...

    old = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=firstiter)
    try:
        loop.run_until_complete(asyncio.sleep(0))
        trace("mine again", sys.get_asyncgen_hooks().firstiter is firstiter)
    finally:
        sys.set_asyncgen_hooks(*old)


@twin
def test_a_dropped_generator_is_closed_by_the_loop(trace: Trace, loop: Loop) -> None:
    async def main() -> None:
        async for number in numbers(trace):
            if number == 2:
                break
        gc.collect()
        await asyncio.sleep(0.01)
        trace("main over")

    loop.run_until_complete(main())


@twin
def test_shutdown_asyncgens_closes_those_that_are_left(trace: Trace, loop: Loop) -> None:
    kept = [numbers(trace, "one"), numbers(trace, "two"), numbers(trace, "never started")]

    async def main() -> None:
        for generator in kept[:2]:
            trace("first", await anext(generator))

    loop.run_until_complete(main())
    trace("result", loop.run_until_complete(loop.shutdown_asyncgens()))
    trace("again", loop.run_until_complete(loop.shutdown_asyncgens()))


@twin
def test_a_generator_that_fails_to_close_is_reported(trace: Trace, loop: Loop) -> None:
    async def failing() -> AsyncGenerator[int]:
        try:
            yield 1
        finally:
            raise ValueError("in finally")

    async def main() -> AsyncGenerator[int]:
        generator = failing()
        await anext(generator)
        return generator

    loop.set_exception_handler(trace.exception_handler)
    generator = loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    del generator


@twin
def test_a_generator_started_after_the_shutdown_warns(trace: Trace, loop: Loop) -> None:
    async def main() -> None:
        await loop.shutdown_asyncgens()
        generator = numbers(trace)
        await anext(generator)
        await generator.aclose()

    loop.run_until_complete(main())
    trace("over")


@twin
def test_a_runner_shuts_generators_down(trace: Trace, loop: Loop) -> None:
    generators = []

    async def main() -> None:
        generator = numbers(trace)
        generators.append(generator)
        trace("first", await anext(generator))

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
        trace("main over")
    trace("runner over")


@twin
def test_a_generator_dropped_in_a_cycle(trace: Trace, loop: Loop) -> None:
    async def main() -> None:
        generator = numbers(trace)
        await anext(generator)
        cycle = [generator]
        cycle.append(cycle)  # type: ignore[arg-type]
        del generator, cycle
        gc.collect()
        await asyncio.sleep(0.01)

    loop.run_until_complete(main())
    trace("over")
