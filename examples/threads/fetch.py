"""A blocking library, requests, in threads: many at once, and a loop that goes on.

A time-out, or cancelling, ends the waiting for a thread and never the thread: it goes on to its
end, and the program waits for it there. Blocking calls need time-outs of their own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import requests
from slow_site import BODY, slow_site

_of_this_thread = threading.local()


def get(url: str) -> str:
    """Fetches a page, blocking; returns the name of the thread that did it."""
    # One session a thread: requests does not promise that a session can be shared.
    session: requests.Session | None = getattr(_of_this_thread, "session", None)
    if session is None:
        session = _of_this_thread.session = requests.Session()
        # What the environment says of proxies is not for a site of our own.
        session.trust_env = False
    response = session.get(url, timeout=30)
    response.raise_for_status()
    if response.content != BODY:
        raise AssertionError(f"{url} sent {response.content[:40]!r}")
    return threading.current_thread().name


async def run(count: int, delay: float, workers: int) -> None:
    """Fetches a page `count` times in each of four ways; it takes `delay` seconds to come."""
    loop = asyncio.get_running_loop()

    async def one_after_the_other(url: str) -> list[str]:
        return [get(url) for _ in range(count)]

    async def in_default_executor(url: str) -> list[str]:
        jobs = (loop.run_in_executor(None, get, url) for _ in range(count))
        return await asyncio.gather(*jobs)

    async def by_to_thread(url: str) -> list[str]:
        # The same executor; context variables come along, and keyword arguments may be given.
        return await asyncio.gather(*(asyncio.to_thread(get, url=url) for _ in range(count)))

    async def in_own_executor(url: str) -> list[str]:
        with ThreadPoolExecutor(workers, thread_name_prefix="requests") as executor:
            jobs = (loop.run_in_executor(executor, get, url) for _ in range(count))
            return await asyncio.gather(*jobs)

    ways: dict[str, Callable[[str], Awaitable[list[str]]]] = {
        "in the loop, which stands still": one_after_the_other,
        "run_in_executor(None, ...)": in_default_executor,
        "to_thread": by_to_thread,
        f"an executor with {workers} threads": in_own_executor,
    }
    with slow_site(delay) as url:
        for name, way in ways.items():
            start = time.perf_counter()
            threads = await way(url)
            took = time.perf_counter() - start
            print(
                f"fetch: {name}: {len(threads)} pages by {len(set(threads))} threads,"
                f" {1e3 * took:.0f} ms"
            )
    await give_up()


async def give_up() -> None:
    release, finished = threading.Event(), threading.Event()

    def block() -> None:
        release.wait()
        finished.set()

    try:
        async with asyncio.timeout(0.1):
            await asyncio.to_thread(block)
    except TimeoutError:
        print(f"fetch: given up; the thread has {'' if finished.is_set() else 'not '}ended")
    release.set()
    while not finished.is_set():
        await asyncio.sleep(0.001)
    print("fetch: it ends when what it waits for has come")
