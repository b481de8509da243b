"""Signals: handlers on the loop, between two runs, and Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest

from tests import loops

from .trace import Trace
from .twin import Loop, twin


def raise_signal(number: int) -> None:
    os.kill(os.getpid(), number)


@twin
def test_a_handler_runs_as_a_callback(trace: Trace, loop: Loop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, trace, "handled", 1, "arguments")
    loop.call_soon(raise_signal, signal.SIGUSR1)
    loop.call_soon(trace, "same turn")
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    trace("removed", loop.remove_signal_handler(signal.SIGUSR1))


@twin
def test_a_signal_wakes_a_loop_that_waits(trace: Trace, loop: Loop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    timer = threading.Timer(0.02, raise_signal, (signal.SIGUSR1,))
    timer.start()
    loop.run_forever()
    trace("woken")
    timer.join()
    loop.remove_signal_handler(signal.SIGUSR1)


@twin
def test_adding_again_replaces(trace: Trace, loop: Loop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, trace, "first")
    loop.add_signal_handler(signal.SIGUSR1, trace, "second")
    loop.call_soon(raise_signal, signal.SIGUSR1)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    trace("removed", loop.remove_signal_handler(signal.SIGUSR1))
    trace("again", loop.remove_signal_handler(signal.SIGUSR1))


@twin
def test_signals_between_two_runs_are_kept(trace: Trace, loop: Loop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, trace, "handled")
    raise_signal(signal.SIGUSR1)
    trace("raised before the first run")
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    raise_signal(signal.SIGUSR1)
    trace("raised between the runs")
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    loop.remove_signal_handler(signal.SIGUSR1)


@twin
def test_several_signals_are_all_delivered(trace: Trace, loop: Loop) -> None:
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        loop.add_signal_handler(number, trace.on, number.name, "handled")
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        loop.call_soon(raise_signal, number)
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        trace("removed", loop.remove_signal_handler(number))


@twin
def test_removing_restores_the_default(trace: Trace, loop: Loop) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        before = signal.getsignal(number)
        loop.add_signal_handler(number, print)
        trace("changed", signal.getsignal(number) != before)
        loop.remove_signal_handler(number)
        trace("now", signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler))
        signal.signal(number, before)


@twin
def test_closing_the_loop_removes_its_handlers(trace: Trace, loop: Loop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.close()
    trace("default", signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL)
    trace("wakeup fd", signal.set_wakeup_fd(-1))


@twin
def test_the_wakeup_descriptor_is_given_back(trace: Trace, loop: Loop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.add_signal_handler(signal.SIGUSR2, print)
    loop.remove_signal_handler(signal.SIGUSR1)
    loop.remove_signal_handler(signal.SIGUSR2)
    trace("wakeup fd", signal.set_wakeup_fd(-1))


WRONG: dict[str, Any] = {
    "text": "SIGUSR1",
    "None": None,
    "float": 10.0,
    "zero": 0,
    "negative": -1,
    "too large": 1000,
    "SIGKILL": signal.SIGKILL,
    "SIGSTOP": signal.SIGSTOP,
}


@pytest.mark.parametrize("kind", WRONG)
@twin
def test_what_is_no_signal(trace: Trace, loop: Loop, kind: str) -> None:
    with trace.raises("add"):
        loop.add_signal_handler(WRONG[kind], print)
    with trace.raises("remove"):
        trace("result", loop.remove_signal_handler(WRONG[kind]))


@twin
def test_what_is_no_handler(trace: Trace, loop: Loop) -> None:
    async def coroutine_function() -> None: ...

    coroutine = coroutine_function()
    for wrong in (coroutine_function, coroutine):
        with trace.raises():
            loop.add_signal_handler(signal.SIGUSR1, wrong)  # type: ignore[arg-type]
    coroutine.close()
    trace("nothing added", loop.remove_signal_handler(signal.SIGUSR1))


@twin
def test_only_the_main_thread_may_add_handlers(trace: Trace, loop: Loop) -> None:
    def add() -> None:
        with trace.raises():
            loop.add_signal_handler(signal.SIGUSR1, print)

    thread = threading.Thread(target=add)
    thread.start()
    thread.join()


@twin
def test_sigchld_is_the_programs_to_use(trace: Trace, loop: Loop) -> None:
    loop.add_signal_handler(signal.SIGCHLD, lambda: (trace("child"), loop.stop()))
    process = subprocess.Popen([sys.executable, "-c", ""])
    loop.call_later(10, loop.stop)
    loop.run_forever()
    trace("status", process.wait())
    loop.remove_signal_handler(signal.SIGCHLD)


@twin
def test_a_failing_handler_is_reported(trace: Trace, loop: Loop) -> None:
    def fail() -> None:
        raise ValueError("in the handler")

    loop.set_exception_handler(trace.exception_handler)
    loop.add_signal_handler(signal.SIGUSR1, fail)
    loop.call_soon(raise_signal, signal.SIGUSR1)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    loop.remove_signal_handler(signal.SIGUSR1)


@twin
def test_python_level_handlers_run_while_the_loop_waits(trace: Trace, loop: Loop) -> None:
    old = signal.signal(signal.SIGUSR1, lambda number, frame: trace("handled", number))
    try:
        timer = threading.Timer(0.02, raise_signal, (signal.SIGUSR1,))
        timer.start()
        loop.call_later(0.1, loop.stop)
        loop.run_forever()
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, old)


@twin
def test_an_exception_of_a_python_level_handler_ends_the_run(trace: Trace, loop: Loop) -> None:
    def fail(number: int, frame: Any) -> None:
        raise KeyError("from the handler")

    old = signal.signal(signal.SIGUSR1, fail)
    try:
        timer = threading.Timer(0.05, raise_signal, (signal.SIGUSR1,))
        timer.start()
        loop.call_later(5, loop.stop)
        with trace.raises():
            loop.run_forever()
        timer.join()
        trace("running", loop.is_running())
    finally:
        signal.signal(signal.SIGUSR1, old)


@pytest.mark.parametrize("state", ["idle", "busy", "timers"])
@twin
def test_keyboard_interrupt_ends_the_run(trace: Trace, loop: Loop, state: str) -> None:
    def again() -> None:
        loop.call_soon(again)

    if state == "busy":
        loop.call_soon(again)
    elif state == "timers":
        for milliseconds in range(1, 1000):
            loop.call_later(milliseconds / 1000, int)
    timer = threading.Timer(0.05, raise_signal, (signal.SIGINT,))
    timer.start()
    with trace.raises():
        loop.run_forever()
    timer.join()
    trace("running", loop.is_running(), loop.is_closed())


# Programs for an interpreter of their own, on `new_loop`; what they print is compared.
PROGRAMS = {
    "runner cancels the main task": """
        async def main():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                print("cancelled", asyncio.current_task().cancelling())
                raise
            finally:
                print("cleaned up")
        try:
            interrupt_after(0.3)
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(main())
        except KeyboardInterrupt:
            print("KeyboardInterrupt")
        """,
    "runner while the loop is busy": """
        async def main():
            while True:
                await asyncio.sleep(0)
        try:
            interrupt_after(0.3)
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(main())
        except KeyboardInterrupt:
            print("KeyboardInterrupt")
        """,
    "main task that refuses": """
        async def main():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                print("refused")
            return "result"
        interrupt_after(0.3)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            print(runner.run(main()))
        """,
    "second interrupt at once": """
        async def main():
            try:
                await asyncio.sleep(60)
            finally:
                os.kill(os.getpid(), signal.SIGINT)
                print("not reached")
        try:
            interrupt_after(0.3)
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(main())
        except KeyboardInterrupt:
            print("KeyboardInterrupt")
        """,
    "interrupt in a blocking call": """
        async def main():
            try:
                time.sleep(60)
            except BaseException as error:
                print("in sleep", type(error).__name__)
                raise
            await asyncio.sleep(0)
        try:
            interrupt_after(0.3)
            new_loop().run_until_complete(main())
        except KeyboardInterrupt:
            print("KeyboardInterrupt")
        """,
    "nobody catches": """
        async def main():
            await asyncio.sleep(60)
        interrupt_after(0.3)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        """,
    "run_until_complete without a runner": """
        async def main():
            try:
                await asyncio.sleep(60)
            except BaseException as error:
                print("main sees", type(error).__name__)
                raise
        loop = new_loop()
        task = loop.create_task(main())
        try:
            interrupt_after(0.3)
            loop.run_until_complete(task)
        except KeyboardInterrupt:
            print("KeyboardInterrupt", task.done())
        task.cancel()
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            print("cancelled")
        loop.close()
        """,
    "runner twice": """
        async def wait():
            await asyncio.sleep(60)
        async def quick():
            return "quick"
        with asyncio.Runner(loop_factory=new_loop) as runner:
            for _ in range(2):
                interrupt_after(0.3)
                try:
                    runner.run(wait())
                except KeyboardInterrupt:
                    print("KeyboardInterrupt", runner.run(quick()))
        """,
    "terminated by default": """
        async def main():
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
            try:
                await asyncio.sleep(60)
            finally:
                print("not reached")
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        """,
}

PREAMBLE = """
import asyncio, os, signal, threading, time, {module}
new_loop = {module}.{attribute}
def interrupt_after(seconds):
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_that_are_interrupted(request: pytest.FixtureRequest, program: str) -> None:
    def run(loop: str) -> tuple[int, str, str]:
        module, _, attribute = loops.check_name(loop).partition(":")
        code = PREAMBLE.format(module=module, attribute=attribute)
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code + textwrap.dedent(PROGRAMS[program])],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert time.monotonic() - start < 20, "the interrupt came late"
        last_line = (done.stderr.strip().splitlines() or [""])[-1]
        return done.returncode, done.stdout, last_line

    assert run(request.config.getoption("--loop")) == run(loops.REFERENCE)


@twin
async def test_signals_while_connections_are_served(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    count = 0

    def handled() -> None:
        nonlocal count
        count += 1

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    loop.add_signal_handler(signal.SIGUSR1, handled)
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for number in range(200):
        raise_signal(signal.SIGUSR1)
        writer.write(b"%04d" % number)
        assert await reader.readexactly(4) == b"%04d" % number
    await asyncio.sleep(0.01)
    trace("handled", count)
    writer.close()
    server.close()
    await server.wait_closed()
    loop.remove_signal_handler(signal.SIGUSR1)
