"""What the tiny loop can do: sleepers, a server with clients, an exception, a deadlock."""

from __future__ import annotations

import socket
import time
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from tiny_loop import Loop, Task

CLIENTS = 20
MESSAGE = b"0123456789" * 1000


def main() -> None:
    start = time.perf_counter()
    loop = Loop()
    names = loop.run(sleepers(loop))
    seconds = time.perf_counter() - start
    print(f"three sleepers of 0.3, 0.1 and 0.2 s woke in the order {names} in {seconds:.2f} s")

    loop = Loop()
    print(f"an echo server and {CLIENTS} clients: {loop.run(echoes(loop))} right answers")

    loop = Loop()
    print(f"an exception comes out where the task is awaited: {loop.run(failing(loop))!r}")

    loop = Loop()
    try:
        loop.run(deadlock(loop))
    except RuntimeError as error:
        print(f"a task that waits for itself: {error}")


async def sleepers(loop: Loop) -> str:
    woke: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await loop.sleep(seconds)
        woke.append(name)

    tasks = [
        Task(loop, sleeper(name, seconds))
        for name, seconds in {"a": 0.3, "b": 0.1, "c": 0.2}.items()
    ]
    for task in tasks:
        await task
    return "".join(woke)


async def echoes(loop: Loop) -> int:
    with socket.create_server(("127.0.0.1", 0), backlog=CLIENTS) as listener:
        listener.setblocking(False)
        Task(loop, serve(loop, listener))
        clients = [Task(loop, client(loop, listener.getsockname())) for _ in range(CLIENTS)]
        return sum([await task for task in clients])


async def serve(loop: Loop, listener: socket.socket) -> None:
    """For ever: it is still waiting when the loop ends, and is not asked."""
    while True:
        await loop.until(EVENT_READ, listener)
        connection, _ = listener.accept()
        connection.setblocking(False)
        Task(loop, echo(loop, connection))


async def echo(loop: Loop, connection: socket.socket) -> None:
    with connection:
        while data := await receive(loop, connection):
            await send(loop, connection, data)


async def client(loop: Loop, address: tuple[str, int]) -> bool:
    # To this machine: connecting does not take long enough to be worth an arrangement.
    with socket.create_connection(address) as connection:
        connection.setblocking(False)
        await send(loop, connection, MESSAGE)
        answer = b""
        while len(answer) < len(MESSAGE):
            answer += await receive(loop, connection)
        return answer == MESSAGE


async def receive(loop: Loop, connection: socket.socket) -> bytes:
    await loop.until(EVENT_READ, connection)
    return connection.recv(4096)


async def send(loop: Loop, connection: socket.socket, data: bytes) -> None:
    while data:
        await loop.until(EVENT_WRITE, connection)
        data = data[connection.send(data) :]


async def failing(loop: Loop) -> Exception | None:
    async def fail() -> None:
        await loop.sleep(0.01)
        raise ValueError("on purpose")

    task = Task(loop, fail())
    try:
        await task
    except ValueError as error:
        return error
    return None


async def deadlock(loop: Loop) -> None:
    tasks: list[Task] = []

    async def wait_for_itself() -> Any:
        return await tasks[0]

    tasks.append(Task(loop, wait_for_itself()))
    await tasks[0]
