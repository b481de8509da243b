"""uvicorn with Starlette: HTTP and WebSocket, as a library and as a program with `--loop`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests import loops

from .conftest import LOCALHOST, Run, accepts, free_port

LIFESPAN: list[str] = []


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    LIFESPAN.append("startup")
    yield
    LIFESPAN.append("shutdown")


async def home(request: Request) -> JSONResponse:
    return JSONResponse({"method": request.method, "query": dict(request.query_params)})


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


async def stream(request: Request) -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(100):
            yield b"%06d " % number * 100
            await asyncio.sleep(0)

    return StreamingResponse(parts())


async def sockets(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        text = await socket.receive_text()
        if text == "close":
            await socket.close(4001)
            return
        await socket.send_text(f"you said {text}")


def application() -> Starlette:
    return Starlette(
        routes=[
            Route("/", home),
            Route("/echo", echo, methods=["POST"]),
            Route("/stream", stream),
            WebSocketRoute("/sockets", sockets),
        ],
        lifespan=lifespan,
    )


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[int]:
    config = uvicorn.Config(application(), host=LOCALHOST, port=0, log_level="warning")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
        assert not task.done()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


def test_http(run: Run) -> None:
    async def main() -> None:
        async with serving() as port, aiohttp.ClientSession(f"http://{LOCALHOST}:{port}") as http:
            for number in range(50):
                async with http.get("/", params={"n": str(number)}) as response:
                    assert await response.json() == {"method": "GET", "query": {"n": str(number)}}
            async with http.post("/echo", data=bytes(1 << 20)) as response:
                assert await response.read() == bytes(1 << 20)
            async with http.get("/stream") as response:
                expected = b"".join(b"%06d " % number * 100 for number in range(100))
                assert await response.read() == expected

    LIFESPAN.clear()
    run(main())
    assert LIFESPAN == ["startup", "shutdown"]


def test_requests_at_once(run: Run) -> None:
    async def main() -> None:
        async with serving() as port, aiohttp.ClientSession(f"http://{LOCALHOST}:{port}") as http:

            async def ask(number: int) -> Any:
                async with http.get("/", params={"n": str(number)}) as response:
                    return (await response.json())["query"]["n"]

            assert await asyncio.gather(*map(ask, range(200))) == [str(n) for n in range(200)]

    run(main())


def test_websocket(run: Run) -> None:
    async def main() -> None:
        async with (
            serving() as port,
            websockets.connect(f"ws://{LOCALHOST}:{port}/sockets") as socket,
        ):
            for number in range(100):
                await socket.send(str(number))
                assert await socket.recv() == f"you said {number}"
            await socket.send("close")
            with pytest.raises(websockets.ConnectionClosed) as caught:
                await socket.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 4001

    run(main())


def test_as_a_program(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """`uvicorn --loop module:factory`, ended by SIGTERM."""
    (tmp_path / "app.py").write_text(
        textwrap.dedent("""
            import asyncio
            async def app(scope, receive, send):
                if scope["type"] == "lifespan":
                    while True:
                        message = await receive()
                        await send({"type": message["type"] + ".complete"})
                        if message["type"] == "lifespan.shutdown":
                            print("shut down", flush=True)
                            return
                body = type(asyncio.get_running_loop()).__module__.encode()
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": body})
            """)
    )
    port = free_port()
    loop = loops.check_name(request.config.getoption("--loop"))
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--loop", loop]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 20
        while not accepts(port) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.05)

        async def ask() -> str:
            url = f"http://{LOCALHOST}:{port}/"
            async with aiohttp.ClientSession() as http, http.get(url) as response:
                return await response.text()

        assert asyncio.run(ask()).split(".")[0] == loop.split(":")[0]
        os.kill(process.pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
        assert "shut down" in output
        # uvicorn ends by the signal it was sent, after shutting down.
        assert process.returncode in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
