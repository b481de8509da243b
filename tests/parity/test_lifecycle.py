"""A loop's life: run, stop, close, and what is refused when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests import loops

from .trace import Trace
from .twin import Loop, twin


@twin
def test_states_of_a_loop(trace: Trace, loop: Loop) -> None:
    def look(when: str) -> None:
        trace(when, loop.is_running(), loop.is_closed(), loop.get_debug())

    look("new")
    loop.call_soon(look, "inside")
    loop.call_soon(loop.stop)
    loop.run_forever()
    look("stopped")
    loop.close()
    look("closed")
    loop.close()
    look("closed twice")


@twin
def test_stop_lets_the_current_turn_finish(trace: Trace, loop: Loop) -> None:
    loop.call_soon(trace, "before")
    loop.call_soon(loop.stop)
    loop.call_soon(trace, "after, same turn")
    loop.run_forever()
    trace("returned")


@twin
def test_what_is_added_in_the_stopping_turn_runs_in_the_next_run(trace: Trace, loop: Loop) -> None:
    def stopping() -> None:
        loop.stop()
        loop.call_soon(trace, "added in the stopping turn")

    loop.call_soon(stopping)
    loop.run_forever()
    trace("first run over")
    loop.call_soon(loop.stop)
    loop.run_forever()
    trace("second run over")


@twin
def test_stop_can_be_taken_back(trace: Trace, loop: Any) -> None:
    # As sanic's server does, for coroutines that are to run after Ctrl-C.
    def take_back() -> None:
        trace("stopping", loop._stopping)
        loop._stopping = False

    loop.call_soon(loop.stop)
    loop.call_soon(take_back)
    loop.call_later(0.001, trace, "goes on")
    loop.call_later(0.002, loop.stop)
    loop.run_forever()
    trace("stopping", loop._stopping)


@twin
def test_stop_before_the_run_gives_one_turn(trace: Trace, loop: Loop) -> None:
    loop.call_soon(trace, "ready")
    loop.call_soon(lambda: loop.call_soon(trace, "not in this run"))
    loop.call_later(0, trace, "due timer")
    loop.stop()
    loop.run_forever()
    trace("returned")


@twin
def test_stop_twice_is_stop_once(trace: Trace, loop: Loop) -> None:
    loop.call_soon(loop.stop)
    loop.call_soon(loop.stop)
    loop.run_forever()
    trace("returned")
    loop.call_soon(trace, "ran")
    loop.call_later(0.005, loop.stop)
    loop.run_forever()


@twin
def test_stop_from_another_thread(trace: Trace, loop: Loop) -> None:
    timer = threading.Timer(0.02, loop.call_soon_threadsafe, [loop.stop])
    timer.start()
    loop.run_forever()
    trace("returned")
    timer.join()


@twin
def test_run_until_complete_gives_result_or_exception(trace: Trace, loop: Loop) -> None:
    async def result() -> str:
        return "result"

    async def failure() -> None:
        raise KeyError("failure")

    trace("result", loop.run_until_complete(result()))
    with trace.raises():
        loop.run_until_complete(failure())
    future = loop.create_future()
    loop.call_soon(future.set_result, "from a future")
    trace("future", loop.run_until_complete(future))
    trace("done future", loop.run_until_complete(future))
    cancelled = loop.create_future()
    cancelled.cancel("message")
    with trace.raises():
        loop.run_until_complete(cancelled)


@twin
def test_run_until_complete_refuses_what_cannot_be_awaited(trace: Trace, loop: Loop) -> None:
    for value in (None, 5, "text", print, loop):
        with trace.raises(type(value).__name__ if value is not loop else "loop"):
            loop.run_until_complete(value)  # type: ignore[arg-type]


@twin
def test_run_until_complete_refuses_a_future_of_another_loop(
    trace: Trace, factory: loops.Factory
) -> None:
    one, other = factory(), factory()
    with trace.raises():
        one.run_until_complete(other.create_future())
    one.close()
    other.close()


@twin
def test_stop_inside_run_until_complete_is_an_error(trace: Trace, loop: Loop) -> None:
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with trace.raises():
        loop.run_until_complete(future)
    loop.call_soon(future.set_result, "later")
    trace("again", loop.run_until_complete(future))


@twin
def test_running_loop_is_set_before_the_first_step(trace: Trace, loop: Loop) -> None:
    async def look() -> None:
        trace("inside", asyncio.get_running_loop() is loop)

    with trace.raises("before"):
        asyncio.get_running_loop()
    loop.run_until_complete(look())
    with trace.raises("after"):
        asyncio.get_running_loop()


@twin
def test_two_loops_run_in_two_threads(trace: Trace, factory: loops.Factory) -> None:
    def run(name: str) -> None:
        loop = factory()
        trace.on(name, loop.run_until_complete(asyncio.sleep(0.01, name)))
        loop.close()

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@twin
def test_a_loop_made_here_can_run_in_another_thread(trace: Trace, loop: Loop) -> None:
    def run() -> None:
        trace("result", loop.run_until_complete(asyncio.sleep(0.001, "from the thread")))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    trace("and here", loop.run_until_complete(asyncio.sleep(0.001, "from here")))


@twin
def test_a_loop_cannot_run_in_two_threads_at_once(trace: Trace, loop: Loop) -> None:
    def intrude() -> None:
        with trace.raises("run_forever"):
            loop.run_forever()
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=intrude)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()


@twin
def test_close_while_running_is_refused(trace: Trace, loop: Loop) -> None:
    def attempt() -> None:
        with trace.raises():
            loop.close()
        trace("closed", loop.is_closed())
        loop.stop()

    loop.call_soon(attempt)
    loop.run_forever()


CLOSED_LOOP_CALLS: dict[str, Callable[[Loop], Any]] = {
    "call_soon": lambda loop: loop.call_soon(print),
    "call_soon_threadsafe": lambda loop: loop.call_soon_threadsafe(print),
    "call_later": lambda loop: loop.call_later(1, print),
    "call_at": lambda loop: loop.call_at(1, print),
    "run_forever": lambda loop: loop.run_forever(),
    "stop": lambda loop: loop.stop(),
    "time": lambda loop: loop.time() > 0,
    "is_running": lambda loop: loop.is_running(),
    "create_future": lambda loop: loop.create_future().done(),
    "get_debug": lambda loop: loop.get_debug(),
    "set_debug": lambda loop: loop.set_debug(True),
    "run_in_executor": lambda loop: loop.run_in_executor(None, print),
    "add_reader": lambda loop: loop.add_reader(0, print),
    "add_writer": lambda loop: loop.add_writer(0, print),
    "remove_reader": lambda loop: loop.remove_reader(0),
    "remove_writer": lambda loop: loop.remove_writer(0),
    "add_signal_handler": lambda loop: loop.add_signal_handler(10, print),
    "set_exception_handler": lambda loop: loop.set_exception_handler(None),
    "get_task_factory": lambda loop: loop.get_task_factory(),
    "set_task_factory": lambda loop: loop.set_task_factory(None),
}


@pytest.mark.parametrize("method", CLOSED_LOOP_CALLS)
@twin
def test_on_a_closed_loop(trace: Trace, loop: Loop, method: str) -> None:
    loop.close()
    with trace.raises(method):
        trace("result", CLOSED_LOOP_CALLS[method](loop))


@twin
def test_coroutines_on_a_closed_loop_are_refused_and_closed(trace: Trace, loop: Loop) -> None:
    loop.close()
    for refuse in (loop.run_until_complete, loop.create_task):
        coroutine = asyncio.sleep(0)
        with trace.raises(refuse.__name__):
            refuse(coroutine)
        coroutine.close()


@twin
def test_closing_drops_what_was_scheduled(trace: Trace, loop: Loop) -> None:
    class Noisy:
        def __init__(self, name: str) -> None:
            self.name = name

        def __del__(self) -> None:
            trace.on(self.name, "dropped")

        def __call__(self) -> None:
            trace.on(self.name, "ran")

    loop.call_soon(Noisy("soon"))
    loop.call_later(1000, Noisy("later"))
    loop.call_soon_threadsafe(Noisy("threadsafe"))
    loop.close()
    trace("closed")


@twin
def test_an_unclosed_loop_warns(trace: Trace, factory: loops.Factory) -> None:
    import gc

    loop = factory()
    loop.run_until_complete(asyncio.sleep(0))
    del loop
    gc.collect()
    trace("collected")


@twin
def test_base_exceptions_end_the_run(trace: Trace, loop: Loop) -> None:
    class Odd(BaseException):
        pass

    def fail(error: BaseException) -> None:
        raise error

    for error in (KeyboardInterrupt("ctrl-c"), SystemExit(3), Odd("odd")):
        loop.call_soon(fail, error)
        loop.call_soon(trace, "after", type(error))
        if isinstance(error, Odd):
            # Only the first two end the loop.
            loop.call_soon(loop.stop)
        with trace.raises():
            loop.run_forever()
        trace("running", loop.is_running())
        loop.call_soon(loop.stop)
        loop.run_forever()


@twin
def test_base_exceptions_of_a_task_end_the_run(trace: Trace, loop: Loop) -> None:
    async def fail(error: BaseException) -> None:
        raise error

    for error in (KeyboardInterrupt("ctrl-c"), SystemExit(3)):
        with trace.raises():
            loop.run_until_complete(fail(error))
        trace("alive", loop.is_running(), loop.is_closed())
    trace("works", loop.run_until_complete(asyncio.sleep(0, "yes")))


@twin
def test_a_background_task_with_a_base_exception_ends_the_run(trace: Trace, loop: Loop) -> None:
    async def fail() -> None:
        raise SystemExit(5)

    async def main() -> None:
        task = loop.create_task(fail())
        try:
            await asyncio.sleep(10)
        except BaseException as error:
            trace("main", error)
            raise
        finally:
            trace("task", task.done())

    task = loop.create_task(main())
    with trace.raises():
        loop.run_until_complete(task)
    task.cancel()
    with trace.raises("afterwards"):
        loop.run_until_complete(task)


@twin
def test_get_event_loop_inside_and_set_event_loop_outside(trace: Trace, loop: Loop) -> None:
    async def main() -> None:
        trace("inside", asyncio.get_event_loop() is loop)

    loop.run_until_complete(main())
    asyncio.set_event_loop(loop)
    trace("outside", asyncio.get_event_loop() is loop)
    asyncio.set_event_loop(None)


@twin
def test_loops_take_attributes(trace: Trace, loop: Loop) -> None:
    original = loop.call_soon

    def spy(callback: Any, *args: Any, **kwargs: Any) -> Any:
        trace("spied", args)
        return original(callback, *args, **kwargs)

    loop.call_soon = spy  # type: ignore[assignment,method-assign]
    loop.call_soon(trace, "called")
    loop.tag = "anything"  # type: ignore[attr-defined]
    trace("tag", loop.tag)  # type: ignore[attr-defined]
    del loop.call_soon
    loop.call_soon(loop.stop)
    loop.run_forever()


@twin
def test_a_loop_is_an_abstract_event_loop(trace: Trace, loop: Loop) -> None:
    trace("instance", isinstance(loop, asyncio.AbstractEventLoop))
    with pytest.raises(TypeError):
        hash([])
    trace("hashable", hash(loop) == hash(loop), loop == loop, loop != object())
