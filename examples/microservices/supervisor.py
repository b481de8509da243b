"""Starts the services as processes, watches over them and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from types import TracebackType

from yarl import URL

START_SECONDS = 30
#: What a service may take to end before it is killed: longer than it drains.
END_SECONDS = 10

BEHIND = ("product", "favourites", "cart", "inventory")


class StartError(Exception):
    """A service did not say that it is ready."""


@dataclass
class Service:
    """One that runs, or has run."""

    name: str
    process: Process
    base: URL
    #: The class of the loop that it runs on.
    loop: str


class Supervisor:
    """The services behind, and the frontend before them, for the time of an `async with`."""

    def __init__(self, port: int, way: str) -> None:
        """`way`: how the frontend's calls are guarded."""
        self._port = port
        self._way = way
        self.services: dict[str, Service] = {}

    async def __aenter__(self) -> Supervisor:
        try:
            async with asyncio.TaskGroup() as group:
                for name in BEHIND:
                    group.create_task(self._start(name, 0))
            bases = [f"--{name}={self.services[name].base}" for name in BEHIND]
            await self._start("frontend", self._port, f"--by={self._way}", *bases)
        except BaseException:
            await self._end_all()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        await self._end_all()

    async def kill(self, name: str) -> None:
        """As a crash would, without a goodbye."""
        process = self.services[name].process
        process.kill()
        await process.wait()

    async def start_again(self, name: str) -> None:
        """On the port that it had: the others know no other."""
        port = self.services[name].base.port
        if port is None:
            raise ValueError(f"{name} had no port")
        await self._start(name, port)

    async def _start(self, name: str, port: int, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *own_command(),
            "service",
            name,
            f"--port={port}",
            "--until-eof",
            *arguments,
            stdin=PIPE,
            stdout=PIPE,
            # Ctrl-C at the terminal is for us: we end the services in the right order.
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                line = (await process.stdout.readline()).decode()  # type: ignore[union-attr]
            found = re.fullmatch(rf"{name} on (\S+) (\S+)\n", line)
            if found is None:
                raise StartError(f"{name} said {line!r} instead of where it is")
        except BaseException:
            await end(process)
            raise
        self.services[name] = Service(name, process, URL(found[1]), found[2])

    async def _end_all(self) -> None:
        """The frontend first: it can then finish its pages."""
        if "frontend" in self.services:
            await end(self.services["frontend"].process)
        await asyncio.gather(*(end(service.process) for service in self.services.values()))


async def end(process: Process) -> None:
    """Asks, waits, and then insists."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def own_command() -> list[str]:
    """How this program was started, without its arguments: whatever runs us, runs the services."""
    count = len(sys.orig_argv) - len(sys.argv) + 1
    return [sys.executable, *sys.orig_argv[1:count]]
