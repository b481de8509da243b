"""The ready queue: in which order callbacks run, and in which turn."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from typing import Any
from unittest import mock

from .trace import Trace
from .twin import Loop, twin


@twin
def test_callbacks_run_in_the_order_they_were_added(trace: Trace, loop: Loop) -> None:
    for number in range(20):
        loop.call_soon(trace, "callback", number)
    loop.call_soon(loop.stop)
    loop.run_forever()


@twin
def test_what_a_callback_adds_runs_in_the_next_turn(trace: Trace, loop: Loop) -> None:
    def first() -> None:
        trace("first")
        loop.call_soon(third)

    def second() -> None:
        trace("second")

    def third() -> None:
        trace("third")
        loop.stop()

    loop.call_soon(first)
    loop.call_soon(second)
    loop.run_forever()


@twin
def test_a_callback_that_adds_itself_does_not_starve_the_rest(trace: Trace, loop: Loop) -> None:
    turns = 0

    def again() -> None:
        nonlocal turns
        turns += 1
        trace("again", turns)
        if turns < 5:
            loop.call_soon(again)
        else:
            loop.stop()

    loop.call_soon(again)
    loop.call_later(0, trace, "timer")
    loop.call_soon(trace, "other")
    loop.run_forever()


@twin
def test_cancelled_callbacks_do_not_run(trace: Trace, loop: Loop) -> None:
    kept = loop.call_soon(trace, "kept")
    cancelled = loop.call_soon(trace, "cancelled")
    cancelled.cancel()
    trace("flags", kept.cancelled(), cancelled.cancelled())
    loop.call_soon(loop.stop)
    loop.run_forever()
    kept.cancel()
    trace("flags", kept.cancelled())


@twin
def test_a_callback_can_cancel_a_later_one_of_its_own_turn(trace: Trace, loop: Loop) -> None:
    loop.call_soon(lambda: victim.cancel())  # type: ignore[has-type]
    victim = loop.call_soon(trace, "victim")
    loop.call_soon(trace, "after")
    loop.call_soon(loop.stop)
    loop.run_forever()


@twin
def test_call_soon_and_call_soon_threadsafe_share_one_queue(trace: Trace, loop: Loop) -> None:
    loop.call_soon(trace, 1)
    loop.call_soon_threadsafe(trace, 2)
    loop.call_soon(trace, 3)
    loop.call_soon_threadsafe(trace, 4)
    loop.call_soon(loop.stop)
    loop.run_forever()


@twin
def test_threadsafe_calls_of_one_thread_keep_their_order(trace: Trace, loop: Loop) -> None:
    def add() -> None:
        for number in range(100):
            loop.call_soon_threadsafe(trace, "from the thread", number)
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=add)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()


@twin
def test_threadsafe_call_wakes_a_loop_that_waits_for_ever(trace: Trace, loop: Loop) -> None:
    timer = threading.Timer(0.05, loop.call_soon_threadsafe, (loop.stop,))
    timer.start()
    loop.run_forever()
    trace("woken")
    timer.join()


@twin
def test_threadsafe_calls_before_the_first_run_are_kept(trace: Trace, loop: Loop) -> None:
    def add() -> None:
        loop.call_soon_threadsafe(trace, "early")
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=add)
    thread.start()
    thread.join()
    loop.run_forever()


@twin
def test_handle_of_call_soon_is_a_handle(trace: Trace, loop: Loop) -> None:
    for handle in (loop.call_soon(print), loop.call_soon_threadsafe(print)):
        trace("handle", isinstance(handle, asyncio.Handle), isinstance(handle, asyncio.TimerHandle))
        trace("attributes", handle.cancelled(), hasattr(handle, "when"))
        handle.cancel()
        handle.cancel()
        trace("cancelled", handle.cancelled())


@twin
def test_repr_of_a_handle_names_its_callback(trace: Trace, loop: Loop) -> None:
    handle = loop.call_soon(len, "abc")
    trace("repr", repr(handle))
    handle.cancel()
    trace("repr", repr(handle))


@twin
def test_callback_runs_in_the_context_it_was_given(trace: Trace, loop: Loop) -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    def look(what: str) -> None:
        trace(what, variable.get())

    given = contextvars.copy_context()
    given.run(variable.set, "given")
    loop.call_soon(look, "explicit", context=given)
    loop.call_soon_threadsafe(look, "explicit threadsafe", context=given)
    loop.call_later(0, look, "explicit later", context=given)
    variable.set("current")
    loop.call_soon(look, "copied")
    variable.set("changed")
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    trace("outside", variable.get())


@twin
def test_what_a_callback_sets_stays_in_its_context(trace: Trace, loop: Loop) -> None:
    variable = contextvars.ContextVar("variable", default=0)
    shared = contextvars.copy_context()

    def count() -> None:
        variable.set(variable.get() + 1)
        trace("count", variable.get())

    for _ in range(3):
        loop.call_soon(count, context=shared)
    for _ in range(3):
        loop.call_soon(count)
    loop.call_soon(loop.stop)
    loop.run_forever()
    trace("outside", variable.get(), shared.get(variable))  # type: ignore[arg-type]


@twin
def test_what_a_callback_returns_is_freed_outside_of_its_context(trace: Trace, loop: Loop) -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    context = contextvars.copy_context()
    context.run(variable.set, "inside")

    class Result:
        def __init__(self, name: str) -> None:
            self.name = name

        def __del__(self) -> None:
            trace("freed", self.name, variable.get())

    def callback(name: str, *ignored: object) -> Result:
        trace("called", name, variable.get())
        return Result(name)

    loop.call_soon(callback, "plain", context=context)
    kept = loop.call_soon(callback, "handle kept", context=context)
    loop.call_soon_threadsafe(callback, "threadsafe", context=context)
    loop.call_later(0, callback, "timer", context=context)
    future = loop.create_future()
    future.add_done_callback(functools.partial(callback, "done callback"), context=context)
    future.set_result(None)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    del kept


@twin
def test_current_handle_cannot_be_cancelled_from_inside(trace: Trace, loop: Loop) -> None:
    def inside() -> None:
        handle.cancel()
        trace("still running", handle.cancelled())

    handle = loop.call_soon(inside)
    loop.call_soon(loop.stop)
    loop.run_forever()


@twin
def test_any_callable_can_be_scheduled(trace: Trace, loop: Loop) -> None:
    class Callable:
        def __call__(self, *args: Any) -> None:
            trace("object", args)

        def method(self, *args: Any) -> None:
            trace("method", args)

        @classmethod
        def of_class(cls, *args: Any) -> None:
            trace("class method", args)

    target: list[int] = []
    loop.call_soon(Callable(), 1)
    loop.call_soon(Callable().method, 1, 2)
    loop.call_soon(Callable.of_class)
    loop.call_soon(target.append, 5)
    loop.call_soon(lambda *args: trace("lambda", args), *range(12))
    loop.call_soon(loop.stop)
    loop.run_forever()
    trace("builtin", target)


@twin
def test_arguments_are_passed_as_they_are(trace: Trace, loop: Loop) -> None:
    marker = object()

    def check(*args: object) -> None:
        trace("same objects", len(args), all(arg is marker for arg in args))

    for count in range(8):
        loop.call_soon(check, *[marker] * count)
    loop.call_soon(loop.stop)
    loop.run_forever()


@twin
def test_keyword_arguments_are_refused(trace: Trace, loop: Loop) -> None:
    for method in (loop.call_soon, loop.call_soon_threadsafe):
        try:
            method(print, end="")  # type: ignore[call-arg]
        except TypeError:
            trace("TypeError", method.__name__)


@twin
def test_what_is_not_a_handle_but_runs_like_one(trace: Trace, loop: Loop) -> None:
    class Runs:
        def __init__(self, cancelled: object) -> None:
            self._cancelled = cancelled

        def _run(self) -> None:
            trace("ran")

    class Mine(asyncio.Handle):
        def _run(self) -> None:
            trace("mine ran")

    queue: Any = loop
    for handle in (
        Runs(False),
        Runs(True),
        Mine(print, (), loop),
        asyncio.Handle(trace, ("asyncio's",), loop),
        mock.Mock(_cancelled=False),
    ):
        queue._add_callback_signalsafe(handle)
    with trace.raises():
        queue._add_callback_signalsafe(object())
    loop.call_soon(loop.stop)
    loop.run_forever()
