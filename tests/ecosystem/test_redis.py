"""redis-py's asyncio client against a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from redis import asyncio as aioredis
from redis.exceptions import ConnectionError as RedisConnectionError

from .conftest import Run


def test_commands(run: Run, redis: str) -> None:
    async def main() -> None:
        async with aioredis.from_url(redis) as client:
            assert await client.ping()
            for number in range(200):
                await client.set(f"key {number}", number)
            assert await client.get("key 150") == b"150"
            large = bytes(range(256)) * 40_000
            await client.set("large", large)
            assert await client.get("large") == large
            assert await client.get("missing") is None

    run(main())


def test_many_at_once(run: Run, redis: str) -> None:
    async def main() -> None:
        async with aioredis.from_url(redis, max_connections=20) as client:

            async def count(number: int) -> int:
                return int(await client.incr(f"counter {number % 7}"))

            await client.flushdb()
            pool = asyncio.Semaphore(20)

            async def limited(work: Coroutine[Any, Any, int]) -> int:
                async with pool:
                    return await work

            counts = await asyncio.gather(*(limited(count(number)) for number in range(700)))
            assert sorted(counts) == sorted(list(range(1, 101)) * 7)

    run(main())


def test_pipelines(run: Run, redis: str) -> None:
    async def main() -> None:
        async with aioredis.from_url(redis) as client, client.pipeline() as pipeline:
            for number in range(1000):
                pipeline.set(f"piped {number}", number)
                pipeline.get(f"piped {number}")
            results = await pipeline.execute()
            assert results[1::2] == [str(number).encode() for number in range(1000)]

    run(main())


def test_publish_and_subscribe(run: Run, redis: str) -> None:
    async def main() -> None:
        async with aioredis.from_url(redis) as client, client.pubsub() as subscriber:
            await subscriber.subscribe("news")
            for number in range(20):
                await client.publish("news", number)
            got = []
            async with asyncio.timeout(10):
                async for message in subscriber.listen():
                    if message["type"] == "message":
                        got.append(int(message["data"]))
                    if len(got) == 20:
                        break
            assert got == list(range(20))

    run(main())


def test_blocking_pop_is_woken(run: Run, redis: str) -> None:
    async def main() -> None:
        async with aioredis.from_url(redis) as client:
            waiting = asyncio.create_task(client.blpop(["queue"], timeout=10))
            await asyncio.sleep(0.05)
            await client.rpush("queue", "item")
            assert await waiting == (b"queue", b"item") or await waiting == [b"queue", b"item"]

    run(main())


def test_a_cancelled_command_does_not_mix_up_answers(run: Run, redis: str) -> None:
    async def main() -> None:
        async with aioredis.from_url(redis, max_connections=1) as client:
            await client.set("one", 1)
            for _ in range(20):
                task = asyncio.create_task(client.get("one"))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                assert await client.echo("mine") == b"mine"

    run(main())


def test_a_server_that_is_not_there(run: Run) -> None:
    async def main() -> None:
        async with aioredis.from_url("redis://127.0.0.1:1/0") as client:
            with pytest.raises(RedisConnectionError):
                await client.ping()

    run(main())
