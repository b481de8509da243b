"""A chat on the package websockets: what one of the members says, all of the room hear.

Server and members are in this process.
"""

from __future__ import annotations

import asyncio

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve

MEMBERS, MESSAGES = 100, 500


async def main() -> None:
    room: set[ServerConnection] = set()

    async def member(connection: ServerConnection) -> None:
        room.add(connection)
        try:
            async for message in connection:
                broadcast(room, message)
        finally:
            room.discard(connection)

    async with serve(member, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        everybody_is_here = asyncio.Barrier(MEMBERS)

        async def listen(number: int) -> int:
            heard = 0
            async with connect(f"ws://127.0.0.1:{port}", compression=None) as connection:
                await everybody_is_here.wait()
                for turn in range(MESSAGES):
                    if turn % MEMBERS == number:
                        await connection.send(f"{number} says the {turn}th thing of the day")
                    await connection.recv()
                    heard += 1
                await everybody_is_here.wait()
            return heard

        async with asyncio.TaskGroup() as group:
            members = [group.create_task(listen(number)) for number in range(MEMBERS)]
    print(sum(task.result() for task in members), "messages heard")


asyncio.run(main())
