"""Where exceptions go that no caller can catch: handler, its context's keys, the log."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import socket
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from .trace import Trace
from .twin import Loop, twin


def fail(error: BaseException) -> None:
    raise error


def run_turns(loop: Loop, turns: int = 2) -> None:
    for _ in range(turns):
        loop.call_soon(loop.stop)
        loop.run_forever()


@twin
def test_a_failing_callback_is_logged_and_the_next_one_runs(trace: Trace, loop: Loop) -> None:
    loop.call_soon(fail, ValueError("from call_soon"))
    loop.call_soon(trace, "next")
    loop.call_later(0, fail, ValueError("from call_later"))
    loop.call_soon_threadsafe(fail, ValueError("from call_soon_threadsafe"))
    run_turns(loop, 4)


@twin
def test_a_failing_callback_goes_to_the_handler(trace: Trace, loop: Loop) -> None:
    loop.set_exception_handler(trace.exception_handler)
    loop.call_soon(fail, ValueError("from call_soon"))
    loop.call_later(0, fail, ValueError("from call_later"))
    run_turns(loop, 4)


@twin
def test_a_task_nobody_awaited_goes_to_the_handler(trace: Trace, loop: Loop) -> None:
    async def failing() -> None:
        raise LookupError("nobody asks")

    loop.set_exception_handler(trace.exception_handler)
    loop.create_task(failing())
    run_turns(loop, 3)
    gc.collect()


@twin
def test_a_future_nobody_awaited_goes_to_the_handler(trace: Trace, loop: Loop) -> None:
    loop.set_exception_handler(trace.exception_handler)
    future = loop.create_future()
    future.set_exception(LookupError("nobody asks"))
    del future
    gc.collect()
    trace("collected")


@twin
def test_a_pending_task_that_is_destroyed_goes_to_the_handler(trace: Trace, loop: Loop) -> None:
    async def wait_for_ever(future: asyncio.Future[None]) -> None:
        await future

    loop.set_exception_handler(trace.exception_handler)
    task = loop.create_task(wait_for_ever(loop.create_future()))
    run_turns(loop)
    del task
    gc.collect()
    trace("collected")


@twin
def test_a_failing_done_callback_goes_to_the_handler(trace: Trace, loop: Loop) -> None:
    loop.set_exception_handler(trace.exception_handler)
    future = loop.create_future()
    future.add_done_callback(lambda _: fail(ValueError("done callback")))
    future.add_done_callback(lambda _: trace("the other done callback"))
    future.set_result(None)
    run_turns(loop, 3)


@twin
def test_a_failing_handler_is_logged(trace: Trace, loop: Loop) -> None:
    def broken(loop: Loop, context: dict[str, Any]) -> None:
        trace("handler", context["message"])
        raise ZeroDivisionError("handler is broken")

    loop.set_exception_handler(broken)
    loop.call_soon(fail, ValueError("callback"))
    run_turns(loop)


@twin
def test_a_base_exception_of_the_handler_ends_the_run(trace: Trace, loop: Loop) -> None:
    def broken(loop: Loop, context: dict[str, Any]) -> None:
        raise SystemExit(7)

    loop.set_exception_handler(broken)
    loop.call_soon(fail, ValueError("callback"))
    with trace.raises():
        loop.run_forever()
    trace("running", loop.is_running())


@twin
def test_call_exception_handler_with_an_arbitrary_context(trace: Trace, loop: Loop) -> None:
    loop.call_exception_handler({"message": "by hand", "anything": 5})
    loop.call_exception_handler({"message": "with exception", "exception": ValueError("x")})
    loop.call_exception_handler({"anything": "no message"})
    loop.set_exception_handler(lambda loop, context: trace("handler", sorted(context.items())))
    loop.call_exception_handler({"message": "by hand", "anything": 5})
    loop.call_exception_handler({})


@twin
def test_default_exception_handler_logs_what_is_known(trace: Trace, loop: Loop) -> None:
    future = loop.create_future()
    loop.default_exception_handler({"message": "m", "future": future})
    loop.default_exception_handler({"message": "m", "exception": OSError(5, "io"), "z": 1, "a": 2})
    loop.default_exception_handler({})
    future.cancel()


@twin
def test_handler_can_be_read_and_reset(trace: Trace, loop: Loop) -> None:
    trace("default", loop.get_exception_handler())
    loop.set_exception_handler(trace.exception_handler)
    trace("set", loop.get_exception_handler() == trace.exception_handler)
    loop.set_exception_handler(None)
    trace("reset", loop.get_exception_handler())
    for wrong in (5, "text", object()):
        with trace.raises():
            loop.set_exception_handler(wrong)  # type: ignore[arg-type]


@twin
def test_the_handler_runs_in_the_context_of_what_failed(trace: Trace, loop: Loop) -> None:
    variable = contextvars.ContextVar("variable", default="outside")

    def handler(loop: Loop, context: dict[str, Any]) -> None:
        trace("handler sees", variable.get())

    def set_and_fail() -> None:
        variable.set("callback")
        raise ValueError

    async def task() -> None:
        variable.set("task")
        loop.call_soon(fail, ValueError())
        raise ValueError

    loop.set_exception_handler(handler)
    loop.call_soon(set_and_fail)
    given = contextvars.copy_context()
    given.run(variable.set, "given")
    loop.call_soon(fail, ValueError(), context=given)
    loop.call_later(0, fail, ValueError(), context=given)
    loop.create_task(task())
    run_turns(loop, 5)
    gc.collect()
    trace("outside", variable.get())


@twin
def test_an_exception_is_reported_once(trace: Trace, loop: Loop) -> None:
    async def failing() -> None:
        raise ValueError("asked for")

    async def main() -> None:
        task = loop.create_task(failing())
        await asyncio.sleep(0)
        try:
            await task
        except ValueError as error:
            trace("caught", error)

    loop.set_exception_handler(trace.exception_handler)
    loop.run_until_complete(main())
    gc.collect()


@twin
def test_cancelled_error_of_a_callback_is_reported(trace: Trace, loop: Loop) -> None:
    loop.set_exception_handler(trace.exception_handler)
    loop.call_soon(fail, asyncio.CancelledError("in a callback"))
    loop.call_soon(fail, GeneratorExit("in a callback"))
    loop.call_soon(fail, StopIteration("in a callback"))
    run_turns(loop)


@twin
def test_a_handler_that_closes_over_the_loop_can_stop_it(trace: Trace, loop: Loop) -> None:
    def handler(loop: Loop, context: dict[str, Any]) -> None:
        trace("handler", context["exception"])
        loop.stop()

    loop.set_exception_handler(handler)
    loop.call_soon(fail, ValueError("stop"))
    loop.run_forever()
    trace("stopped")


@pytest.mark.parametrize("method", ["call_soon", "call_later", "call_soon_threadsafe"])
@twin
def test_a_handler_that_keeps_the_handle_makes_no_cycle_for_ever(
    trace: Trace, loop: Loop, method: str
) -> None:
    class Keeper:
        handle: asyncio.Handle

        def keep(self, _: Loop, context: dict[str, Any]) -> None:
            self.handle = context["handle"]

        def fail(self) -> None:
            raise ValueError

    keeper = Keeper()
    loop.set_exception_handler(keeper.keep)
    schedule = getattr(loop, method)
    schedule(*([0] if method == "call_later" else []), keeper.fail)
    run_turns(loop, 4)
    alive = weakref.ref(keeper)
    trace("kept", keeper.handle.cancelled())
    loop.set_exception_handler(None)
    del keeper
    gc.collect()
    trace("alive", alive() is not None)


@twin
def test_the_handler_is_called_where_the_exception_is_handled(trace: Trace, loop: Loop) -> None:
    """Many print what `sys.exc_info()` says, and what they raise has a context."""

    class Failing(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            raise ValueError("data_received")

        def eof_received(self) -> None:
            raise ValueError("eof_received")

        def connection_lost(self, error: Exception | None) -> None:
            raise ValueError("connection_lost")

    class FailingBuffered(asyncio.BufferedProtocol):
        def get_buffer(self, hint: int) -> bytearray:
            raise ValueError("get_buffer")

    class FailingDatagrams(asyncio.DatagramProtocol):
        def error_received(self, error: Exception) -> None:
            trace("error_received", sys.exception() is error)
            raise LookupError("error_received")

    def handler(loop: Loop, context: dict[str, Any]) -> None:
        handled = sys.exception()
        trace(context["message"], handled, handled is context.get("exception"))
        try:
            raise KeyError("handler")
        except KeyError as error:
            trace("amid", error.__context__)

    async def main() -> None:
        loop.call_soon(fail, ValueError("from call_soon"))
        loop.call_later(0, fail, ValueError("from call_later"))
        future = loop.create_future()
        future.add_done_callback(lambda _: fail(ValueError("done callback")))
        future.set_result(None)
        deeds: tuple[tuple[Any, Callable[[socket.socket], object]], ...] = (
            (Failing, lambda peer: peer.send(b"data")),
            (Failing, lambda peer: peer.shutdown(socket.SHUT_WR)),
            (FailingBuffered, lambda peer: peer.send(b"data")),
        )
        for protocol, deed in deeds:
            ours, peer = socket.socketpair()
            await loop.create_connection(protocol, sock=ours)
            deed(peer)
            await asyncio.sleep(0.01)
            peer.close()
        peer = socket.socket(type=socket.SOCK_DGRAM)
        peer.bind(("127.0.0.1", 0))
        address = peer.getsockname()
        transport, _ = await loop.create_datagram_endpoint(FailingDatagrams, remote_addr=address)
        with trace.raises():
            try:
                transport.sendto(b"x" * 300_000)
            except LookupError as error:
                trace("amid", error.__context__)
                raise
        transport.close()
        peer.close()
        await asyncio.sleep(0.01)

    loop.set_exception_handler(handler)
    loop.run_until_complete(main())
