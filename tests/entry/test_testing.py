"""`ferrio.testing`: virtual time."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time

import pytest
from ferrio.testing import VirtualTimeLoop, virtual_time

HOUR = 3600.0


def test_sleeps_take_no_time() -> None:
    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await asyncio.sleep(HOUR)
        return before, loop.time()

    began = time.monotonic()
    assert virtual_time(main()) == (0.0, HOUR)
    assert virtual_time(main(), start=5) == (5.0, HOUR + 5)
    # Not how fast it is, only that nobody has slept.
    assert time.monotonic() - began < HOUR


def test_the_order_is_that_of_time() -> None:
    async def main() -> list[tuple[float, str]]:
        loop = asyncio.get_running_loop()
        seen: list[tuple[float, str]] = []

        async def visit(name: str, *delays: float) -> None:
            for delay in delays:
                await asyncio.sleep(delay)
                seen.append((loop.time(), name))

        async with asyncio.TaskGroup() as group:
            group.create_task(visit("a", 0.3, 0.3))
            group.create_task(visit("b", 0.1, 0.1, 0.5))
            group.create_task(visit("c", 0.25))
        loop.call_later(1, seen.append, (0.0, "later"))
        await asyncio.sleep(2)
        return seen

    assert virtual_time(main()) == [
        (0.1, "b"), (0.2, "b"), (0.25, "c"), (0.3, "a"), (0.6, "a"), (0.7, "b"), (0.0, "later"),
    ]  # fmt: skip


def test_timeouts() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.sleep(HOUR)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 5)
        done, pending = await asyncio.wait([loop.create_future()], timeout=1)
        assert (len(done), len(pending)) == (0, 1)
        return loop.time()

    assert virtual_time(main()) == 16


def test_ten_thousand_ticks() -> None:
    async def main() -> tuple[int, float]:
        ticks = 0
        loop = asyncio.get_running_loop()
        while loop.time() < 1000:
            await asyncio.sleep(0.1)
            ticks += 1
        return ticks, loop.time()

    ticks, now = 0, 0.0
    while now < 1000:
        now += 0.1
        ticks += 1
    # No tick is lost or made by rounding that is not the program's.
    assert virtual_time(main()) == (ticks, now)


def test_real_sockets_come_first() -> None:
    async def main() -> float:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(100):
                await asyncio.sleep(60)
                writer.write(data)
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for _ in range(3):
            writer.write(b"hello")
            async with asyncio.timeout(61):
                assert await reader.readexactly(5) == b"hello"
        writer.close()
        server.close()
        return asyncio.get_running_loop().time()

    assert virtual_time(main()) == 180


def test_time_stands_still_while_threads_work() -> None:
    async def main() -> tuple[str, float]:
        gate = threading.Event()
        threading.Timer(0.05, gate.set).start()

        def work() -> str:
            gate.wait(30)
            return "done"

        async with asyncio.timeout(0.001):
            answer = await asyncio.to_thread(work)
        return answer, asyncio.get_running_loop().time()

    assert virtual_time(main()) == ("done", 0.0)


def test_time_stands_still_while_names_are_looked_up_and_children_run() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(1):
            await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
        async with asyncio.timeout(1):
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "print('hi')", stdout=asyncio.subprocess.PIPE
            )
            output, _ = await child.communicate()
            assert output == b"hi\n"
        return loop.time()

    assert virtual_time(main()) == 0.0


@pytest.mark.parametrize(("patience", "answer"), [(30.0, "late"), (0.0, "too late")])
def test_patience_for_who_is_not_known(patience: float, answer: str) -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        may_answer = threading.Event()

        def stranger() -> None:
            may_answer.wait(0.05 if patience else 30)
            if patience:
                loop.call_soon_threadsafe(future.set_result, "late")

        thread = threading.Thread(target=stranger)
        thread.start()
        try:
            async with asyncio.timeout(1):
                return await future
        except TimeoutError:
            return "too late"
        finally:
            may_answer.set()
            thread.join()

    assert virtual_time(main(), patience=patience) == answer


def test_a_program_can_have_it_jump() -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        seen: list[str] = []
        loop.call_later(5, seen.append, "five")
        loop.call_later(50, seen.append, "fifty")
        loop.advance(10)
        assert loop.time() == 10
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="time does not go back"):
            loop.advance(-1)
        return seen

    assert virtual_time(main()) == ["five"]


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="patience must not be negative"):
        VirtualTimeLoop(patience=-1)

    async def inside() -> None:
        coroutine = asyncio.sleep(0)
        try:
            virtual_time(coroutine)
        finally:
            coroutine.close()

    with pytest.raises(RuntimeError, match=r"virtual_time\(\) cannot be called from a running"):
        asyncio.run(inside())


def test_exceptions_and_what_is_left_come_out_as_ever() -> None:
    seen: list[str] = []

    async def left() -> None:
        try:
            await asyncio.sleep(HOUR)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def main() -> None:
        task = asyncio.create_task(left())
        await asyncio.sleep(1)
        assert not task.done()
        raise LookupError("out")

    with pytest.raises(LookupError, match="out"):
        virtual_time(main())
    assert seen == ["cancelled"]


def test_debug_mode() -> None:
    async def main() -> bool:
        await asyncio.sleep(1)
        return asyncio.get_running_loop().get_debug()

    assert virtual_time(main(), debug=True)
    assert not virtual_time(main(), debug=False)
