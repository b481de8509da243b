"""What the Python blocks of README.md take for granted."""

import asyncio

import ferrio


async def main() -> None:
    assert isinstance(asyncio.get_running_loop(), ferrio.Loop)
