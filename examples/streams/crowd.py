"""A crowd of chat clients at once: everybody hears everything, from each in order."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time

from chat_client import Conversation
from chat_server import chat_server


async def run(clients: int, rounds: int, seconds: float) -> None:
    """Each of `clients` speaks `rounds` times, with an answer awaited in between."""
    async with chat_server("127.0.0.1", 0) as port:
        everybody_here = asyncio.Barrier(clients)
        start = time.perf_counter(), time.process_time()
        async with asyncio.timeout(seconds):
            delays = await asyncio.gather(
                *(
                    chatter(port, number, clients, rounds, everybody_here)
                    for number in range(clients)
                )
            )
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    heard = clients * clients * rounds
    echo = statistics.median(delay for group in delays for delay in group)
    print(f"chat: {clients} clients heard {heard} lines, none lost, all in order")
    print(f"chat: {wall:.2f} s, {cpu:.2f} s of CPU, echo after {1e3 * echo:.1f} ms (median)")


async def chatter(
    port: int, number: int, clients: int, rounds: int, everybody_here: asyncio.Barrier
) -> list[float]:
    """One client; returns the seconds until it heard each of its own lines."""
    name = f"bird{number}"
    heard: dict[str, int] = {}
    delays: list[float] = []
    async with (
        Conversation("127.0.0.1", port, name) as conversation,
        contextlib.aclosing(conversation.lines()) as lines,
    ):
        # Until the server has said so, one is not in the room and misses what is said.
        while not (await anext(lines)).startswith(f"* {name} is here"):
            pass
        await everybody_here.wait()
        said = time.perf_counter()
        await conversation.say("0")
        async for line in lines:
            speaker, _, text = line.partition(": ")
            if line.startswith("*"):
                continue
            if int(text) != heard.get(speaker, -1) + 1:
                raise AssertionError(f"{name} heard {line!r} after {heard.get(speaker)}")
            heard[speaker] = int(text)
            if speaker == name:
                delays.append(time.perf_counter() - said)
                if len(delays) < rounds:
                    said = time.perf_counter()
                    await conversation.say(str(len(delays)))
            if len(heard) == clients and min(heard.values()) == rounds - 1:
                break
        else:
            raise AssertionError(f"{name}: the server hung up")
        # Those who leave early would be missed by those who still listen.
        await everybody_here.wait()
    return delays
