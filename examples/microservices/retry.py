"""Trying again, with back-off and jitter."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def retry(
    call: Callable[[], Awaitable[T]],
    on: type[Exception],
    *,
    attempts: int,
    first_pause: float,
) -> T:
    """The result of `call`, which is made up to `attempts` times as long as it raises `on`.

    Pauses double from `first_pause` seconds. Each is drawn from its upper half, since callers that
    failed at the same moment should not all come back at the same moment.

    Raises what the last attempt raised. Only for calls that may be made twice: who reads, may.
    """
    pause = first_pause
    for _ in range(attempts - 1):
        try:
            return await call()
        except on:
            await asyncio.sleep(random.uniform(pause / 2, pause))
            pause *= 2
    return await call()
