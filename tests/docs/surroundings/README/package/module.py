"""A program that somebody might have: it takes arguments and knows nothing of ferrio."""

import asyncio
import sys


async def main() -> None:
    loop = type(asyncio.get_running_loop())
    assert f"{loop.__module__}.{loop.__qualname__}" == "ferrio.Loop"
    assert sys.argv[1:2] in ([], ["--port"])


asyncio.run(main())
