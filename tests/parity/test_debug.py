"""Debug mode: what it finds, refuses and logs."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from tests import loops

from .trace import Trace
from .twin import Loop, twin


@twin
def test_debug_can_be_switched(trace: Trace, loop: Loop) -> None:
    values: list[Any] = [True, False, 1, 0]
    for value in values:
        loop.set_debug(value)
        trace("debug", bool(loop.get_debug()))


@twin
def test_debug_can_be_switched_while_running(trace: Trace, loop: Loop) -> None:
    async def main() -> None:
        for value in (True, False, True):
            loop.set_debug(value)
            trace("tracking", sys.get_coroutine_origin_tracking_depth() > 0)
            await asyncio.sleep(0)
            trace("tracking a turn later", sys.get_coroutine_origin_tracking_depth() > 0)

    loop.run_until_complete(main())
    trace("afterwards", sys.get_coroutine_origin_tracking_depth())


@twin
def test_slow_callbacks_are_logged(trace: Trace, loop: Loop) -> None:
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    trace.shows_slow_callbacks = True
    loop.set_debug(True)
    trace("default", loop.slow_callback_duration)
    loop.slow_callback_duration = 0.02
    loop.call_soon(time.sleep, 0.05)
    # Read after the call: from here on nothing is slow, however busy the machine.
    loop.call_soon(setattr, loop, "slow_callback_duration", 3600)
    loop.call_soon(loop.stop)
    loop.run_forever()


@twin
def test_slow_steps_of_tasks_are_logged(trace: Trace, loop: Loop) -> None:
    async def slow() -> None:
        time.sleep(0.05)
        loop.call_soon(setattr, loop, "slow_callback_duration", 3600)

    trace.shows_slow_callbacks = True
    loop.set_debug(True)
    loop.slow_callback_duration = 0.02
    loop.run_until_complete(loop.create_task(slow(), name="slow task"))


@twin
def test_slow_callbacks_are_not_logged_without_debug(trace: Trace, loop: Loop) -> None:
    trace.shows_slow_callbacks = True
    loop.set_debug(False)
    loop.slow_callback_duration = 0.001
    loop.call_soon(time.sleep, 0.01)
    loop.call_soon(loop.stop)
    loop.run_forever()
    trace("ran")


@pytest.mark.parametrize("method", ["call_soon", "call_later", "call_at"])
@twin
def test_calls_from_another_thread_are_refused(trace: Trace, loop: Loop, method: str) -> None:
    def intrude() -> None:
        with trace.raises():
            match method:
                case "call_soon":
                    loop.call_soon(print)
                case "call_later":
                    loop.call_later(1, print)
                case "call_at":
                    loop.call_at(1, print)
        loop.call_soon_threadsafe(loop.stop)

    loop.set_debug(True)
    thread = threading.Thread(target=intrude)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()


@twin
def test_calls_before_the_run_are_accepted_from_any_thread(trace: Trace, loop: Loop) -> None:
    loop.set_debug(True)
    thread = threading.Thread(target=loop.call_soon, args=(trace, "from a thread"))
    thread.start()
    thread.join()
    loop.call_soon(loop.stop)
    loop.run_forever()


@pytest.mark.parametrize("debug", [False, True])
@twin
def test_what_is_no_callback(trace: Trace, loop: Loop, debug: bool) -> None:
    async def coroutine_function() -> None: ...

    loop.set_debug(debug)
    coroutine = coroutine_function()
    for value in (coroutine_function, coroutine, None, 5, "text"):
        trace.hide(f"{coroutine_function.__qualname__}", "coroutine_function")
        with trace.raises("call_soon"):
            loop.call_soon(value)  # type: ignore[arg-type]
        with trace.raises("call_soon_threadsafe"):
            loop.call_soon_threadsafe(value)  # type: ignore[arg-type]
        with trace.raises("call_later"):
            loop.call_later(1000, value)  # type: ignore[arg-type]
        with trace.raises("call_at"):
            loop.call_at(1e9, value)  # type: ignore[arg-type]
    coroutine.close()


@twin
def test_a_handle_knows_where_it_was_made(trace: Trace, loop: Loop) -> None:
    loop.set_debug(True)
    for handle in (
        loop.call_soon(print),
        loop.call_later(100, print),
        loop.call_at(loop.time() + 100, print),
        loop.call_soon_threadsafe(print),
    ):
        frame = handle._source_traceback[-1]  # type: ignore[attr-defined]
        trace("made in", os.path.basename(frame.filename), frame.name)
        handle.cancel()
        trace("repr", repr(handle))


@twin
def test_the_handler_is_given_the_source_traceback(trace: Trace, loop: Loop) -> None:
    loop.set_debug(True)
    loop.set_exception_handler(trace.exception_handler)

    def fail() -> None:
        raise ValueError("callback")

    loop.call_soon(fail)
    loop.call_later(0, fail)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()


@twin
def test_a_task_knows_where_it_was_made(trace: Trace, loop: Loop) -> None:
    async def main() -> None:
        task = asyncio.create_task(asyncio.sleep(0))
        frame = task._source_traceback[-1]  # type: ignore[attr-defined]
        trace("made in", os.path.basename(frame.filename), frame.name)
        await task

    loop.set_debug(True)
    loop.run_until_complete(main())


@twin
def test_a_coroutine_that_nobody_awaited_says_where_it_was_made(trace: Trace, loop: Loop) -> None:
    async def forgotten() -> None: ...

    async def main() -> None:
        forgotten()  # type: ignore[unused-coroutine]
        gc.collect()

    loop.set_debug(True)
    # On a loaded machine, the collection may be slow.
    loop.slow_callback_duration = 60
    loop.run_until_complete(main())
    trace("ran")


@twin
def test_debug_shows_in_the_repr(trace: Trace, loop: Loop) -> None:
    loop.set_debug(True)
    text = repr(loop)
    trace("repr", "running=False" in text, "closed=False" in text, "debug=True" in text)


@pytest.mark.parametrize("variable", ["", "0", "1"])
@pytest.mark.parametrize("options", [(), ("-X", "dev"), ("-E",), ("-I",)])
def test_debug_is_on_when_the_interpreter_says_so(
    request: pytest.FixtureRequest, options: tuple[str, ...], variable: str
) -> None:
    def ask(name: str) -> str:
        module, _, attribute = loops.check_name(name).partition(":")
        code = (
            f"import {module} as m; loop = m.{attribute}(); print(loop.get_debug()); loop.close()"
        )
        return subprocess.check_output(
            [sys.executable, *options, "-c", code],
            env={**os.environ, "PYTHONASYNCIODEBUG": variable},
            text=True,
        )

    assert ask(request.config.getoption("--loop")) == ask(loops.REFERENCE)


@twin
def test_unclosed_transports_warn(trace: Trace, loop: Loop) -> None:
    async def main() -> None:
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        transport, _ = await loop.create_connection(asyncio.Protocol, *address)
        await asyncio.sleep(0.01)
        server.close()
        trace("transport", transport.is_closing())

    loop.run_until_complete(main())
    loop.close()
    gc.collect()


@twin
def test_slow_getaddrinfo_is_not_logged_when_quick(trace: Trace, loop: Loop) -> None:
    loop.set_debug(True)
    trace("addresses", loop.run_until_complete(loop.getaddrinfo("127.0.0.1", 80)) != [])
