"""Children: hundreds of them, in many threads, none left behind, dead or alive."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests import loops

from .conftest import Load

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

Loop = asyncio.AbstractEventLoop
PIPE = asyncio.subprocess.PIPE


def children() -> list[str]:
    """Every child of this process, zombies included."""
    found = []
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children") as file:
                found += file.read().split()
        except FileNotFoundError:  # the thread has ended
            continue
    return found


@pytest.fixture
def no_children() -> Any:
    before = set(children())
    yield
    left = set(children()) - before
    assert not left, f"left behind: {left}"


def rate(count: int, start: float) -> str:
    seconds = time.monotonic() - start
    return f"{seconds:.1f} s, {count / seconds:.0f} a second"


def test_spawns_and_kills(
    no_children: None, loop: Loop, load: Load, figures: Callable[[str], None]
) -> None:
    count = load(500, 10_000)

    async def one(number: int) -> None:
        process = await asyncio.create_subprocess_exec("sleep", "100", stdin=PIPE, stdout=PIPE)
        if number % 3 == 0:
            await asyncio.sleep(0)
        process.kill()
        assert await process.wait() == -signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    async def main() -> None:
        for batch in range(count // 20):
            await asyncio.gather(*(one(batch * 20 + n) for n in range(20)))

    start = time.monotonic()
    loop.run_until_complete(main())
    figures(f"{count} children, 20 at a time, each killed and waited for: {rate(count, start)}")


def test_eight_loops_in_eight_threads(
    no_children: None,
    descriptors: None,
    new_loop: loops.Factory,
    load: Load,
    figures: Callable[[str], None],
) -> None:
    each = load(12, 250)
    failures: list[BaseException] = []

    async def main(thread: int) -> None:
        for number in range(each):
            code = (thread * each + number) % 100
            process = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", f"cat; exit {code}", stdin=PIPE, stdout=PIPE
            )
            data = os.urandom(100_000)
            out, _ = await process.communicate(data)
            assert out == data
            assert process.returncode == code

    def run(thread: int) -> None:
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(main(thread))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(load(60, 600))
    assert not failures
    figures(
        f"{8 * each} children from 8 loops, their data and codes right: {rate(8 * each, start)}"
    )


def test_megabytes_both_ways(no_children: None, loop: Loop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        data = os.urandom(20_000_000)
        out, _ = await process.communicate(data)
        assert out == data

    loop.run_until_complete(main())


def test_a_reader_that_is_slow_does_not_make_us_buffer(no_children: None, loop: Loop) -> None:
    """drain() waits, and the buffer stays at what the watermarks say."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sleep", "100", stdin=PIPE)
        assert process.stdin is not None
        transport: Any = process.stdin.transport

        async def write(stdin: asyncio.StreamWriter) -> None:
            while True:
                stdin.write(bytes(10_000))
                await stdin.drain()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(write(process.stdin), 0.2)
        assert transport.get_write_buffer_size() < 100_000
        process.kill()
        await process.wait()

    loop.run_until_complete(main())


def test_a_child_that_we_are_slow_to_read_waits(no_children: None, loop: Loop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", "/dev/zero", stdout=PIPE)
        await asyncio.sleep(0.2)
        assert process.stdout is not None
        # StreamReader pauses at twice its limit.
        assert len(process.stdout._buffer) < 1_000_000  # type: ignore[attr-defined]
        process.kill()
        await process.stdout.read()
        await process.wait()

    loop.run_until_complete(main())


def test_cancelled_at_random(no_children: None, loop: Loop) -> None:
    chance = random.Random(7)
    before = set(children())

    async def main() -> None:
        for _ in range(150):
            task = asyncio.create_task(
                asyncio.create_subprocess_exec("sleep", "100", stdin=PIPE, stdout=PIPE, stderr=PIPE)
            )
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            task.cancel()
            try:
                process = await task
            except asyncio.CancelledError:
                continue
            process.kill()
            await process.wait()
        async with asyncio.timeout(60):
            while set(children()) - before:
                await asyncio.sleep(0.01)

    loop.run_until_complete(main())


def test_signals_never_reach_another_process(no_children: None, loop: Loop) -> None:
    """A child that has ended and was waited for, whose number may be anybody's by now."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("true", stdout=PIPE)
        transport: Any = process._transport  # type: ignore[attr-defined]
        while transport.get_returncode() is None:
            await asyncio.sleep(0)
        killed: list[int] = []
        kill = os.kill
        os.kill = lambda pid, sig: killed.append(pid)
        try:
            for send in (transport.kill, transport.terminate, lambda: transport.send_signal(9)):
                with contextlib.suppress(ProcessLookupError):
                    send()
        finally:
            os.kill = kill
        assert killed == []
        await process.wait()

    loop.run_until_complete(main())


def test_threads_wait_where_there_are_no_descriptors_for_processes(
    no_children: None, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise OSError(errno.ENOSYS, "no pidfd_open")

    if not hasattr(loop, "_watch_child"):
        pytest.skip("a part of ferrio")
    monkeypatch.setattr(type(loop), "_watch_child", refuse)

    async def one(code: int) -> int:
        process = await asyncio.create_subprocess_exec("/bin/sh", "-c", f"exit {code}")
        return await process.wait()

    async def main() -> None:
        assert await asyncio.gather(*map(one, range(10))) == list(range(10))
        process = await asyncio.create_subprocess_exec("sleep", "100")
        process.kill()
        assert await process.wait() == -signal.SIGKILL

    loop.run_until_complete(main())


def test_children_that_nobody_may_wait_for(loop: Loop) -> None:
    """SIGCHLD ignored: the system waits for them itself, and keeps no status."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    async def main() -> None:
        for _ in range(20):
            process = await asyncio.create_subprocess_exec("true")
            async with asyncio.timeout(60):
                assert await process.wait() in (0, 255)

    try:
        loop.run_until_complete(main())
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_reading_pipes_of_many_children_leaves_no_memory(loop: Loop) -> None:
    async def one() -> None:
        process = await asyncio.create_subprocess_exec("echo", "x" * 1000, stdout=PIPE)
        out, _ = await process.communicate()
        assert len(out) == 1001

    async def main() -> None:
        for _ in range(10):
            await asyncio.gather(*(one() for _ in range(10)))

    loop.run_until_complete(main())


@pytest.mark.parametrize("steps", range(6))
def test_a_child_that_is_given_up_while_it_begins(
    no_children: None, loop: Loop, steps: int
) -> None:
    """Its pipes are closed, whenever they are connected, so what it has begun ends, too."""
    if type(loop).__module__.partition(".")[0] == "asyncio":
        pytest.skip("asyncio leaves pipes open, and waits for them up to 3.13")

    async def main() -> None:
        await asyncio.sleep(0.01)
        before = len(os.listdir("/proc/self/fd"))
        # A shell that has children: to kill it is not enough.
        beginning = asyncio.ensure_future(
            asyncio.create_subprocess_shell("cat; cat", stdin=PIPE, stdout=PIPE, stderr=PIPE)
        )
        for _ in range(steps):
            await asyncio.sleep(0)
        time.sleep(0.05)  # the shell has begun the first `cat`
        beginning.cancel()
        await asyncio.wait([beginning], timeout=30)
        assert beginning.cancelled()
        async with asyncio.timeout(30):
            while len(os.listdir("/proc/self/fd")) > before:
                await asyncio.sleep(0.01)

    loop.run_until_complete(main())
