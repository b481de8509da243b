"""A coroutine driven by hand, and objects of one's own that can be awaited.

`await thing` calls `thing.__await__()`, which returns an iterator. What that yields goes up through
all coroutines to whoever drives the outermost one: to a task, which understands futures (call me
when you are done) and None (go on with me in the next turn). What it returns is the result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def main() -> None:
    by_hand()
    asyncio.run(on_a_loop())


class Ask:
    """Awaiting it puts a question to whoever drives the coroutine. No task would understand."""

    def __init__(self, question: str) -> None:
        self.question = question

    def __await__(self) -> Generator[str, str, str]:
        answer = yield self.question
        return answer


def by_hand() -> None:
    """No loop at all: `send` runs a coroutine up to its next wait, and on with what is sent."""

    async def introduce() -> str:
        name = await Ask("who are you?")
        town = await Ask(f"where from, {name}?")
        return f"{name} from {town}"

    coroutine = introduce()
    print(f"by hand: {coroutine.send(None)}")
    print(f"by hand: {coroutine.send('Ada')}")
    try:
        coroutine.send("Turin")
    except StopIteration as end:
        print(f"by hand: returned {end.value!r}")


class NextTurn:
    """What `asyncio.sleep(0)` is: a bare `yield`."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Alarm:
    """Waits for a future and makes something of the result: the usual way to be awaitable."""

    def __init__(self, delay: float, message: str) -> None:
        self._delay = delay
        self._message = message

    def __await__(self) -> Generator[Any, None, str]:
        loop = asyncio.get_running_loop()
        rung: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(self._delay, rung.set_result, None)
        try:
            # The future's own iterator does the yielding.
            yield from rung
        finally:
            timer.cancel()  # If we are cancelled: a future must not be set afterwards.
        return f"{self._message}!"


class Lazy(Generic[T]):
    """Begins when first awaited, and can be awaited by many and often, unlike a coroutine."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._function = function
        self._task: asyncio.Task[T] | None = None

    def __await__(self) -> Generator[Any, None, T]:
        if self._task is None:
            self._task = asyncio.create_task(self._function())
        # The task belongs to all: who is cancelled while waiting must not take it with him.
        return asyncio.shield(self._task).__await__()


async def on_a_loop() -> None:
    log: list[str] = []

    async def other() -> None:
        log.append("other")

    task = asyncio.create_task(other())
    log.append("before")
    await NextTurn()
    log.append("after")
    await task
    print(f"a bare yield lets others run: {', '.join(log)}")

    print(f"an alarm: {await Alarm(0.01, 'wake up')}")
    try:
        await asyncio.wait_for(Alarm(3600, "too late"), 0.01)
    except TimeoutError:
        print("an alarm that was cancelled takes its timer with it")

    calls = 0

    async def expensive() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return 42

    answer = Lazy(expensive)
    answers = [*await asyncio.gather(*(wait_for(answer) for _ in range(3))), await answer]
    print(f"a lazy value, awaited {len(answers)} times, computed {calls} time: {answers}")

    coroutine = expensive()
    await coroutine
    try:
        await coroutine
    except RuntimeError as error:
        print(f"a coroutine can be awaited once: {error}")


async def wait_for(lazy: Lazy[T]) -> T:
    return await lazy
