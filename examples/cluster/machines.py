"""A second machine, simulated: a network namespace, and a cable of two veth ends to it.

A namespace has interfaces, addresses, routes and ports of its own: what runs in it sees nothing of
this machine's network but the other end of the cable. Processor and files are shared, which a real
second machine's would not be.

Making one needs root and `ip` of iproute2. Without these there is only this machine, at two
addresses of its loopback, and nothing to count bytes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

PREFIX = "cookbook-"


class NoSecondMachineError(Exception):
    """Why there is none."""


@dataclass(frozen=True)
class Machine:
    """Where processes run, and under which address others find them."""

    name: str
    address: str
    #: What comes before a command so that it runs there.
    prefix: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """This machine and the other one."""

    near: Machine
    far: Machine
    #: The near end of the cable; None if there is no cable.
    cable: str | None = None

    def carried(self) -> int | None:
        """Bytes that the cable has carried so far, both ways; None if there is no cable."""
        if self.cable is None:
            return None
        counters = Path("/sys/class/net", self.cable, "statistics")
        return sum(int((counters / name).read_text()) for name in ("rx_bytes", "tx_bytes"))


#: Two addresses of one machine.
ALONE = Pair(Machine("near", "127.0.0.1"), Machine("far", "127.0.0.2"))


@contextlib.asynccontextmanager
async def two_machines() -> AsyncIterator[Pair]:
    """Two for the time of the block. Raises NoSecondMachineError if there can be only one."""
    if os.geteuid() != 0:
        raise NoSecondMachineError("a second machine is simulated by root only")
    if shutil.which("ip") is None:
        raise NoSecondMachineError("there is no `ip` (Debian: apt-get install iproute2)")
    await remove_left_overs()
    pid = os.getpid()
    namespace, here, there = f"{PREFIX}{pid}", f"cb{pid}", f"cf{pid}"
    # 198.18.0.0/15 is set aside for tests of networks: no route of this machine's is in the way.
    network, first = f"198.18.{pid // 64 % 256}", pid % 64 * 4
    near, far = f"{network}.{first + 1}", f"{network}.{first + 2}"
    try:
        await ip("netns", "add", namespace)
        await ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", namespace)
        await ip("address", "add", f"{near}/30", "dev", here)
        await ip("link", "set", here, "up")
        await ip("-n", namespace, "address", "add", f"{far}/30", "dev", there)
        await ip("-n", namespace, "link", "set", there, "up")
        await ip("-n", namespace, "link", "set", "lo", "up")
        yield Pair(
            Machine("near", near), Machine("far", far, ("ip", "netns", "exec", namespace)), here
        )
    finally:
        # Its end of the cable goes with it, and the other end with that one.
        with contextlib.suppress(NoSecondMachineError):
            await ip("netns", "delete", namespace)


async def remove_left_overs() -> None:
    """Namespaces of programs that were killed."""
    for entry in (await ip("netns", "list")).splitlines():
        name = entry.split()[0]
        pid = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and not Path("/proc", pid).exists():
            with contextlib.suppress(NoSecondMachineError):
                await ip("netns", "delete", name)


async def ip(*arguments: str) -> str:
    """What `ip` prints. Raises NoSecondMachineError if it fails: containers often forbid it."""
    process = await asyncio.create_subprocess_exec(
        "ip", *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    output, error = await process.communicate()
    if process.returncode != 0:
        why = error.decode().strip() or f"it ended with {process.returncode}"
        raise NoSecondMachineError(f"`ip {' '.join(arguments)}`: {why}")
    return output.decode()
