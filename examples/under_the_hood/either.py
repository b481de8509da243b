"""Hooks that may be coroutine functions or plain functions: ask the result, not the function.

`inspect.iscoroutinefunction` says no to objects with an async `__call__`, and to lambdas and other
plain functions that return an awaitable. Whether there is something to await shows in the result.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Hook = Callable[[str], Any]


def main() -> None:
    asyncio.run(publish())


async def call(function: Callable[P, T | Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function`; await what it returns, if that can be awaited."""
    result = function(*args, **kwargs)
    if inspect.isawaitable(result):
        awaited: T = await result
        return awaited
    return result


class Newsroom:
    """Tells all who have subscribed, whatever kind of function they came with."""

    def __init__(self) -> None:
        self._hooks: list[Hook] = []

    def subscribe(self, hook: Hook) -> Hook:
        """Also as a decorator."""
        self._hooks.append(hook)
        return hook

    async def publish(self, news: str) -> list[Any]:
        """What each of them returned or raised, in the order of subscription.

        All run at once. One that fails is no reason for the others not to hear of it.
        """
        return await asyncio.gather(
            *(call(hook, news) for hook in self._hooks), return_exceptions=True
        )


async def publish() -> None:
    newsroom = Newsroom()

    @newsroom.subscribe
    def plain(news: str) -> str:
        return f"plain function: {news}"

    @newsroom.subscribe
    async def waits(news: str) -> str:
        await asyncio.sleep(0.01)
        return f"coroutine function: {news}"

    @newsroom.subscribe
    async def fails(news: str) -> str:
        raise ValueError(f"did not like it: {news}")

    class Archive:
        async def __call__(self, news: str) -> str:
            return f"object with an async __call__: {news}"

    newsroom.subscribe(Archive())
    newsroom.subscribe(functools.partial(lambda kind, news: waits(f"{news} ({kind})"), "by lambda"))
    # Something that blocks is for a thread, and only the one who subscribes it knows.
    newsroom.subscribe(lambda news: asyncio.to_thread(plain, news))

    for outcome in await newsroom.publish("snow"):
        print(outcome if isinstance(outcome, str) else repr(outcome))
