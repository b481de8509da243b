"""aiohttp: server and client, over keep-alive connections, with streams and WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from .conftest import LOCALHOST, Run


async def hello(request: web.Request) -> web.Response:
    return web.json_response({"path": request.path, "query": dict(request.query)})


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(200):
        await response.write(b"%06d " % number * 100)
    await response.write_eof()
    return response


async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


async def chat(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.data == "close":
            await socket.close(code=4000, message=b"bye")
        else:
            await socket.send_str(f"you said {message.data}")
    return socket


@contextlib.asynccontextmanager
async def service() -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    application = web.Application(client_max_size=1 << 25)
    application.add_routes(
        [
            web.get("/hello", hello),
            web.post("/echo", echo),
            web.get("/stream", stream),
            web.get("/slow", slow),
            web.get("/chat", chat),
        ]
    )
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, LOCALHOST, 0, shutdown_timeout=1)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as session:
            yield f"http://{LOCALHOST}:{port}", session
    finally:
        await runner.cleanup()


def test_requests_one_after_another(run: Run) -> None:
    async def main() -> None:
        async with service() as (url, session):
            for number in range(50):
                async with session.get(f"{url}/hello", params={"n": str(number)}) as response:
                    assert response.status == 200
                    assert await response.json() == {"path": "/hello", "query": {"n": str(number)}}

    run(main())


def test_hundreds_of_requests_at_once(run: Run) -> None:
    async def main() -> None:
        async with service() as (url, session):

            async def ask(number: int) -> Any:
                async with session.get(f"{url}/hello", params={"n": str(number)}) as response:
                    return (await response.json())["query"]["n"]

            answers = await asyncio.gather(*map(ask, range(300)))
            assert answers == [str(number) for number in range(300)]

    run(main())


def test_large_bodies(run: Run) -> None:
    async def main() -> None:
        body = bytes(range(256)) * (1 << 15)
        async with (
            service() as (url, session),
            session.post(f"{url}/echo", data=body) as response,
        ):
            assert await response.read() == body

    run(main())


def test_a_streamed_response(run: Run) -> None:
    async def main() -> None:
        async with service() as (url, session), session.get(f"{url}/stream") as response:
            received = b"".join([chunk async for chunk in response.content.iter_any()])
            assert received == b"".join(b"%06d " % number * 100 for number in range(200))

    run(main())


def test_websockets(run: Run) -> None:
    async def main() -> None:
        async with service() as (url, session), session.ws_connect(f"{url}/chat") as socket:
            for number in range(100):
                await socket.send_str(str(number))
                assert await socket.receive_str(timeout=10) == f"you said {number}"
            await socket.send_str("close")
            message = await socket.receive(timeout=10)
            assert message.type == aiohttp.WSMsgType.CLOSE
            assert (message.data, message.extra) == (4000, "bye")

    run(main())


def test_a_request_that_is_given_up(run: Run) -> None:
    async def main() -> None:
        timeout = aiohttp.ClientTimeout(total=0.05)
        async with service() as (url, session):
            with pytest.raises(TimeoutError):
                await session.get(f"{url}/slow", timeout=timeout)
            async with session.get(f"{url}/hello") as response:
                assert response.status == 200

    run(main())


def test_a_host_that_refuses(run: Run) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await session.get(f"http://{LOCALHOST}:1/")
            assert caught.value.os_error.errno == errno.ECONNREFUSED

    run(main())
