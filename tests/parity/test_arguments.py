"""Bad arguments: which are refused, and how."""

from __future__ import annotations

import asyncio
import inspect
import math
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from .trace import Trace
from .twin import Loop, twin

CALLS: dict[str, Callable[[Loop], Any]] = {
    "call_later without arguments": lambda loop: loop.call_later(),  # type: ignore[call-arg]
    "call_later without callback": lambda loop: loop.call_later(1),  # type: ignore[call-arg]
    "call_later None": lambda loop: loop.call_later(None, print),  # type: ignore[arg-type]
    "call_later text": lambda loop: loop.call_later("1", print),  # type: ignore[arg-type]
    "call_at None": lambda loop: loop.call_at(None, print),  # type: ignore[arg-type]
    "call_soon without callback": lambda loop: loop.call_soon(),  # type: ignore[call-arg]
    "call_soon wrong context": lambda loop: loop.call_soon(print, context=5),  # type: ignore[arg-type]
    "run_until_complete without argument": lambda loop: loop.run_until_complete(),  # type: ignore[call-arg]
    "set_debug without argument": lambda loop: loop.set_debug(),  # type: ignore[call-arg]
    "stop with argument": lambda loop: loop.stop(5),  # type: ignore[call-arg]
    "close with argument": lambda loop: loop.close(5),  # type: ignore[call-arg]
    "create_future with argument": lambda loop: loop.create_future(5),  # type: ignore[call-arg]
    "call_exception_handler None": lambda loop: loop.call_exception_handler(None),  # type: ignore[arg-type]
    "add_reader without arguments": lambda loop: loop.add_reader(),  # type: ignore[call-arg]
    "remove_reader without argument": lambda loop: loop.remove_reader(),  # type: ignore[call-arg]
    "add_signal_handler without arguments": lambda loop: loop.add_signal_handler(),  # type: ignore[call-arg]
    "run_in_executor without arguments": lambda loop: loop.run_in_executor(),  # type: ignore[call-arg]
}


@pytest.mark.parametrize("call", CALLS)
@twin
def test_a_wrong_call(trace: Trace, loop: Loop, call: str) -> None:
    try:
        result = CALLS[call](loop)
    except Exception as error:
        trace(call, error)
    else:
        trace(call, "accepted")
        if hasattr(result, "cancel"):
            result.cancel()


@pytest.mark.parametrize("delay", [math.nan, -math.inf, math.inf, -1e300, 1e300, 10**30, True])
@twin
def test_odd_delays(trace: Trace, loop: Loop, delay: Any) -> None:
    for call in (loop.call_later, loop.call_at):
        try:
            handle = call(delay, trace, "ran", call.__name__)
        except Exception as error:
            trace(call.__name__, type(error))
        else:
            trace("when", math.isnan(handle.when()), math.isinf(handle.when()))
            if math.isnan(delay):
                # Whether it is ever due is not defined; it must not harm the rest.
                handle.cancel()
    loop.call_soon(trace, "the rest works")
    loop.call_later(0.01, loop.stop)
    loop.run_forever()


@twin
def test_a_timer_at_nan_does_not_stop_the_others(trace: Trace, loop: Loop) -> None:
    loop.call_later(0.001, trace, "before")
    handle = loop.call_at(math.nan, int)
    loop.call_later(0.002, trace, "after")
    handle.cancel()
    loop.call_later(0.01, loop.stop)
    loop.run_forever()


@twin
def test_objects_that_turn_into_numbers(trace: Trace, loop: Loop) -> None:
    import decimal
    import fractions

    for value in (fractions.Fraction(1, 1000), decimal.Decimal("0.001")):
        with trace.raises(type(value).__name__):
            loop.call_later(value, trace, "ran", type(value))  # type: ignore[arg-type]
    loop.call_later(0.01, loop.stop)
    loop.run_forever()


@twin
def test_a_delay_that_raises(trace: Trace, loop: Loop) -> None:
    class Hostile:
        def __float__(self) -> float:
            raise ZeroDivisionError("float")

        def __add__(self, other: object) -> float:
            raise ZeroDivisionError("add")

        __radd__ = __add__

    try:
        loop.call_later(Hostile(), print)  # type: ignore[arg-type]
    except Exception as error:
        trace("refused", type(error))
    loop.call_soon(loop.stop)
    loop.run_forever()
    trace("loop works")


@twin
def test_keywords_are_asyncios(trace: Trace, loop: Loop) -> None:
    loop.call_soon(callback=trace, context=None)
    loop.call_later(delay=0, callback=trace)
    loop.call_at(when=0, callback=trace)
    loop.call_soon_threadsafe(callback=trace)
    loop.set_debug(enabled=False)
    loop.set_task_factory(factory=None)
    loop.set_exception_handler(handler=None)
    coroutine = __import__("asyncio").sleep(0, "result")
    trace("result", loop.run_until_complete(future=coroutine))


@twin
def test_every_public_method_of_asyncios_loop_is_there(trace: Trace, loop: Loop) -> None:
    import asyncio

    names = [name for name in dir(asyncio.AbstractEventLoop) if not name.startswith("_")]
    trace("methods", [name for name in names if callable(getattr(loop, name, None))])
    trace("version", sys.version_info[:2])


# A builtin cannot be marked for `inspect` before 3.12; `unittest.mock` asks asyncio there.
is_coroutine_function = (
    inspect.iscoroutinefunction if sys.version_info >= (3, 12) else asyncio.iscoroutinefunction
)


@twin
def test_methods_are_seen_as_coroutine_functions(trace: Trace, loop: Loop) -> None:
    specified = mock.create_autospec(loop)
    for name in (
        "connect_accepted_socket",
        "connect_read_pipe",
        "create_connection",
        "create_datagram_endpoint",
        "create_server",
        "create_unix_connection",
        "create_unix_server",
        "getaddrinfo",
        "getnameinfo",
        "sendfile",
        "sock_accept",
        "sock_connect",
        "sock_recv",
        "sock_recv_into",
        "sock_recvfrom",
        "sock_recvfrom_into",
        "sock_sendall",
        "sock_sendfile",
        "sock_sendto",
        "start_tls",
        "subprocess_exec",
    ):
        trace(name, is_coroutine_function(getattr(loop, name)))
        trace("specified", is_coroutine_function(getattr(specified, name)))


@twin
def test_a_replaced_method_is_awaited(trace: Trace, loop: Loop) -> None:
    answer = [(2, 1, 6, "", ("127.0.0.1", 1))]
    with mock.patch.object(loop.__class__, "getaddrinfo", return_value=answer) as replaced:
        trace(type(replaced).__name__)
        trace(loop.run_until_complete(loop.getaddrinfo("somewhere", 80)))
        trace(replaced.await_count)


@twin
@pytest.mark.parametrize("name", ["create_connection", "getaddrinfo", "sock_recv"])
def test_a_method_is_replaced_as_specified(trace: Trace, loop: Loop, name: str) -> None:
    # As aiohttp's own tests do.
    with mock.patch.object(loop, name, autospec=True, spec_set=True) as replaced:
        replaced.return_value = 5
        trace(loop.run_until_complete(getattr(loop, name)(1, 2)))
        replaced.assert_awaited_once_with(1, 2)
        with trace.raises():
            try:
                getattr(loop, name)(unknown=1)
            except TypeError:
                raise TypeError("refused") from None
