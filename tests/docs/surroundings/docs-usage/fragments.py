"""What the Python blocks of docs/usage.md take for granted: programs that end by themselves."""

import asyncio
import functools
import unittest

import anyio
import ferrio
import pytest
import uvicorn
from aiohttp import web

__all__ = ["anyio", "app", "asyncio", "ferrio", "main", "pytest", "set_up", "unittest", "web"]


def check_loop() -> None:
    assert type(asyncio.get_running_loop()) is ferrio.Loop


async def set_up() -> None:
    check_loop()


async def main() -> None:
    check_loop()


# aiohttp: an application that ends before it listens.
async def end_at_once(app: web.Application) -> None:
    check_loop()
    raise web.GracefulExit


app = web.Application()
app.on_startup.append(end_at_once)


# uvicorn: a server that ends once it listens, on any port.
real_startup = uvicorn.Server.startup


async def start_and_end(self: uvicorn.Server, *args, **kwargs) -> None:
    await real_startup(self, *args, **kwargs)
    check_loop()
    asyncio.get_running_loop().call_soon(setattr, self, "should_exit", True)


uvicorn.Server.startup = start_and_end
uvicorn.run = functools.partial(uvicorn.run, port=0)
