"""`ferrio.serve_until_signal`, and `ferrio.run(..., shutdown_timeout=...)`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ferrio
import pytest

PREAMBLE = """
import asyncio, logging, os, signal, sys, threading, time
import ferrio
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s", level=logging.INFO)

def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)
"""


def run(program: str, *, runner: str = "ferrio.run(main())") -> tuple[int, str, str]:
    """In a process of its own, which has to come to its end."""
    source = PREAMBLE + textwrap.dedent(program) + f"\n{runner}\n"
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


LOOPS = pytest.mark.parametrize("runner", ["ferrio.run(main())", "asyncio.run(main())"])


@LOOPS
@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_connections_come_to_their_end(number: str, runner: str) -> None:
    status, out, err = run(
        f"""
        async def handle(reader, writer):
            # A request that is under way when the signal comes.
            await reader.readline()
            send(signal.{number})
            await asyncio.sleep(0.2)
            writer.write(b"answer\\n")
            await writer.drain()
            writer.close()

        async def visit(address):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"question\\n")
            print(await reader.readline())
            writer.close()

        async def main():
            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            visitor = asyncio.create_task(visit(address))
            done = await ferrio.serve_until_signal(server)
            await visitor
            print(done)
            try:
                await asyncio.open_connection(*address)
            except ConnectionRefusedError:
                print("accepts no more")
            print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
        """,
        runner=runner,
    )
    assert (status, err) == (0, "")
    shown = f"<Signals.{number}: {int(signal.Signals[number])}>"
    lines = out.splitlines()
    assert lines[0].startswith(f"INFO {number}: stopping; ")
    assert "b'answer\\n'" in lines
    assert f"Shutdown(signal={shown}, drained=True, cancelled=[], stuck=[])" in lines
    assert lines[-2:] == ["accepts no more", "True"]


@LOOPS
def test_what_takes_too_long_is_cancelled(runner: str) -> None:
    status, out, err = run(
        """
        async def handle(reader, writer):
            asyncio.current_task().set_name("handler")
            try:
                await reader.read()
            except asyncio.CancelledError:
                print("handler cancelled")
                raise
            finally:
                writer.close()

        async def worker():
            try:
                await asyncio.sleep(3600)
            finally:
                print("worker ends")

        async def main():
            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            asyncio.get_running_loop().call_later(0.1, send)
            done = await ferrio.serve_until_signal(server, worker(), drain=0.1)
            print(done.drained, len(done.cancelled), done.stuck)
            writer.close()
        """,
        runner=runner,
    )
    assert (status, err) == (0, "")
    assert "worker ends" in out
    # asyncio's streams log a handler that was cancelled before 3.12.
    [line] = [line for line in out.splitlines() if line.startswith("False ")]
    assert line.endswith(" []")


@LOOPS
def test_who_does_not_stop_is_named_with_its_stack(runner: str) -> None:
    status, out, _ = run(
        """
        async def stubborn():
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    pass

        async def main():
            task = asyncio.create_task(stubborn(), name="stubborn")
            asyncio.get_running_loop().call_soon(send)
            done = await ferrio.serve_until_signal(task, cancel=0.1)
            print(done.cancelled, done.stuck, flush=True)
            os._exit(7)
        """,
        runner=runner,
    )
    assert status == 7
    assert "['stubborn'] ['stubborn']" in out
    assert "ERROR stubborn did not stop within 0.1 s of being cancelled; it stands here:" in out
    assert "in stubborn" in out


def test_a_task_from_before_is_served_too() -> None:
    status, out, err = run(
        """
        async def worker(stopping):
            await stopping.wait()
            await asyncio.sleep(0.05)
            print("finished")

        async def main():
            stopping = asyncio.Event()
            task = asyncio.create_task(worker(stopping), name="worker")
            asyncio.get_running_loop().call_soon(send)
            print(await ferrio.serve_until_signal(task, stopping=stopping))
        """
    )
    assert (status, err) == (0, "")
    assert "finished\n" in out
    assert "drained=True, cancelled=[], stuck=[]" in out


@pytest.mark.parametrize("blocks", ["await asyncio.sleep(60)", "time.sleep(60)"])
def test_a_second_signal_ends_at_once(blocks: str) -> None:
    status, out, _ = run(
        f"""
        async def worker(stopping):
            await stopping.wait()
            threading.Timer(0.1, send).start()
            {blocks}

        async def main():
            stopping = asyncio.Event()
            asyncio.get_running_loop().call_soon(send)
            await ferrio.serve_until_signal(worker(stopping), stopping=stopping, drain=60)
            print("never")
        """
    )
    assert status == -signal.SIGTERM
    assert "never" not in out


def test_a_task_that_fails_ends_the_others() -> None:
    status, out, err = run(
        """
        async def failing():
            await asyncio.sleep(0)
            raise LookupError("no")

        async def other():
            try:
                await asyncio.sleep(3600)
            finally:
                print("other ends")

        async def main():
            server = await asyncio.start_server(print, "127.0.0.1", 0)
            try:
                await ferrio.serve_until_signal(server, failing(), other())
            except* LookupError as group:
                print(group.exceptions, server.is_serving())
        """
    )
    assert (status, err) == (0, "")
    assert out.endswith("other ends\n(LookupError('no'),) False\n")


def test_all_tasks_may_end() -> None:
    async def main() -> ferrio.Shutdown:
        return await ferrio.serve_until_signal(asyncio.sleep(0), asyncio.sleep(0.01))

    done = ferrio.run(main())
    assert done == ferrio.Shutdown(None, drained=True)


def test_cancelled_from_outside() -> None:
    async def main() -> list[str]:
        seen = []

        async def worker() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                seen.append("worker ends")

        serving = asyncio.create_task(ferrio.serve_until_signal(worker()))
        await asyncio.sleep(0.01)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        return seen

    before = signal.getsignal(signal.SIGTERM)
    assert ferrio.run(main()) == ["worker ends"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_mistakes() -> None:
    async def main(*serving: Any, **options: Any) -> None:
        await ferrio.serve_until_signal(*serving, **options)

    with pytest.raises(ValueError, match="needs a server or a task"):
        ferrio.run(main())
    with pytest.raises(ValueError, match="times must not be negative"):
        ferrio.run(main(1, drain=-1))
    with pytest.raises(TypeError, match="a server, a coroutine or a task is needed, got 1"):
        ferrio.run(main(1))
    coroutine = asyncio.sleep(0)
    with pytest.raises(ValueError, match="shutdown_timeout must not be negative, got -1"):
        ferrio.run(coroutine, shutdown_timeout=-1)
    coroutine.close()


def test_only_in_the_main_thread() -> None:
    errors: list[BaseException] = []

    async def main() -> None:
        coroutine = asyncio.sleep(0)
        try:
            await ferrio.serve_until_signal(coroutine)
        finally:
            coroutine.close()

    def work() -> None:
        try:
            ferrio.run(main())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [type(error) for error in errors] in ([RuntimeError], [ValueError])


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, logger="ferrio"):
        yield caplog


def test_run_leaves_a_stubborn_task_behind(logged: pytest.LogCaptureFixture) -> None:
    stopped = False

    async def stubborn() -> None:
        while not stopped:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    async def main() -> str:
        task = asyncio.create_task(stubborn(), name="stubborn")
        main.task = task  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        return "done"

    try:
        assert ferrio.run(main(), shutdown_timeout=0.05) == "done"
    finally:
        stopped = True
    [record] = logged.records
    assert record.getMessage().startswith("stubborn did not stop within 0.05 s of being cancelled")
    assert "in stubborn" in record.getMessage()


def test_run_ends_what_is_left_in_time(logged: pytest.LogCaptureFixture) -> None:
    seen = []

    async def generator() -> Any:
        try:
            yield 1
            yield 2
        finally:
            seen.append("generator")

    async def left() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            seen.append("task")

    async def main() -> None:
        iterator = generator()
        await anext(iterator)
        main.kept = iterator, asyncio.create_task(left())  # type: ignore[attr-defined]
        await asyncio.to_thread(seen.append, "thread")
        raise LookupError("out")

    with pytest.raises(LookupError, match="out"):
        ferrio.run(main(), shutdown_timeout=30)
    assert seen == ["thread", "task", "generator"]
    assert not logged.records


def test_run_names_a_thread_that_goes_on(logged: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, gate.wait)
        await asyncio.sleep(0.01)

    try:
        ferrio.run(main(), shutdown_timeout=0.05)
    finally:
        gate.set()
    [record] = logged.records
    assert "did not end within 0.05 s, and the process cannot end before it" in record.getMessage()
    assert "gate.wait" in record.getMessage() or "in wait" in record.getMessage()


def test_a_service_by_ferrio_run(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        PREAMBLE
        + """
async def main():
    server = await asyncio.start_server(print, "127.0.0.1", 0)
    asyncio.get_running_loop().call_later(0.05, send)
    await ferrio.serve_until_signal(server)
    print("in good order", flush=True)

asyncio.run(main())
"""
    )
    done = subprocess.run(
        [sys.executable, "-m", "ferrio", "run", "app.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ),
    )
    assert "in good order\n" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")
