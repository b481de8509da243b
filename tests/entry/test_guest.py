"""`ferrio.guest`: a loop in somebody else's loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import importlib.util
import inspect
import os
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import ferrio
import pytest
from ferrio.guest import Run, runs
from ferrio.testing import VirtualTimeLoop

from tests.certificates import Certificates
from tests.docs.blocks import blocks_of

ROOT = Path(__file__).resolve().parents[2]

T = TypeVar("T")

#: Seconds in which everything here has happened; only what hangs takes so long.
PATIENCE = 60


class Toy:
    """A host of the plainest kind: a queue of functions, and a loop that calls them."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self.asked = 0

    def call_soon_threadsafe(self, function: Callable[[], object]) -> None:
        self.asked += 1
        self._calls.put(function)

    def run_until(self, is_over: Callable[[], object]) -> None:
        while not is_over():
            self._calls.get(timeout=PATIENCE)()

    def host(self, main: Coroutine[Any, Any, T], **options: Any) -> Run[T]:
        """Host `main` until it has ended."""
        run = ferrio.guest.start(main, call_soon_threadsafe=self.call_soon_threadsafe, **options)
        self.run_until(run.done)
        return run


@pytest.fixture
def toy() -> Iterator[Toy]:
    yield Toy()
    assert not runs
    join_helpers()


def join_helpers() -> None:
    for thread in threading.enumerate():
        if thread.name == "ferrio guest":
            thread.join(PATIENCE)
            assert not thread.is_alive()


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


# What runs, and where.


def test_main_runs_in_the_hosts_thread_and_its_result_is_told(toy: Toy) -> None:
    seen: list[object] = []

    async def main() -> str:
        for delay in (0, 0.001, 0.01):
            await asyncio.sleep(delay)
            seen.append(threading.get_ident())
        return "result"

    told: list[Run[str]] = []
    run = toy.host(main(), done=told.append)
    assert seen == [threading.get_ident()] * 3
    assert told == [run]
    assert run.result() == "result"
    assert run.loop.is_closed()
    assert run.task.done()


def test_the_loop_is_the_running_one_in_turns_alone(toy: Toy) -> None:
    run: Run[None]

    async def main() -> None:
        for _ in range(3):
            assert asyncio.get_running_loop() is run.loop
            assert asyncio.current_task() is run.task
            toy.call_soon_threadsafe(outside)
            await asyncio.sleep(0.001)

    seen = []

    def outside() -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        seen.append((run.loop.is_running(), sys.get_asyncgen_hooks()))

    hooks = sys.get_asyncgen_hooks()
    run = ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe)
    toy.run_until(run.done)
    run.result()
    assert seen == [(True, hooks)] * 3
    assert not run.loop.is_running()


def test_contextvars_are_those_of_the_start(toy: Toy) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("at the start")

    async def main() -> str:
        value = variable.get()
        variable.set("in main")
        await asyncio.sleep(0.001)
        assert variable.get() == "in main"
        return value

    run = ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe)
    variable.set("later")
    toy.run_until(run.done)
    assert run.result() == "at the start"
    assert variable.get() == "later"


def test_any_awaitable_can_be_main(toy: Toy) -> None:
    class Answer:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0.001).__await__()
            return 42

    assert toy.host(Answer()).result() == 42  # type: ignore[arg-type]


def test_debug_mode(toy: Toy) -> None:
    async def main() -> tuple[bool, int]:
        await asyncio.sleep(0.001)
        return asyncio.get_running_loop().get_debug(), sys.get_coroutine_origin_tracking_depth()

    debug, depth = toy.host(main(), debug=True).result()
    assert debug
    assert depth > 0
    assert sys.get_coroutine_origin_tracking_depth() == 0
    assert toy.host(main(), debug=False).result() == (False, 0)


# Waiting.


def test_an_idle_guest_asks_for_nothing(toy: Toy) -> None:
    reading, writing = socket.socketpair()
    with reading, writing:
        reading.setblocking(False)

        async def main() -> bytes:
            loop = asyncio.get_running_loop()
            loop.call_later(1000, print, "never")
            return await loop.sock_recv(reading, 10)

        run = ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe)

        def is_waiting() -> bool:
            return not run._is_back.is_set() and toy._calls.empty()

        toy.run_until(is_waiting)
        asked = toy.asked
        time.sleep(0.2)
        assert toy.asked == asked
        assert toy._calls.empty()
        writing.send(b"bytes")
        toy.run_until(run.done)
        assert run.result() == b"bytes"


@pytest.mark.parametrize(
    "act",
    [
        lambda loop, event: event.set(),
        lambda loop, event: loop.call_soon(event.set),
        lambda loop, event: loop.call_later(0.001, event.set),
        lambda loop, event: loop.call_at(loop.time(), event.set),
        lambda loop, event: loop.call_soon_threadsafe(event.set),
        lambda loop, event: loop.create_task(set_later(event)),
        lambda loop, event: threading.Thread(
            target=loop.call_soon_threadsafe, args=(event.set,)
        ).start(),
        lambda loop, event: asyncio.run_coroutine_threadsafe(set_later(event), loop),
        lambda loop, event: add_writer(loop, event),
    ],
)
def test_the_hosts_own_code_may_use_the_loop(
    toy: Toy, act: Callable[[asyncio.AbstractEventLoop, asyncio.Event], object]
) -> None:
    event = asyncio.Event()

    async def main() -> bool:
        return await event.wait()

    run = ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe)
    # It sleeps for good.
    toy.run_until(lambda: not run._is_back.is_set())
    act(run.loop, event)
    toy.run_until(run.done)
    assert run.result() is True


async def set_later(event: asyncio.Event) -> None:
    await asyncio.sleep(0.001)
    event.set()


def add_writer(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    pair = socket.socketpair()

    def writable() -> None:
        loop.remove_writer(pair[0])
        for sock in pair:
            sock.close()
        event.set()

    loop.add_writer(pair[0], writable)


def test_a_busy_guest_leaves_the_host_its_turns(toy: Toy) -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    run = ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe)
    calls: list[int] = []

    def call() -> None:
        calls.append(len(calls))
        if len(calls) < 100:
            toy.call_soon_threadsafe(call)
        else:
            run.cancel()

    call()
    toy.run_until(run.done)
    assert len(calls) == 100
    with pytest.raises(asyncio.CancelledError):
        run.result()


def test_threads_executors_and_subprocesses(toy: Toy) -> None:
    async def main() -> tuple[str, bytes, str]:
        loop = asyncio.get_running_loop()
        name = await asyncio.to_thread(lambda: threading.current_thread().name)
        program = "print(input()[::-1])"
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        output, _ = await child.communicate(b"abc\n")
        assert await child.wait() == 0
        found = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        return name, output, str(found[0][4][0])

    name, output, address = toy.host(main()).result()
    assert name.startswith("asyncio_")
    assert (output, address) == (b"cba\n", "127.0.0.1")


def test_tls_streams(toy: Toy, tmp_path: Path) -> None:
    authority = Certificates.make(tmp_path)

    async def main() -> bytes:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(2**16):
                writer.write(data)
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=authority.server())
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=authority.client(), server_hostname="localhost"
            )
            writer.write(b"x" * 2**20)
            received = await reader.readexactly(2**20)
            writer.close()
            with contextlib.suppress(ssl.SSLError):
                await writer.wait_closed()
            return received

    assert toy.host(main()).result() == b"x" * 2**20


def test_asyncio_runs_in_another_thread_meanwhile(toy: Toy) -> None:
    async def other() -> int:
        await asyncio.sleep(0.01)
        return threading.get_ident()

    async def main() -> int:
        return await asyncio.to_thread(lambda: asyncio.run(other()))

    assert toy.host(main()).result() != threading.get_ident()


# Ends.


def test_what_is_left_is_ended_as_by_run(toy: Toy) -> None:
    steps: list[str] = []

    async def generator() -> Any:
        try:
            while True:
                yield
        finally:
            await asyncio.sleep(0)
            steps.append("generator closed")

    async def task() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.001)
            steps.append("task cancelled")

    kept = []

    async def main() -> str:
        each = generator()
        kept.append(each)
        await anext(each)
        kept.append(asyncio.create_task(task()))
        await asyncio.sleep(0)
        await asyncio.to_thread(int)
        return "main"

    run = toy.host(main(), done=lambda run: steps.append("done"))
    assert steps == ["task cancelled", "generator closed", "done"]
    assert run.result() == "main"
    assert not [each for each in threading.enumerate() if each.name.startswith("asyncio_")]


def test_what_a_task_raises_at_the_end_goes_to_the_exception_handler(toy: Toy) -> None:
    reports = []

    async def task() -> None:
        try:
            await forever()
        finally:
            raise ValueError("at the end")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: reports.append(context))
        asyncio.create_task(task())  # noqa: RUF006
        await asyncio.sleep(0)

    toy.host(main()).result()
    (report,) = reports
    assert repr(report["exception"]) == "ValueError('at the end')"


def test_an_exception_of_main_is_that_of_result(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        await asyncio.sleep(0)
        raise ValueError("of main")

    run = toy.host(main())
    for _ in range(2):
        with pytest.raises(ValueError, match="of main"):
            run.result()
    assert caplog.records == []


def test_an_exception_that_nobody_asks_for_is_logged(
    toy: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        raise ValueError("of main")

    toy.host(main())
    join_helpers()
    gc.collect()
    (record,) = caplog.records
    assert "nobody has asked for its result" in record.getMessage()
    assert "ValueError: of main" in caplog.text


def test_result_before_the_end(toy: Toy) -> None:
    run = ferrio.guest.start(asyncio.sleep(0, 1), call_soon_threadsafe=toy.call_soon_threadsafe)
    with pytest.raises(asyncio.InvalidStateError):
        run.result()
    assert "running" in repr(run)
    toy.run_until(run.done)
    assert run.result() == 1
    assert "done" in repr(run)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["main", "callback"])
def test_what_ends_programs_ends_the_guest_and_not_the_host(
    toy: Toy, kind: type[BaseException], where: str
) -> None:
    cleaned = []

    def leave() -> None:
        raise kind(3)

    async def main() -> None:
        try:
            await asyncio.sleep(0)
            if where == "main":
                leave()
            asyncio.get_running_loop().call_soon(leave)
            await forever()
        finally:
            cleaned.append(True)

    run = toy.host(main())
    assert cleaned == [True]
    with pytest.raises(kind):
        run.result()


def test_cancelling(toy: Toy) -> None:
    async def main() -> str:
        try:
            await forever()
        except asyncio.CancelledError as error:
            return str(error)
        raise AssertionError

    run = ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe)
    toy.run_until(lambda: not run._is_back.is_set())
    threading.Thread(target=run.cancel, args=("by a thread",)).start()
    toy.run_until(run.done)
    assert run.result() == "by a thread"
    run.cancel()  # without effect


def test_stop_ends_it_as_it_ends_run(toy: Toy) -> None:
    run = ferrio.guest.start(forever(), call_soon_threadsafe=toy.call_soon_threadsafe)
    toy.run_until(lambda: not run._is_back.is_set())
    run.loop.stop()
    toy.run_until(run.done)
    with pytest.raises(RuntimeError, match="Event loop stopped before Future completed"):
        run.result()


def test_a_done_that_raises_raises_in_the_host(toy: Toy) -> None:
    def done(run: Run[None]) -> None:
        raise ValueError("of done")

    with pytest.raises(ValueError, match="of done"):
        toy.host(asyncio.sleep(0), done=done)


def test_nothing_of_it_is_left(toy: Toy) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    toy.host(asyncio.sleep(0))
    before = descriptors()
    for _ in range(20):
        toy.host(asyncio.sleep(0.0001))
    join_helpers()
    gc.collect()
    assert descriptors() <= before


# A host that ends first.


def test_with_cancels_and_waits(toy: Toy) -> None:
    cleaned = []

    async def main() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.01)
            assert await asyncio.to_thread(lambda: 1) == 1
            cleaned.append(True)

    told: list[Run[None]] = []
    with ferrio.guest.start(
        main(), call_soon_threadsafe=toy.call_soon_threadsafe, done=told.append
    ) as run:
        toy.run_until(lambda: not run._is_back.is_set())
    assert run.done()
    assert cleaned == [True]
    # It is the host's, which has ended.
    assert told == []
    with pytest.raises(asyncio.CancelledError):
        run.result()


def test_with_before_anything_has_run(toy: Toy) -> None:
    ran = []

    async def main() -> None:
        ran.append(True)

    with ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe) as run:
        pass
    assert run.done()
    assert ran == []
    # The host finds this later.
    toy.run_until(toy._calls.empty)


def test_finish_without_the_host(toy: Toy) -> None:
    async def main() -> int:
        await asyncio.sleep(0.01)
        return await asyncio.to_thread(lambda: 5)

    run = ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe)
    assert run.finish() == 5
    assert run.finish() == 5


def test_finish_is_refused_where_it_would_never_end(toy: Toy) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="use `await`"):
            run.finish()
        with pytest.raises(RuntimeError, match="belongs to the thread"):
            await asyncio.to_thread(run.finish)

    run = ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe)
    toy.run_until(run.done)
    run.result()


def test_with_raises_what_main_has_raised_unless_it_was_asked(toy: Toy) -> None:
    async def main() -> None:
        raise ValueError("of main")

    def start() -> Run[None]:
        return ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe)

    with pytest.raises(ValueError, match="of main"), start() as run:
        toy.run_until(run.done)
    with start() as run:
        toy.run_until(run.done)
        with pytest.raises(ValueError, match="of main"):
            run.result()


def test_what_the_host_raises_comes_out_of_with(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        try:
            await forever()
        finally:
            raise ValueError("of main")

    def host() -> None:
        with ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe) as run:
            toy.run_until(lambda: not run._is_back.is_set())
            raise OSError("of the host")

    with pytest.raises(OSError, match="of the host"):
        host()
    assert "ValueError: of main" in caplog.text


def test_a_host_that_refuses_is_logged_and_with_goes_on(
    toy: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    is_open = True

    def call_soon_threadsafe(function: Callable[[], None]) -> None:
        if not is_open:
            raise RuntimeError("the host is closed")
        toy.call_soon_threadsafe(function)

    cleaned = []

    async def main() -> None:
        try:
            await asyncio.sleep(0.05)
            await forever()
        finally:
            cleaned.append(True)

    with ferrio.guest.start(main(), call_soon_threadsafe=call_soon_threadsafe) as run:
        toy.run_until(lambda: not run._is_back.is_set())
        is_open = False
        deadline = time.monotonic() + PATIENCE
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "refuses to run it: RuntimeError('the host is closed')" in caplog.text
    assert cleaned == [True]


def test_a_host_that_refuses_at_once() -> None:
    def call_soon_threadsafe(function: Callable[[], None]) -> None:
        raise RuntimeError("the host is closed")

    main = forever()
    with pytest.raises(RuntimeError, match="the host is closed"):
        ferrio.guest.start(main, call_soon_threadsafe=call_soon_threadsafe)
    assert inspect.getcoroutinestate(main) == "CORO_CLOSED"
    assert not runs


def test_a_host_that_calls_at_once() -> None:
    main = forever()
    with pytest.raises(RuntimeError, match="left to the host's loop"):
        ferrio.guest.start(main, call_soon_threadsafe=lambda function: function())
    assert inspect.getcoroutinestate(main) == "CORO_CLOSED"
    assert not runs


def test_a_turn_in_another_thread(toy: Toy) -> None:
    run = ferrio.guest.start(asyncio.sleep(0), call_soon_threadsafe=toy.call_soon_threadsafe)
    call = toy._calls.get()
    refusals = []

    def in_a_thread() -> None:
        try:
            call()
        except RuntimeError as refusal:
            refusals.append(str(refusal))

    thread = threading.Thread(target=in_a_thread, name="another one")
    thread.start()
    thread.join()
    assert refusals == [
        "a turn of a guest belongs to the thread in which the guest was started; "
        "this is 'another one'"
    ]
    call()
    toy.run_until(run.done)
    run.result()


# Wrong use.


def test_wrong_arguments(toy: Toy) -> None:
    host: Any = toy.call_soon_threadsafe
    with pytest.raises(TypeError, match="a coroutine or an awaitable is needed, got 5"):
        ferrio.guest.start(5, call_soon_threadsafe=host)  # type: ignore[arg-type]
    main = forever()
    with pytest.raises(TypeError, match="call_soon_threadsafe must be a function"):
        ferrio.guest.start(main, call_soon_threadsafe=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="done must be a function"):
        ferrio.guest.start(main, call_soon_threadsafe=host, done=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"only a ferrio\.Loop can be a guest"):
        ferrio.guest.start(
            main,
            call_soon_threadsafe=host,
            loop_factory=asyncio.SelectorEventLoop,  # type: ignore[arg-type]
        )
    with pytest.raises(RuntimeError, match="in virtual time"):
        ferrio.guest.start(main, call_soon_threadsafe=host, loop_factory=VirtualTimeLoop)
    main.close()


def test_its_loop_can_neither_be_run_nor_closed(toy: Toy) -> None:
    run = ferrio.guest.start(asyncio.sleep(0), call_soon_threadsafe=toy.call_soon_threadsafe)
    with pytest.raises(RuntimeError, match="already running"):
        run.loop.run_forever()
    with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
        run.loop.close()
    toy.run_until(run.done)
    run.result()


# Hosts that are loops of asyncio's kind, and other guests.


@pytest.mark.parametrize("run_host", [asyncio.run, ferrio.run])
def test_asyncio_is_a_host(run_host: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    async def guest(host: asyncio.AbstractEventLoop) -> str:
        loop = asyncio.get_running_loop()
        assert loop is not host
        task = asyncio.current_task()
        for _ in range(5):
            await asyncio.sleep(0.001)
            assert asyncio.get_running_loop() is loop
            assert asyncio.current_task() is task
        return "guest"

    async def main() -> None:
        host, this = asyncio.get_running_loop(), asyncio.current_task()
        has_ended = asyncio.Event()
        run = ferrio.guest.start(
            guest(host),
            call_soon_threadsafe=host.call_soon_threadsafe,
            call_soon=host.call_soon,
            done=lambda run: has_ended.set(),
        )
        while not has_ended.is_set():
            await asyncio.sleep(0.0005)
            assert asyncio.get_running_loop() is host
            assert asyncio.current_task() is this
        assert run.result() == "guest"
        # Nested, out of a task of the host's.
        with ferrio.guest.start(forever(), call_soon_threadsafe=host.call_soon_threadsafe) as run2:
            await asyncio.sleep(0.01)
        assert run2.done()
        assert asyncio.get_running_loop() is host
        assert asyncio.current_task() is this
        assert all(task.get_loop() is host for task in asyncio.all_tasks())

    run_host(main())


def test_a_guest_in_a_guest_and_two_at_once(toy: Toy) -> None:
    async def inner(number: int) -> int:
        await asyncio.sleep(0.002)
        return number

    async def main(number: int) -> int:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Run[int]] = loop.create_future()
        run = ferrio.guest.start(
            inner(number), call_soon_threadsafe=loop.call_soon_threadsafe, done=ended.set_result
        )
        assert await ended is run
        await asyncio.sleep(0.001)
        return run.result() + 1

    both = [
        ferrio.guest.start(main(number), call_soon_threadsafe=toy.call_soon_threadsafe)
        for number in (1, 10)
    ]
    toy.run_until(lambda: all(run.done() for run in both))
    assert [run.result() for run in both] == [2, 11]


# Signals, and the end of the process.


def run_program(
    source: str,
    *,
    until: str = "ready",
    send: int | None = None,
    via: tuple[str, ...] = (),
    arguments: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
) -> tuple[int, str, str]:
    """A program that has Toy as `toy`, to which a signal is sent once it says that it is ready."""
    head = textwrap.dedent(
        """
        import asyncio, os, queue, signal, sys, threading, time
        import ferrio

        class Toy:
            def __init__(self):
                self.calls = queue.SimpleQueue()
            def call_soon_threadsafe(self, function):
                self.calls.put(function)
            def run_until(self, is_over):
                while not is_over():
                    self.calls.get(timeout=60)()

        toy = Toy()
        """
    )
    words = [sys.executable, *via, "-c", head + textwrap.dedent(source), *arguments]
    child = subprocess.Popen(
        words,
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    before = ""
    if send is not None:
        while until not in before:
            line = child.stdout.readline()
            assert line, child.communicate()
            before += line
        child.send_signal(send)
    output, errors = child.communicate(timeout=PATIENCE)
    return child.returncode, before + output, errors


#: The host waits where no signal handler of Python's runs, as Tk and Qt do: in C, and again when a
#: signal has come.
WAITING_IN_C = """
import ctypes
reading, writing = os.pipe()
read = ctypes.CDLL(None).read

def call_soon_threadsafe(function):
    toy.calls.put(function)
    os.write(writing, b"x")

def run_until(is_over):
    buffer = ctypes.create_string_buffer(1)
    while not is_over():
        if read(reading, buffer, 1) == 1:
            toy.calls.get()()
"""


def test_ctrl_c_cancels_main_though_the_host_waits_in_c() -> None:
    status, output, errors = run_program(
        WAITING_IN_C
        + """
async def main():
    try:
        print("ready", flush=True)
        await asyncio.get_running_loop().create_future()
    finally:
        await asyncio.sleep(0.01)
        print("cleaned up", flush=True)

run = ferrio.guest.start(main(), call_soon_threadsafe=call_soon_threadsafe)
signal.siginterrupt(signal.SIGINT, False)  # the read goes on after the signal
run_until(run.done)
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
run.result()
""",
        send=signal.SIGINT,
    )
    assert output == "ready\ncleaned up\n"
    assert errors.endswith("KeyboardInterrupt\n")
    assert status == -signal.SIGINT


def test_a_second_ctrl_c_interrupts_the_host() -> None:
    status, output, errors = run_program(
        """
        async def main():
            while True:
                try:
                    await asyncio.get_running_loop().create_future()
                except asyncio.CancelledError:
                    print("refused", flush=True)
                    toy.call_soon_threadsafe(lambda: signal.raise_signal(signal.SIGINT))

        run = ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe)
        toy.call_soon_threadsafe(lambda: signal.raise_signal(signal.SIGINT))
        try:
            toy.run_until(run.done)
        except KeyboardInterrupt:
            print("interrupted")
        os._exit(0)
        """
    )
    assert (status, output, errors) == (0, "refused\ninterrupted\n", "")


def test_who_handles_ctrl_c_goes_on_handling_it() -> None:
    status, output, errors = run_program(
        """
        handler = lambda *_: print("handled", flush=True)
        async def main():
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0.01)

        signal.signal(signal.SIGINT, handler)
        run = ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe)
        toy.run_until(run.done)
        run.result()
        assert signal.getsignal(signal.SIGINT) is handler

        signal.signal(signal.SIGINT, signal.default_int_handler)
        run = ferrio.guest.start(
            main(), call_soon_threadsafe=toy.call_soon_threadsafe, handle_sigint=False
        )
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        toy.run_until(run.done)
        try:
            run.result()
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert (status, output, errors) == (0, "handled\ninterrupted\n", "")


def test_signal_handlers_of_the_loop() -> None:
    status, output, errors = run_program(
        """
        async def main():
            received = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, received.set)
            print("ready", flush=True)
            await received.wait()
            print("received")

        run = ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe)
        toy.run_until(run.done)
        run.result()
        """,
        send=signal.SIGUSR1,
    )
    assert (status, output, errors) == (0, "ready\nreceived\n", "")


def test_sigterm_under_ferrio_run_is_as_gentle_as_elsewhere() -> None:
    status, output, errors = run_program(
        """
        async def main():
            try:
                print("ready", flush=True)
                await asyncio.get_running_loop().create_future()
            finally:
                print("cleaned up", flush=True)

        with ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe) as run:
            toy.run_until(run.done)
        """,
        send=signal.SIGTERM,
        via=("-m", "ferrio", "run"),
    )
    assert (output, errors) == ("ready\ncleaned up\n", "")
    assert status == -signal.SIGTERM


def test_a_program_that_ends_before_its_guest_says_so() -> None:
    status, output, errors = run_program(
        """
        async def main():
            await asyncio.get_running_loop().create_future()

        run = ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe)
        toy.run_until(lambda: not run._is_back.is_set())
        print("end")
        """
    )
    assert (status, output) == (0, "end\n")
    (line,) = errors.splitlines()
    assert "the program ends before its guest <coroutine object main" in line
    assert "`with ferrio.guest.start(...):`" in line


def test_ctrl_c_in_a_forked_child_is_the_childs() -> None:
    status, output, errors = run_program(
        """
        import warnings
        warnings.simplefilter("ignore")  # of forking beside threads

        async def main():
            if (child := os.fork()) == 0:
                try:
                    signal.raise_signal(signal.SIGINT)
                    print("ignored", flush=True)
                except KeyboardInterrupt:
                    print("interrupted", flush=True)
                os._exit(0)
            os.waitpid(child, 0)
            await asyncio.get_running_loop().create_future()

        with ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe) as run:
            toy.run_until(lambda: not run._is_back.is_set())
            signal.raise_signal(signal.SIGINT)
            toy.run_until(run.done)
        """
    )
    # The parent's guest goes on handling its own.
    assert (status, output) == (-signal.SIGINT, "interrupted\n"), errors
    assert errors.endswith("KeyboardInterrupt\n")


@pytest.mark.parametrize("host", ["asyncio.SelectorEventLoop", "uvloop.Loop", "ferrio.Loop"])
def test_signals_reach_host_and_guest(host: str) -> None:
    if host.startswith("uvloop"):
        pytest.importorskip("uvloop")
    status, output, errors = run_program(
        f"""
        import {host.partition(".")[0]}

        async def guest():
            loop = asyncio.get_running_loop()
            for _ in range(2):
                received = asyncio.Event()
                loop.add_signal_handler(signal.SIGUSR1, received.set)
                os.kill(os.getpid(), signal.SIGUSR1)
                await asyncio.wait_for(received.wait(), {PATIENCE})
                print("guest")
                # Those that are left are removed when the loop is closed.
                assert _ or loop.remove_signal_handler(signal.SIGUSR1)
            return "end"

        async def main():
            loop = asyncio.get_running_loop()

            async def host_receives():
                received = asyncio.Event()
                loop.add_signal_handler(signal.SIGUSR2, received.set)
                for _ in range(2):
                    os.kill(os.getpid(), signal.SIGUSR2)
                    await asyncio.wait_for(received.wait(), {PATIENCE})
                    received.clear()
                    print("host")
                    yield

            receives = host_receives()
            if "before" in sys.argv:
                await anext(receives)
            ended = loop.create_future()
            ferrio.guest.start(
                guest(),
                call_soon_threadsafe=loop.call_soon_threadsafe,
                done=lambda run: ended.set_result(run.result()),
            )
            print(await ended)
            assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
            await anext(receives)

        with asyncio.Runner(loop_factory={host}) as runner:
            runner.run(main())
        """,
        arguments=("before",),
    )
    assert (status, output, errors) == (0, "host\nguest\nguest\nend\nhost\n", "")


def test_signal_handlers_are_refused_as_ever(toy: Toy) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(ValueError, match="invalid signal number 1000"):
            loop.add_signal_handler(1000, print)
        with pytest.raises(RuntimeError, match="cannot be caught"):
            loop.add_signal_handler(signal.SIGKILL, print)
        assert not loop.remove_signal_handler(signal.SIGUSR1)

    before = signal.set_wakeup_fd(-1)
    try:
        toy.host(main()).result()
    finally:
        assert signal.set_wakeup_fd(before) == -1

    async def in_a_thread() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(RuntimeError, match="main thread"):
            loop.add_signal_handler(signal.SIGUSR1, print)
        assert not loop.remove_signal_handler(signal.SIGUSR1)

    with ThreadPoolExecutor() as threads:
        threads.submit(lambda: Toy().host(in_a_thread()).result()).result()


def test_forked_children_have_no_guest() -> None:
    status, output, errors = run_program(
        """
        async def main():
            await asyncio.get_running_loop().create_future()

        with ferrio.guest.start(main(), call_soon_threadsafe=toy.call_soon_threadsafe) as run:
            toy.run_until(lambda: not run._is_back.is_set())
            if (child := os.fork()) == 0:
                print("child", ferrio.run(asyncio.sleep(0.001, 1)), flush=True)
                os._exit(7)
            print("parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print("end")
        """
    )
    assert (status, output) == (0, "child 1\nparent 7\nend\n")
    # From 3.12 on forking beside threads is warned of.
    assert errors == "" or "DeprecationWarning" in errors.splitlines()[0]
    assert len(errors.splitlines()) <= 2


# Qt and Tk.


def program_of_the_page(title: str) -> str:
    """A program of docs/guest.md."""
    page = Path("docs/guest.md")
    blocks = blocks_of(page, (ROOT / page).read_text())
    return next(block.text for block in blocks if block.title == title)


def test_the_pages_window(tmp_path: Path) -> None:
    if importlib.util.find_spec("_tkinter") is None:
        pytest.skip("this interpreter was built without tkinter")
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (apt-get install xvfb)")
    from tests.cookbook.displays import Display

    with Display() as display:
        done = subprocess.run(
            [sys.executable, "-c", program_of_the_page("window.py")],
            env=os.environ | {"DISPLAY": display.name},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", "")


TK = """
    import tkinter
    root = tkinter.Tk()
    label = tkinter.Label(root, text="x")
    label.pack()
    idle, ticks = [], []

    def tick():
        ticks.append(1)
        root.after(1, tick)

    async def main():
        tick()
        root.after_idle(idle.append, 1)
        seen = len(ticks)
        while len(ticks) < seen + 3 or not idle:
            # A guest that always has something to do.
            await asyncio.sleep(0)
        label["text"] = await asyncio.to_thread(lambda: "from a thread")
        assert threading.current_thread() is threading.main_thread()
        print("ready", flush=True)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            print("cleaned up", flush=True)

    def ended(run):
        root.destroy()

    with ferrio.guest.start_in_tk(main(), root, done=ended) as run:
        if len(sys.argv) > 1:
            root.after(300, root.destroy)
        root.mainloop()
    print("left")
"""


TK_MAIN_CLOSES = """
    import tkinter
    root = tkinter.Tk()

    async def main():
        await asyncio.sleep(0.01)
        root.destroy()
        return "result"

    with ferrio.guest.start_in_tk(main(), root) as run:
        root.mainloop()
    print(run.result())
"""


def test_tk() -> None:
    if importlib.util.find_spec("_tkinter") is None:
        pytest.skip("this interpreter was built without tkinter")
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (apt-get install xvfb)")
    from tests.cookbook.displays import Display

    with Display() as display:
        environment = {"DISPLAY": display.name}
        status, output, errors = run_program(TK, send=signal.SIGINT, environment=environment)
        assert output == "ready\ncleaned up\n", errors
        assert errors.endswith("KeyboardInterrupt\n")
        assert status == -signal.SIGINT
        # The window is closed first.
        early = run_program(TK, arguments=("early",), environment=environment)
        assert early == (0, "ready\ncleaned up\nleft\n", "")
        # And by main, as the last that it does.
        closed = run_program(TK_MAIN_CLOSES, environment=environment)
        assert closed == (0, "result\n", "")


def qt_bindings() -> list[str]:
    return [name for name in ("PySide6", "PyQt6", "PyQt5") if importlib.util.find_spec(name)]


QT = """
    import importlib
    QtCore = importlib.import_module("{binding}.QtCore")
    app = QtCore.QCoreApplication([])
    ticks = []
    timer = QtCore.QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(1)

    async def main():
        for _ in range(2000):
            await asyncio.sleep(0)
        assert ticks, "a busy guest keeps Qt from its timers"
        seen = len(ticks)
        while len(ticks) < seen + 5:
            await asyncio.sleep(0.002)
        assert await asyncio.to_thread(lambda: 5) == 5
        assert threading.current_thread() is threading.main_thread()
        print("ready", flush=True)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            print("cleaned up", flush=True)

    with ferrio.guest.start_in_qt(main(), done=lambda run: app.quit()) as run:
        app.exec()
"""


def test_qt() -> None:
    bindings = qt_bindings()
    if not bindings:
        pytest.skip("none of PySide6, PyQt6, PyQt5 is installed (pip install pyside6-essentials)")
    for binding in bindings:
        status, output, errors = run_program(QT.format(binding=binding), send=signal.SIGINT)
        assert output == "ready\ncleaned up\n", errors
        assert errors.endswith("KeyboardInterrupt\n")
        assert status == -signal.SIGINT


def test_the_pages_qt_window() -> None:
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    probe = [sys.executable, "-c", "import PySide6.QtWidgets"]
    if subprocess.run(probe, env=environment, capture_output=True, check=False).returncode:
        pytest.skip("PySide6.QtWidgets cannot be imported (pip install pyside6-essentials)")
    done = subprocess.run(
        [sys.executable, "-c", program_of_the_page("qt_window.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "closed\n"), done.stderr


def test_qt_that_is_not_imported() -> None:
    main = forever()
    if any(f"{name}.QtCore" in sys.modules for name in ("PySide6", "PyQt6", "PySide2", "PyQt5")):
        pytest.skip("something else in this process has imported Qt")
    with pytest.raises(RuntimeError, match="no Qt is imported; import one of PySide6, PyQt6"):
        ferrio.guest.start_in_qt(main)
    main.close()
