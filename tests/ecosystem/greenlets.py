"""What holds in a process whose blocking functions switch greenlets instead, whoever does that."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .programs import output_of

RUN = """
with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""


class GreenletTests:
    """To be run with a fixture `patch`: how a program begins.

    It imports asyncio, and has `spawn` and `sleep` for greenlets.
    """

    def test_threads_hand_their_results_over(self, tmp_path: Path, patch: str) -> None:
        body = """
import time

async def main():
    results = [asyncio.to_thread(lambda n=n: time.sleep(0.01) or n) for n in range(20)]
    print(await asyncio.gather(*results))
    loop = asyncio.get_running_loop()
    print(await loop.run_in_executor(None, sum, [1, 2]))
"""
        numbers = list(range(20))
        assert output_of(tmp_path, patch + body + RUN) == f"{numbers}\n3\n"

    def test_greenlets_run_while_the_loop_waits(self, tmp_path: Path, patch: str) -> None:
        body = """
ticks = []

def tick():
    while True:
        sleep(0.001)
        ticks.append(1)

async def main():
    spawn(tick)
    while len(ticks) < 20:
        await asyncio.sleep(0.01)
    print("waited")
"""
        assert output_of(tmp_path, patch + body + RUN) == "waited\n"

    def test_greenlets_run_while_the_loop_is_busy(self, tmp_path: Path, patch: str) -> None:
        body = """
ticks = []

def tick():
    while True:
        sleep(0)
        ticks.append(1)

async def main():
    spawn(tick)
    while len(ticks) < 20:
        await asyncio.sleep(0)
    print("busy")
"""
        assert output_of(tmp_path, patch + body + RUN) == "busy\n"

    def test_a_greenlet_wakes_the_loop(self, tmp_path: Path, patch: str) -> None:
        body = """
async def main():
    loop = asyncio.get_running_loop()
    for number in range(20):
        future = loop.create_future()
        def wake():
            sleep(0.001)
            loop.call_soon_threadsafe(future.set_result, number)
        spawn(wake)
        assert await future == number

        def run():
            sleep(0.001)
            asyncio.run_coroutine_threadsafe(double(number), loop).add_done_callback(
                lambda done: loop.call_soon_threadsafe(answer.set_result, done.result())
            )
        answer = loop.create_future()
        spawn(run)
        assert await answer == 2 * number
    print("woken")

async def double(number):
    await asyncio.sleep(0)
    return 2 * number
"""
        assert output_of(tmp_path, patch + body + RUN) == "woken\n"

    def test_names_are_resolved(self, tmp_path: Path, patch: str) -> None:
        if sys.version_info >= (3, 14) and "gevent" in patch:
            pytest.skip("the same program never ends on asyncio's own loop, either")
        body = """
import socket

async def main():
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo("localhost", 80, family=socket.AF_INET, type=socket.SOCK_STREAM)
    print(found[0][4])
    found = await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    print(found[0])
"""
        assert output_of(tmp_path, patch + body + RUN) == "('127.0.0.1', 80)\n127.0.0.1\n"

    def test_streams_and_greenlets_share_the_process(self, tmp_path: Path, patch: str) -> None:
        """A server on the loop; clients in greenlets, with blocking sockets, and on the loop."""
        body = """
import socket

done = []

def client(address):
    with socket.create_connection(address) as sock:
        for number in range(20):
            sock.sendall(b"line %d\\n" % number)
            assert sock.recv(100) == b"line %d\\n" % number
    done.append(1)

async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0, limit=2**21)
    async with server:
        address = server.sockets[0].getsockname()
        for _ in range(5):
            spawn(client, address)
        reader, writer = await asyncio.open_connection("localhost", address[1])
        writer.write(b"x" * 1_000_000 + b"\\n")
        assert len(await reader.readexactly(1_000_001)) == 1_000_001
        writer.close()
        await writer.wait_closed()
        while len(done) < 5:
            await asyncio.sleep(0.01)
    print("served")
"""
        assert output_of(tmp_path, patch + body + RUN) == "served\n"

    def test_timers_are_in_order_and_not_early(self, tmp_path: Path, patch: str) -> None:
        body = """
import time

async def main():
    loop = asyncio.get_running_loop()
    fired = []
    begun = loop.time()
    for delay in (0.03, 0.01, 0.02):
        loop.call_later(delay, lambda delay=delay: fired.append((delay, loop.time() - begun)))
    await asyncio.sleep(0.05)
    print([delay for delay, _ in fired], all(delay <= after for delay, after in fired))
"""
        assert output_of(tmp_path, patch + body + RUN) == "[0.01, 0.02, 0.03] True\n"

    def test_loops_follow_one_another(self, tmp_path: Path, patch: str) -> None:
        """Each closes what it has waited by."""
        body = """
import os

async def main():
    await asyncio.to_thread(int)

def count():
    return len(os.listdir("/proc/self/fd"))

with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
before = count()
for _ in range(20):
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
print(count() - before)
"""
        assert output_of(tmp_path, patch + body) == "0\n"
