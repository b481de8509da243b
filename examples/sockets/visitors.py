"""Those who talk to the servers: each asks, waits for the answer, thinks, and asks again."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass

#: Seconds of thinking before each question.
THINKING = 0.02


@dataclass
class Crowd:
    """How many visitors come at once, and how many questions each has."""

    visitors: int = 10
    questions: int = 3


@dataclass
class Report:
    """What the visitors have seen."""

    answers: int
    #: Seconds from the arrival of all to the departure of the last.
    seconds: float
    #: How many were in conversation at the same time, at most.
    at_once: int

    def __str__(self) -> str:
        return (
            f"{self.answers} answers in {self.seconds * 1000:.0f} ms, "
            f"at most {self.at_once} visitors served at once"
        )


def listen() -> socket.socket:
    """A listening socket on a free port of this machine."""
    return socket.create_server(("127.0.0.1", 0), backlog=1000)


async def visit(address: tuple[str, int], crowd: Crowd) -> Report:
    """Send the crowd to the server at `address`."""
    talking = 0
    at_once = 0

    async def visitor(number: int) -> int:
        nonlocal talking, at_once
        reader, writer = await asyncio.open_connection(*address)
        try:
            for question in range(crowd.questions):
                # Long enough to come in several pieces now and then; the answer is as long.
                text = f"visitor {number}, question {question}: {'why? ' * 200}".encode()
                writer.write(text)
                # A server that has no time yet is not an error: connection and question wait in
                # the buffers of the kernel.
                answer = await reader.readexactly(len(text))
                assert answer == text, answer
                if question == 0:
                    talking += 1
                    at_once = max(at_once, talking)
                await asyncio.sleep(THINKING)
            talking -= 1
        finally:
            writer.close()
            await writer.wait_closed()
        return crowd.questions

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(visitor(number)) for number in range(crowd.visitors)]
    seconds = time.perf_counter() - start
    return Report(sum(task.result() for task in tasks), seconds, at_once)
