"""A program that somebody might have, as short as can be."""

import asyncio

asyncio.run(asyncio.sleep(0))
