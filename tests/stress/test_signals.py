"""Signals in crowds: nothing is interrupted by them, no kind of them is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests import loops

from .conftest import Load

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals of Unix")

Loop = asyncio.AbstractEventLoop
LOCALHOST = "127.0.0.1"

# Ten thousand a second, so that most are delivered by themselves and not together with the last.
SENDER = """
import os, signal, sys, time
parent, count = int(sys.argv[1]), int(sys.argv[2])
for number in range(count):
    os.kill(parent, signal.SIGUSR1 if number % 2 else signal.SIGCHLD)
    if number % 10 == 9:
        time.sleep(0.001)
"""


def test_signal_storm(loop: Loop, load: Load, figures: Callable[[str], None]) -> None:
    count = load(4_000, 100_000)
    heard: Counter[str] = Counter()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(10_000):
            writer.write(data)
        writer.close()

    async def talk(address: tuple[str, int], over: asyncio.Event) -> int:
        reader, writer = await asyncio.open_connection(*address)
        rounds = 0
        while not over.is_set():
            data = os.urandom(5_000)
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            rounds += 1
            if rounds % 10 == 0:
                await asyncio.sleep(0.001)
        writer.close()
        await writer.wait_closed()
        return rounds

    async def main() -> int:
        for kind in (signal.SIGUSR1, signal.SIGCHLD, signal.SIGUSR2):
            loop.add_signal_handler(kind, lambda name=kind.name: heard.update([name]))
        server = await asyncio.start_server(echo, LOCALHOST, 0)
        address = server.sockets[0].getsockname()
        over = asyncio.Event()
        talking = [asyncio.create_task(talk(address, over)) for _ in range(4)]
        sender = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", SENDER, str(os.getpid()), str(count)],
            check=False,
            timeout=600,
        )
        assert sender.returncode == 0
        over.set()
        rounds = sum(await asyncio.gather(*talking))
        # The last of each kind is heard: none is lost for good.
        for kind in (signal.SIGUSR1, signal.SIGCHLD, signal.SIGUSR2):
            before = heard[kind.name]
            os.kill(os.getpid(), kind)
            async with asyncio.timeout(60):
                while heard[kind.name] == before:
                    await asyncio.sleep(0.001)
        for kind in (signal.SIGUSR1, signal.SIGCHLD, signal.SIGUSR2):
            assert loop.remove_signal_handler(kind)
        server.close()
        await server.wait_closed()
        return rounds

    start = time.monotonic()
    rounds = loop.run_until_complete(main())
    seconds = time.monotonic() - start
    assert heard["SIGUSR1"] > 1
    assert heard["SIGCHLD"] > 1
    figures(
        f"{count} signals in {seconds:.1f} s: handlers ran {dict(sorted(heard.items()))}, "
        f"as signals of a kind merge while they wait; {rounds} exchanges beside them, all right"
    )


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_ctrl_c_again_and_again(
    new_loop: loops.Factory, load: Load, busy: bool, figures: Callable[[str], None]
) -> None:
    """Each ends the run that it meets, and leaves the wakeup descriptor as it was."""
    rounds = load(10, 100)
    waits: list[float] = []
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)

    async def main(started: threading.Event) -> None:
        started.set()
        while True:
            await asyncio.sleep(0 if busy else 1_000)

    for _ in range(rounds):
        started = threading.Event()
        sent: list[float] = []

        def interrupt() -> None:
            started.wait(10)  # noqa: B023
            time.sleep(0.01)
            sent.append(time.monotonic())  # noqa: B023
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with asyncio.Runner(loop_factory=new_loop) as runner, pytest.raises(KeyboardInterrupt):
            runner.run(main(started))
        thread.join()
        waits.append(time.monotonic() - sent[0])
        after = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(after)
        assert after == before
    waits.sort()
    figures(
        f"{rounds} times: out of run() after {waits[len(waits) // 2] * 1e3:.2f} ms (median), "
        f"{waits[-1] * 1e3:.2f} ms (worst)"
    )
