"""SIGTERM while three guests are there: one idle, one with a quick order, one with a long one."""

from __future__ import annotations

import asyncio
import os
import signal

import service

#: Seconds: enough for the quick order, whatever else this machine does, and not for the long one.
DRAIN = 2.0
QUICK, LONG = b"0.3\n", b"3600\n"


async def main() -> None:
    listening: asyncio.Future[service.Address] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(service.main(port=0, drain=DRAIN, listening=listening))
    address = await listening

    guests: dict[str, asyncio.Task[str]] = {}
    for name, order in {"idle": b"", "quick": QUICK, "long": LONG}.items():
        reader, writer = await asyncio.open_connection(*address)
        # The answer to this shows that the guest was let in.
        writer.write(b"water\n")
        await reader.readline()
        writer.write(order)
        await writer.drain()
        guests[name] = asyncio.create_task(rest_of(reader, writer))
    # Everything that was sent has been read once the service has had a turn.
    await asyncio.sleep(0.05)

    os.kill(os.getpid(), signal.SIGTERM)
    await serving
    for name, guest in guests.items():
        print(f"the {name} guest got: {await guest}")
    try:
        await asyncio.open_connection(*address)
    except ConnectionRefusedError:
        print("a new guest found the door closed")


async def rest_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """All lines up to the end of the connection."""
    try:
        return ", ".join((await reader.read()).decode().splitlines())
    finally:
        writer.close()
